/* evaluate.h - how right a model is on labelled data: scores of each class, the
 * confusion matrix. */
#ifndef PCV_CMD_EVALUATE_H
#define PCV_CMD_EVALUATE_H

#include "answer.h"

/* Tables for people, no wider than `columns` where that can be. */
void evaluate_text(const pcv_evaluation *e, const answer_style *s,
                   int columns, pcv_bytes *b);
/* One object, a line. */
void evaluate_json(const pcv_evaluation *e, const answer_style *s,
                   const char *data, pcv_bytes *b);

#endif

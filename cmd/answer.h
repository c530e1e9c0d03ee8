/* answer.h - answers as text, pcv-formats(5): lines of tab-separated fields
 * and lines of JSON. */
#ifndef ANSWER_H
#define ANSWER_H

#include "sink.h"

typedef struct {
    const pcv_model *model;
    size_t classes;
    size_t top;                 /* how many of them to write */
    bool logits;                /* instead of probabilities */
    char **label;               /* NULL: the model's */
} answer_style;

/* What the options of OPT_ANSWER ask for of a model.  Exits when the file of
 * --labels has not a line for each class. */
void answer_open(answer_style *s, const pcv_model *m, const opt *o);
void answer_close(answer_style *s);
/* With --header a line of column names; returns a status. */
int answer_header(const opt *o, sink *out);

/* path, rank, probability, class index, label. */
void answer_tsv(pcv_bytes *b, const answer_style *s, const char *name,
                const float *logits);
void answer_tsv_error(pcv_bytes *b, const char *name, const char *what);

void answer_json(pcv_bytes *b, const answer_style *s, const char *name,
                 size_t index, const float *logits);
/* "shape" and "data". */
void answer_json_array(pcv_bytes *b, const char *name, size_t index,
                       const pcv_values *v);
void answer_json_error(pcv_bytes *b, const char *name, size_t index, int code,
                       const char *what);

#endif

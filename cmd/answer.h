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
    bool tags;                  /* each class stands for itself */
    char **label;               /* NULL: the model's */
} answer_style;

typedef struct {
    float logit;
    size_t index;
    double probability;
} ranked;

/* n classes, the best one first, for free(); NULL and b->failed. */
ranked *answer_rank(pcv_bytes *b, const float *logits, size_t n, bool tags);

/* What the options of OPT_ANSWER ask for of a model.  Exits when the file of
 * --labels has not a line for each class. */
void answer_open(answer_style *s, const pcv_model *m, const opt *o);
void answer_close(answer_style *s);
/* Of a class; NULL where it has none. */
const char *answer_label(const answer_style *s, size_t index);
/* With --header a line of column names; returns a status. */
int answer_header(const opt *o, sink *out);
int answer_header_masks(const opt *o, sink *out);

/* path, rank, probability, class index, label. */
void answer_tsv(pcv_bytes *b, const answer_style *s, const char *name,
                const float *logits);
/* `fields` between the path and the reason. */
void answer_tsv_error(pcv_bytes *b, const char *name, int fields,
                      const char *what);

/* The object of an input: its path, index, and whether it is well. */
void answer_json_begin(pcv_bytes *b, const char *name, size_t index, bool ok);
void answer_json_end(pcv_bytes *b);

void answer_json(pcv_bytes *b, const answer_style *s, const char *name,
                 size_t index, const float *logits);
/* "shape" and "data". */
void answer_json_array(pcv_bytes *b, const char *name, size_t index,
                       const pcv_values *v);
void answer_json_error(pcv_bytes *b, const char *name, size_t index, int code,
                       const char *what);

#endif

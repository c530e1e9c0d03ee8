/* decode.h - what pcv-decode does with one item, and what it writes. */
#ifndef DECODE_H
#define DECODE_H

#include "answer.h"
#include "gallery.h"
#include "latents.h"
#include "stack.h"

enum { TSV, JSONL, NPY, PNG, WAV, RAW };            /* formats */

typedef struct {
    opt o;
    answer_style style;
    bool any_model;
    const char *query;

    const pcv_model *model;
    latents *source;
    int *index;                 /* queries; NULL: all */
    size_t queries;
    sink out;
    stack rows;                 /* of NPY */
    gallery files;              /* of PNG and WAV */
} decode_run;

pump_job decode_job(decode_run *r);

/* queries.c: "default" or "index=0-9,20" -> r->index, r->queries.  Exits with
 * 64 when it cannot be understood, or the model has no such queries. */
void decode_queries(decode_run *r);

#endif

/* decode.h - what pcv-decode does with one item, and what it writes. */
#ifndef DECODE_H
#define DECODE_H

#include "answer.h"
#include "gallery.h"
#include "latents.h"
#include "replies.h"

/* Formats, in the order of --format. */
enum { TSV, JSONL, NPY, SAFETENSORS, PNG, WAV, FLO, TXT, RAW };

enum { MAX_QUERIES = 16 };      /* options --query */

typedef struct {
    opt o;
    answer_style style;
    bool any_model;
    const char *answer;         /* its name, or NULL */
    const char *query[MAX_QUERIES];
    size_t queries;
    double most;                /* pixels of a full colour of flow */

    const pcv_model *model;
    latents *source;
    replies replies;            /* the answers that are written, .. */
    reply *one;                 /* .. and the only one, but of SAFETENSORS */
    bool files;                 /* each input makes a file of its own */
    sink out;
    gallery gallery;
} decode_run;

pump_job decode_job(decode_run *r);

/* queries.c: what the options --query and --answer say -> r->replies, before
 * which answer is written is known.  Exits with 64 when they cannot be
 * understood, or the model has no such answers or queries. */
void decode_queries(decode_run *r);

/* choose.c: the format, unless it was said; the answers that it can hold, left
 * in r->replies; what goes together.  Exits with 64. */
void decode_choose(decode_run *r);

#endif

/* encode.h - what pcv-encode does with one input, and what it writes. */
#ifndef ENCODE_H
#define ENCODE_H

#include "pump.h"
#include "stack.h"

enum { STS, NPY, SAFETENSORS, JSONL };              /* formats */
enum { LATENTS, CROSSED, INPUT };
enum { POOL_NONE, POOL_MEAN, POOL_MAX, POOL_FIRST };

typedef struct {
    opt o;
    int what, pool;
    bool skip;                  /* no rows for what failed */
    const char *ids_path;

    const pcv_model *model;
    pcv_stream *stream;
    char *modality;
    sink out, ids;
    stack rows;                 /* of NPY and SAFETENSORS */
    pcv_bytes names;            /* of the rows, JSON: SAFETENSORS */
} encode_run;

pump_job encode_job(encode_run *r);
/* The end record of a stream; the file of a SAFETENSORS.  Statuses. */
int encode_end(encode_run *r, const pump_totals *t);
int encode_safetensors(encode_run *r);

#endif

/* replies.h - what a model answers, as arrays: one of its answers as .npy, or
 * all of them as the tensors of a .safetensors, each under its own name. */
#ifndef REPLIES_H
#define REPLIES_H

#include "stack.h"

typedef struct {
    size_t which;               /* of the model's answers */
    pcv_answer_info info;
    int *index;                 /* queries; NULL: all */
    size_t queries;
    stack rows;                 /* one for each input */
} reply;

typedef struct {
    const pcv_model *model;
    bool logits;                /* as the network gives them */
    reply *of;
    size_t n;
    bool stacked;
} replies;

/* All answers of a model, every query. */
void replies_open(replies *r, const pcv_model *m, bool logits);
/* That one alone. */
void replies_keep(replies *r, size_t i);
void replies_close(replies *r);

/* One answer of what the worker has read; NULL. */
pcv_values *replies_ask(const replies *r, const reply *a, pcv_worker *w);

/* A row for each input: room for them (exits when there is none); the record of
 * what the worker has read, 0 or -1; the row of a record, and of NaN where
 * *code is not 0, as stack_add; the whole. */
void replies_stack(replies *r);
int replies_pack(const replies *r, pcv_worker *w, pcv_bytes *out);
int replies_add(replies *r, const char *name, const pcv_bytes *out, int *code);
int replies_npy(replies *r, sink *to);
int replies_safetensors(replies *r, sink *to);

/* A .safetensors of one input alone; 0 or -1. */
int replies_file(const replies *r, pcv_worker *w, pcv_bytes *out);

#endif

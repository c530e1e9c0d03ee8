/* latents.h - what pcv-decode reads: streams and arrays of latents, and
 * inputs that are still to be encoded, one item after the other. */
#ifndef LATENTS_H
#define LATENTS_H

#include "pump.h"

/* What several items come from: it has to stay until the last one is gone. */
typedef struct latents_origin latents_origin;

typedef struct {
    char *name;
    size_t index;               /* 0, 1, 2 .. over the whole run */
    pcv_values view;            /* [N, D]; without data: */
    pcv_entry *entry;           /* an input; */
    int code;                   /* or neither: it failed before, */
    char *what;                 /* which is why */
    pcv_values *own;            /* where the view is of an array of its own */
    latents_origin *from;
} latents_item;

typedef struct latents latents;
latents *latents_open(const opt *o, const pcv_model *m, bool any_model);
void latents_close(latents *l);
/* The source of a pump. */
int latents_next(void *source, void **item);
const char *latents_name(const void *item);
void latents_free(void *item);
/* Reads the input of an item with an entry.  0 or -1 with pcv_error. */
int latents_load(const latents_item *item);

/* Are the operands one input, of as many files as the model takes at a time,
 * which is worth all threads? */
bool latents_alone(latents *l);

/* latents_sniff.c: what a name is, without reading it to its end; of standard
 * input the beginning, which stays there. */
enum { LATENTS_STREAM = 1, LATENTS_TENSORS, LATENTS_NPY, LATENTS_INPUT };
int latents_kind(const char *name);
/* Has that file of tensors one of latents? */
bool latents_in(const char *name);

/* latents_sniff.c: "17ac...9f" of a model's identity, for messages. */
const char *latents_short_id(const char *id, char text[16]);
/* The bytes that base64 text stands for, as a string; NULL.  free(). */
char *latents_from_base64(const char *text);

#endif

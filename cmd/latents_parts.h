/* latents_parts.h - private to latents.c and what it is made of. */
#ifndef LATENTS_PARTS_H
#define LATENTS_PARTS_H

#include "latents.h"

#include <stdatomic.h>
#include <stdio.h>

struct latents_origin {
    pcv_stream *inputs;         /* one of these two */
    pcv_values *array;          /* [n, N, D] or [N, D] */
    atomic_int users;
};

struct latents {
    const opt *o;
    const pcv_model *model;
    bool any_model, stdin_taken;
    size_t files;               /* of one input, at most */
    size_t operand, index;      /* the next ones */
    FILE *list;
    char *line;                 /* of the list */
    size_t room;

    char *name;                 /* the last one, .. */
    int kind;                   /* .. what it is, .. */
    bool waiting;               /* .. and nobody has begun with it */
    pcv_values *array;          /* latents of a name that is LATENTS_NPY */
    int status;                 /* why there was no next name */

    pcv_sts_reader *stream;     /* what is open: one of these two */
    latents_origin *origin;
    int fd;                     /* of the stream */
    size_t record;              /* of the stream, or row of the array */
};

/* latents.c */
char *latents_copy(const char *text);
latents_item *latents_new(latents *l, const char *name);
latents_item *latents_failed(latents *l, const char *name, int code,
                             const char *what);
/* The next name: 1, with l->name and l->kind; 0 at the end; a status. */
int latents_next_name(latents *l);
latents_origin *latents_origin_new(void);
latents_origin *latents_origin_use(latents_origin *from);
int latents_origin_close(latents *l);           /* 0 */

/* latents_read.c: open l->name: 0; 1 and an item already, which may say that
 * it cannot be opened; -1 or a status as from latents_next. */
int latents_open_stream(latents *l, latents_item **item);
int latents_open_tensors(latents *l, latents_item **item);
int latents_open_npy(latents *l);
int latents_open_inputs(latents *l);
/* What a name is for this model.  An .npy of latents is then in l->array. */
int latents_find_kind(latents *l, const char *name);
/* The next item of what is open: 1; 0 when there is none and it is closed; -1
 * or a status. */
int latents_next_record(latents *l, latents_item **item);
int latents_next_row(latents *l, latents_item **item);
int latents_next_input(latents *l, latents_item **item);
void latents_close_stream(latents *l);

#endif

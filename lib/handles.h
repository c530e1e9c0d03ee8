/* handles.h - what the opaque types of pcv.h are, for the files of the
 * facade. */
#ifndef PCV_HANDLES_H
#define PCV_HANDLES_H

#include "pcv.h"

#include "data/data.h"
#include "model/model.h"
#include "train/train.h"

#include <pthread.h>

struct pcv_model {
    pcv_net net;
    char *path;
    pthread_mutex_t lock;       /* of id, which is made when it is wanted */
    char *id;
};

/* One input: a file, several that belong together, or one of tensors. */
struct pcv_entry {
    pcv_item *item;             /* items of them */
    size_t items;
    char *name;
    size_t index;
    pcv_media sound;            /* that goes with the pictures, or none */
    pcv_array x[PCV_MOST_PARTS];    /* prepared; no data: an absent part */
    bool loaded;
};

struct pcv_worker {
    const pcv_model *m;
    pcv_session s;              /* inputs to latents and answers */
    pcv_session decode;         /* latents to answers */
    pcv_session *last;          /* what answers what is asked; NULL: .. */
    const pcv_entry *tiles;     /* .. this larger picture, tile by tile */
};

/* pcv.c: queries index[0..n) (NULL: 0..n-1) of what s has encoded, a chunk at a
 * time. */
void pcv_answer_chunks(pcv_session *s, size_t which, const int *index,
                       size_t n, float *out /* n x outputs */);
/* tiles.c: answers all queries of w->tiles: [height, width, outputs]. */
pcv_values *pcv_ask_tiles(pcv_worker *w);
/* Is the prepared input larger or smaller than the model's own size, which it
 * is then taken apart into? */
bool pcv_wants_tiles(const pcv_net *n, const pcv_array *x);

/* An array of that shape for the caller to own; NULL when out of memory. */
pcv_values *pcv_values_new(int rank, const size_t *dim);
/* Real numbers as floats: a new array with the values of x. */
pcv_values *pcv_values_of(int rank, const size_t *dim, const real *x);

#endif

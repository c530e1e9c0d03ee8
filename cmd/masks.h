/* masks.h - what a model puts into the [MASK]s of a text. */
#ifndef MASKS_H
#define MASKS_H

#include "answer.h"

typedef struct {
    const char *name;           /* of the text, and its number */
    size_t index;
    pcv_values *ids;            /* the text */
    pcv_values *logits;         /* [masks, vocabulary]; NULL: no masks */
    size_t n;                   /* masks */
    size_t *offset;             /* their bytes in the text */
} masks;

/* Asks the worker for answer `which`, at the masks of the entry, which it
 * reads, alone.  0 or -1; masks_free in any case. */
int masks_ask(masks *m, pcv_worker *w, size_t which, const pcv_entry *e);
void masks_free(masks *m);

/* The text, filled with the best; it ends in a newline. */
void masks_text(const masks *m, pcv_bytes *out);
/* The best ones of each mask: path, position, rank, probability, id, byte. */
void masks_tsv(const masks *m, const answer_style *s, pcv_bytes *out);
void masks_json(const masks *m, const answer_style *s, pcv_bytes *out);

#endif

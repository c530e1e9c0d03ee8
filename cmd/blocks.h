/* blocks.h - where the parameters are: tensors added up by the front of their
 * names, numbers folded (layers.0.x, layers.1.x -> layers.#), as deep as a
 * screen allows. */
#ifndef PCV_CMD_BLOCKS_H
#define PCV_CMD_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

enum { BLOCKS_MOST = 12 };      /* rows; what is more is one row "(others)" */

typedef struct {
    char *name;
    size_t tensors, elements;
} block;

typedef struct {
    block row[BLOCKS_MOST + 1];
    int count;
    bool over;                  /* there is a row "(others)" */
    bool failed;                /* out of memory */
} blocks;

/* Adds a tensor by the first `depth` parts of its name. */
void blocks_add(blocks *b, const char *name, int depth, size_t elements);
void blocks_free(blocks *b);

#endif

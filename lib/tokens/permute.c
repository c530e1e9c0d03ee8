/* permute.c - the elements of an input in a fixed order by chance, after their
 * positions were attached (Perceiver, section 4.1 and table 2): what a model
 * that assumes nothing about neighbours does not notice.  The order is that of
 * the seed and the number of elements; the structure of a grid is gone. */
#include "tokens.h"

#include <string.h>

/* Element j of the source of the batch, one at a time. */
static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;

    for (int j = at; j < at + n; j++, out += t->c)
        b->source.tile(&b->source, item, (int)b->order[j], 1, out);
}

static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    const pcv_batch *b = t->self;

    for (int j = at; j < at + n; j++, dout += t->c)
        b->source.tile_backward(&b->source, item, (int)b->order[j], 1, dout);
}

static int make_order(pcv_batch *b, int seed)
{
    uint32_t n = (uint32_t)b->tokens.n;

    if (b->order && b->ordered == n)
        return 0;
    pcv_free(b->order);
    b->ordered = 0;
    if (!(b->order = pcv_alloc(n, sizeof *b->order)))
        return -1;
    b->ordered = n;
    pcv_shuffle((uint64_t)seed, n, b->order, n);
    return 0;
}

/* What is masked moves along. */
static int move_mask(pcv_batch *b)
{
    size_t n = (size_t)b->tokens.n, need = n * (size_t)b->tokens.items;

    if (need > b->moved_cap) {
        pcv_free(b->moved);
        b->moved = pcv_alloc(need, 1);
        b->moved_cap = b->moved ? need : 0;
    }
    if (!b->moved)
        return -1;
    for (size_t i = 0; i < (size_t)b->tokens.items; i++)
        for (size_t j = 0; j < n; j++)
            b->moved[i * n + j] = b->source.mask[i * n + b->order[j]];
    b->tokens.mask = b->moved;
    return 0;
}

int pcv_batch_permute(pcv_batch *b, int seed)
{
    if (make_order(b, seed) < 0)
        return -1;
    b->source = b->tokens;
    b->tokens.tile = tile;
    b->tokens.tile_backward = b->source.tile_backward ? tile_backward : NULL;
    b->tokens.segments = 0;
    return b->source.mask ? move_mask(b) : 0;
}

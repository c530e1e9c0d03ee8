/* rows.c - rows that are in memory already: the latents as a decoder reads
 * them, and arrays in tests. */
#include "tokens.h"

#include <string.h>

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_row_tokens *r = t->self;
    size_t o = ((size_t)item * (size_t)t->n + (size_t)at) * (size_t)t->c;

    memcpy(out, r->rows + o, (size_t)n * (size_t)t->c * sizeof *out);
}

static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    const pcv_row_tokens *r = t->self;
    size_t o = ((size_t)item * (size_t)t->n + (size_t)at) * (size_t)t->c;

    for (int j = 0; j < n; j++)
        pcv_rows_get()->add(r->drows + o + (size_t)j * (size_t)t->c,
                            dout + (size_t)j * (size_t)t->c, t->c);
}

void pcv_rows_bind(pcv_row_tokens *r, const real *rows, real *drows, int items,
                   int n, int c)
{
    *r = (pcv_row_tokens){ .rows = rows, .drows = drows };
    r->tokens = (pcv_tokens){ .items = items, .n = n, .c = c, .tile = tile };
    r->tokens.tile_backward = drows ? tile_backward : NULL;
    r->tokens.self = r;
}

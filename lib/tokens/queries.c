/* queries.c - the rows that are asked for: learned vectors (one for a class,
 * one per byte; Perceiver IO, section 3.2), the position features of an output
 * grid (reconstruction), or the rows of the input itself (optical flow).  Of a
 * grid there is one table per axis; a row is put together when it is asked
 * for, so that a grid may be of any size. */
#include "tokens.h"

#include <string.h>

static int make_axis(pcv_queries *q, const pcv_queries_spec *s, int a)
{
    int n = s->len[a], cols = 2 * s->bands + 1;
    double at;

    q->axis[a] = pcv_alloc((size_t)n * (size_t)cols, sizeof(real));
    q->channel[a] = pcv_alloc((size_t)cols, sizeof(int));
    if (!q->axis[a] || !q->channel[a])
        return -1;
    for (int i = 0; i < n; i++) {
        at = s->by_index ? -1 + 2 * (double)i / n : pcv_grid_position(i, n);
        pcv_fourier_axis(s->position, s->bands,
                         s->max_res[a] > 0 ? s->max_res[a] : n, &at, 1,
                         q->axis[a] + (size_t)i * (size_t)cols);
    }
    for (int k = 0; k < cols; k++)
        q->channel[a][k] = pcv_fourier_channel(s->axes, s->bands, a, k);
    q->grid.len[a] = n;
    q->grid.cols[a] = cols;
    q->grid.table[a] = q->axis[a];
    q->grid.channel[a] = q->channel[a];
    return 0;
}

static int make_grid(pcv_queries *q, const pcv_queries_spec *s)
{
    size_t n = 1;
    bool fits = true;

    for (int a = 0; a < s->axes; a++)
        fits = fits && pcv_mul(n, (size_t)s->len[a], &n) && n <= 1 << 30;
    if (!fits)
        return pcv_fail(EX_DATAERR, "an output grid of more than 2^30 "
                        "elements");
    q->n = (int)n;
    q->e = s->axes * (2 * s->bands + 1);
    q->grid.axes = s->axes;
    for (int a = 0; a < s->axes; a++)
        if (make_axis(q, s, a) < 0)
            return -1;
    return 0;
}

int pcv_queries_init(pcv_queries *q, pcv_params *p, const pcv_queries_spec *s)
{
    *q = (pcv_queries){ .kind = s->kind, .n = s->n, .e = s->e };
    if (s->kind == PCV_ASK_GRID)
        return make_grid(q, s);
    if (s->kind == PCV_ASK_LEARNED)
        q->table = pcv_param_add(p, s->path, "position_embeddings",
                                 (size_t)s->n, (size_t)s->e, 0, (real)0.02,
                                 true);
    return 0;
}

void pcv_queries_free(pcv_queries *q)
{
    for (int a = 0; a < 3; a++) {
        pcv_free(q->axis[a]);
        pcv_free(q->channel[a]);
    }
    *q = (pcv_queries){0};
}

/* Query i of a grid. */
static void grid_row(const pcv_segment *g, int i, real *out)
{
    for (int a = g->axes - 1; a >= 0; i /= g->len[a], a--) {
        const real *row = g->table[a] +
                          (size_t)(i % g->len[a]) * (size_t)g->cols[a];

        for (int k = 0; k < g->cols[a]; k++)
            out[g->channel[a][k]] = row[k];
    }
}

const pcv_segment *pcv_queries_grid(const pcv_queries *q,
                                    const pcv_tokens *input)
{
    if (q->kind == PCV_ASK_GRID)
        return &q->grid;
    return q->kind == PCV_ASK_INPUT && input->segments == 1 ? input->segment
                                                            : NULL;
}

void pcv_queries_rows(const pcv_queries *q, const pcv_tokens *input, int item,
                      const int *index, int n, real *out, int ld)
{
    for (int i = 0; i < n; i++, out += ld) {
        int k = index ? index[i] : i;

        if (q->kind == PCV_ASK_GRID)
            grid_row(&q->grid, k, out);
        else if (q->kind == PCV_ASK_INPUT)
            input->tile(input, item, k, 1, out);
        else
            memcpy(out, q->table->w + (size_t)k * (size_t)q->e,
                   (size_t)q->e * sizeof *out);
    }
}

void pcv_queries_backward(const pcv_queries *q, const int *index, int n,
                          const real *dout, int ld)
{
    for (int i = 0; q->table && q->table->g && i < n; i++)
        pcv_rows_get()->add(q->table->g + (size_t)(index ? index[i] : i) *
                                              (size_t)q->e,
                            dout + (size_t)i * (size_t)ld, q->e);
}

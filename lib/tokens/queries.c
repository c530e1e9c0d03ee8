/* queries.c - the rows that are asked for: learned vectors (one for a class,
 * one per byte; Perceiver IO, section 3.2), the position features of an output
 * grid (reconstruction), or the rows of the input itself (optical flow).  Of a
 * grid there is one table per axis; a row is put together when it is asked
 * for, so that a grid may be of any size. */
#include "tokens.h"

#include <string.h>

static int columns(const pcv_queries *q)
{
    return 2 * q->bands + 1;
}

static int make_axis(pcv_queries *q, const pcv_queries_spec *s, int a)
{
    int n = q->len[a], cols = columns(q);
    double at;

    q->axis[a] = pcv_alloc((size_t)n * (size_t)cols, sizeof(real));
    if (!q->axis[a])
        return -1;
    for (int i = 0; i < n; i++) {
        at = s->by_index ? -1 + 2 * (double)i / n : pcv_grid_position(i, n);
        pcv_fourier_axis(s->position, q->bands,
                         s->max_res[a] > 0 ? s->max_res[a] : n, &at, 1,
                         q->axis[a] + (size_t)i * (size_t)cols);
    }
    return 0;
}

static int make_grid(pcv_queries *q, const pcv_queries_spec *s)
{
    size_t n = 1;
    bool fits = true;

    q->axes = s->axes;
    q->bands = s->bands;
    for (int a = 0; a < s->axes; a++) {
        q->len[a] = s->len[a];
        fits = fits && pcv_mul(n, (size_t)s->len[a], &n) && n <= 1 << 30;
    }
    if (!fits)
        return pcv_fail(EX_DATAERR, "an output grid of more than 2^30 "
                        "elements");
    q->n = (int)n;
    q->e = s->axes * columns(q);
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
    for (int a = 0; a < 3; a++)
        pcv_free(q->axis[a]);
    *q = (pcv_queries){0};
}

/* Query i of a grid. */
static void grid_row(const pcv_queries *q, int i, real *out)
{
    int cols = columns(q);

    for (int a = q->axes - 1; a >= 0; i /= q->len[a], a--) {
        const real *row = q->axis[a] + (size_t)(i % q->len[a]) * (size_t)cols;

        for (int k = 0; k < cols; k++)
            out[pcv_fourier_channel(q->axes, q->bands, a, k)] = row[k];
    }
}

void pcv_queries_rows(const pcv_queries *q, const pcv_tokens *input, int item,
                      const int *index, int n, real *out, int ld)
{
    for (int i = 0; i < n; i++, out += ld) {
        int k = index ? index[i] : i;

        if (q->kind == PCV_ASK_GRID)
            grid_row(q, k, out);
        else if (q->kind == PCV_ASK_INPUT)
            input->tile(input, item, k, 1, out);
        else
            memcpy(out, q->table->w + (size_t)k * (size_t)q->e,
                   (size_t)q->e * sizeof *out);
    }
}

void pcv_queries_backward(const pcv_queries *q, const int *index, int n,
                          const real *dout)
{
    for (int i = 0; q->table && q->table->g && i < n; i++)
        pcv_rows_get()->add(q->table->g + (size_t)(index ? index[i] : i) *
                                              (size_t)q->e,
                            dout + (size_t)i * (size_t)q->e, q->e);
}

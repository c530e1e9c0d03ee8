/* queries.c - the rows that are asked for: learned vectors (one for a class,
 * section 3.2), or the position features of an output grid (reconstruction:
 * one query per pixel). */
#include "tokens.h"

#include <string.h>

static int make_grid(pcv_queries *q, const pcv_queries_spec *s)
{
    int cols = 2 * s->bands + 1, rest;
    double at;
    real row[2 * 256 + 1];

    q->n = 1;
    for (int a = 0; a < s->axes; a++)
        q->n *= s->len[a];
    q->e = s->axes * cols;
    if (s->bands > 256)
        return pcv_fail(EX_DATAERR, "%d bands for the output queries, want at "
                        "most 256", s->bands);
    if (!(q->grid = pcv_alloc((size_t)q->n * (size_t)q->e, sizeof *q->grid)))
        return -1;
    for (int j = 0; j < q->n; j++) {
        rest = j;
        for (int a = s->axes - 1; a >= 0; rest /= s->len[a], a--) {
            at = pcv_grid_position(rest % s->len[a], s->len[a]);
            pcv_fourier_axis(s->position, s->bands,
                             s->max_res[a] > 0 ? s->max_res[a] : s->len[a],
                             &at, 1, row);
            for (int k = 0; k < cols; k++)
                q->grid[(size_t)j * (size_t)q->e +
                        (size_t)pcv_fourier_channel(s->axes, s->bands, a, k)] =
                    row[k];
        }
    }
    return 0;
}

int pcv_queries_init(pcv_queries *q, pcv_params *p, const pcv_queries_spec *s)
{
    *q = (pcv_queries){ .kind = s->kind, .n = s->n, .e = s->e };
    if (s->kind == PCV_ASK_GRID)
        return make_grid(q, s);
    q->table = pcv_param_add(p, s->path, "position_embeddings", (size_t)s->n,
                             (size_t)s->e, 0, (real)0.02, true);
    return 0;
}

void pcv_queries_free(pcv_queries *q)
{
    pcv_free(q->grid);
    *q = (pcv_queries){0};
}

void pcv_queries_rows(const pcv_queries *q, const int *index, int n, real *out)
{
    const real *from = q->table ? q->table->w : q->grid;

    for (int i = 0; i < n; i++)
        memcpy(out + (size_t)i * (size_t)q->e,
               from + (size_t)(index ? index[i] : i) * (size_t)q->e,
               (size_t)q->e * sizeof *out);
}

void pcv_queries_backward(const pcv_queries *q, const int *index, int n,
                          const real *dout)
{
    for (int i = 0; q->table && q->table->g && i < n; i++)
        pcv_rows_get()->add(q->table->g + (size_t)(index ? index[i] : i) *
                                              (size_t)q->e,
                            dout + (size_t)i * (size_t)q->e, q->e);
}

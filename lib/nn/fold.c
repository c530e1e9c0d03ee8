/* fold.c - the projections of a source moved to the other side of the
 * attention: keys into the queries, values behind the weighted sum.
 *
 * With xh = (x - mean) rstd the normalised rows, g, b the norm's gain and bias,
 * and per head of d key channels
 *
 *   raw = W_k^T q / sqrt(d)     u = g raw     s = u . xh + shift
 *   z   = sum_j p_j xh_j        y = W_v (g z + b) + b_v
 *
 * where shift = raw . b + q . b_k / sqrt(d) is the same for all j, so that the
 * softmax does not see it.  All rows are those of one item's N x H reads. */
#include "nn.h"

#include <math.h>

static inline size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

static real scale_of(const pcv_reader *r)
{
    return (real)(1 / sqrt((double)r->key->out / r->heads));
}

/* ---- forward --------------------------------------------------------- */

/* Products of one item: they do not depend on its neighbours. */
static void fold_item(const pcv_reader *r, int n, const real *q, real *raw)
{
    int c = r->norm->n, qk = r->key->out, d = qk / r->heads;

    for (int h = 0; h < r->heads; h++)
        pcv_matmul(false, false, n, c, d, scale_of(r), q + h * d, qk,
                   r->key->w->w + mul(h * d, c), c, 0, raw + mul(h, c),
                   r->heads * c);
}

void pcv_fold_queries(const pcv_reader *r, int items, int n, const real *q,
                      real *raw)
{
    for (int b = 0; b < items; b++)
        fold_item(r, n, q + mul(b * n, r->key->out),
                  raw + mul(b * n, r->heads * r->norm->n));
}

typedef struct {
    const pcv_norm *l;
    const real *z;
    real *a;
    size_t rows;
} affine_job;

enum { AFFINE_ROWS = 64 };

static void affine_rows(void *arg, int i)
{
    const affine_job *j = arg;
    const pcv_norm *l = j->l;
    size_t at = (size_t)i * AFFINE_ROWS, end = at + AFFINE_ROWS;

    for (; at < end && at < j->rows; at++)
        for (int k = 0; k < l->n; k++)
            j->a[at * (size_t)l->n + (size_t)k] =
                l->g->w[k] * j->z[at * (size_t)l->n + (size_t)k] + l->b->w[k];
}

/* a = g z + b over rows of C. */
static void affine(const pcv_norm *l, const real *z, size_t rows, real *a)
{
    affine_job j = { l, z, a, rows };

    pcv_parallel((int)((rows + AFFINE_ROWS - 1) / AFFINE_ROWS), affine_rows,
                 &j);
}

static void add_bias(const pcv_linear *l, int rows, real *y)
{
    const pcv_rows *k = pcv_rows_get();

    for (int i = 0; l->b && i < rows; i++)
        k->add(y + mul(i, l->out), l->b->w, l->out);
}

static void value_item(const pcv_reader *r, int n, const real *a, real *y)
{
    int c = r->norm->n, v = r->value->out, dv = v / r->heads;

    for (int h = 0; h < r->heads; h++)
        pcv_matmul(false, true, n, dv, c, 1, a + mul(h, c), r->heads * c,
                   r->value->w->w + mul(h * dv, c), c, 0, y + h * dv, v);
    add_bias(r->value, n, y);
}

void pcv_unfold_values(const pcv_reader *r, int items, int n, const real *z,
                       real *a, real *y)
{
    affine(r->norm, z, mul(items * n, r->heads), a);
    for (int b = 0; b < items; b++)
        value_item(r, n, a + mul(b * n, r->heads * r->norm->n),
                   y + mul(b * n, r->value->out));
}

/* ---- backward -------------------------------------------------------- */

/* The norm's share of da, which becomes dz. */
static void affine_backward(const pcv_norm *l, const real *z, size_t rows,
                            real *da)
{
    for (size_t i = 0; i < rows; i++)
        for (int k = 0; k < l->n; k++) {
            size_t o = i * (size_t)l->n + (size_t)k;

            if (l->g->g) {
                l->b->g[k] += da[o];
                l->g->g[k] += da[o] * z[o];
            }
            da[o] *= l->g->w[k];
        }
}

void pcv_unfold_values_backward(const pcv_reader *r, int rows, const real *dy,
                                const real *z, real *a, real *dz)
{
    int c = r->norm->n, h = r->heads, v = r->value->out, dv = v / h;

    affine(r->norm, z, mul(rows, h), a);
    for (int k = 0; k < h; k++) {
        const real *w = r->value->w->w + mul(k * dv, c);

        pcv_matmul(false, false, rows, c, dv, 1, dy + k * dv, v, w, c, 0,
                   dz + mul(k, c), h * c);
        if (r->value->w->g)
            pcv_matmul(true, false, dv, c, rows, 1, dy + k * dv, v,
                       a + mul(k, c), h * c, 1,
                       r->value->w->g + mul(k * dv, c), c);
    }
    if (r->value->b && r->value->b->g)
        pcv_column_sums(dy, rows, v, r->value->b->g);
    affine_backward(r->norm, z, mul(rows, h), dz);
}

/* du becomes the gradient of raw. */
static void gain_backward(const pcv_norm *l, const real *raw, size_t rows,
                          real *du)
{
    for (size_t i = 0; i < rows; i++)
        for (int k = 0; k < l->n; k++) {
            size_t o = i * (size_t)l->n + (size_t)k;

            if (l->g->g)
                l->g->g[k] += du[o] * raw[o];
            du[o] *= l->g->w[k];
        }
}

void pcv_fold_queries_backward(const pcv_reader *r, int rows, const real *q,
                               const real *raw, real *du, real *dq)
{
    int c = r->norm->n, h = r->heads, qk = r->key->out, d = qk / h;

    gain_backward(r->norm, raw, mul(rows, h), du);
    for (int k = 0; k < h; k++) {
        pcv_matmul(false, true, rows, d, c, scale_of(r), du + mul(k, c), h * c,
                   r->key->w->w + mul(k * d, c), c, 1, dq + k * d, qk);
        if (r->key->w->g)
            pcv_matmul(true, false, d, c, rows, scale_of(r), q + k * d, qk,
                       du + mul(k, c), h * c, 1, r->key->w->g + mul(k * d, c),
                       c);
    }
}

/* ---- what the softmax does not see ----------------------------------- */

typedef struct {
    const pcv_reader *r;
    const real *q, *raw;
    real *shift;
    int reads;                  /* of all items */
} shift_job;

static void shift_rows(void *arg, int i)
{
    const shift_job *j = arg;
    const pcv_reader *r = j->r;
    const pcv_rows *k = pcv_rows_get();
    int c = r->norm->n, h = r->heads, d = r->key->out / h;
    int at = i * AFFINE_ROWS, end = at + AFFINE_ROWS;

    for (; at < end && at < j->reads; at++) {
        j->shift[at] = k->dot(j->raw + mul(at, c), r->norm->b->w, c);
        if (r->key->b)
            j->shift[at] += scale_of(r) * k->dot(j->q + mul(at, d),
                                                 r->key->b->w + at % h * d, d);
    }
}

void pcv_fold_shift(const pcv_reader *r, int rows, const real *q,
                    const real *raw, real *shift)
{
    shift_job j = { r, q, raw, shift, rows * r->heads };

    pcv_parallel((j.reads + AFFINE_ROWS - 1) / AFFINE_ROWS, shift_rows, &j);
}

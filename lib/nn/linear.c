/* linear.c - y = x W^T + b, W stored out x in as in the published files.
 *
 *   dx += dy W        dW += dy^T x        db += sum of dy over rows */
#include "nn.h"

#include <math.h>
#include <string.h>

void pcv_linear_init(pcv_linear *l, pcv_params *p, const char *path, int in,
                     int out, bool bias, double std)
{
    l->in = in;
    l->out = out;
    l->packed = NULL;
    l->w = pcv_param_add(p, path, "weight", (size_t)out, (size_t)in, 0,
                         (real)std, true);
    l->b = bias ? pcv_param_add(p, path, "bias", (size_t)out, 0, 0, 0, false)
                : NULL;
}

typedef struct {
    const real *b;
    real *y;
    int rows, n;
} biases;

enum { BIAS_ROWS = 256 };

static void fill(void *arg, int i)
{
    const biases *s = arg;
    int end = (i + 1) * BIAS_ROWS < s->rows ? (i + 1) * BIAS_ROWS : s->rows;

    for (int r = i * BIAS_ROWS; r < end; r++)
        memcpy(s->y + (size_t)r * (size_t)s->n, s->b,
               (size_t)s->n * sizeof *s->y);
}

void pcv_linear_forward(const pcv_linear *l, const real *x, int rows, real *y)
{
    if (l->packed) {
        pcv_packed_product(l->packed, x, rows, l->b ? l->b->w : NULL, y);
        return;
    }
    if (l->b) {
        biases s = { l->b->w, y, rows, l->out };

        pcv_parallel((rows + BIAS_ROWS - 1) / BIAS_ROWS, fill, &s);
    }
    pcv_matmul(false, true, rows, l->out, l->in, 1, x, l->in, l->w->w, l->in,
               l->b ? 1 : 0, y, l->out);
}

typedef struct {
    const real *dy;
    real *db;
    int rows, n;
} columns;

enum { COLUMNS = 64 };

static void column_sum(void *arg, int i)
{
    const columns *c = arg;
    int at = i * COLUMNS, n = at + COLUMNS < c->n ? COLUMNS : c->n - at;
    const pcv_rows *k = pcv_rows_get();
    real sum[COLUMNS] = {0};    /* neighbours belong to other threads */

    for (int r = 0; r < c->rows; r++)
        k->add(sum, c->dy + (size_t)r * (size_t)c->n + at, n);
    k->add(c->db + at, sum, n);
}

void pcv_column_sums(const real *dy, int rows, int n, real *db)
{
    columns c = { dy, db, rows, n };

    pcv_parallel((n + COLUMNS - 1) / COLUMNS, column_sum, &c);
}

void pcv_linear_backward(const pcv_linear *l, const real *x, const real *dy,
                         int rows, real *dx)
{
    if (dx)
        pcv_matmul(false, false, rows, l->in, l->out, 1, dy, l->out, l->w->w,
                   l->in, 1, dx, l->in);
    if (l->w->g)
        pcv_matmul(true, false, l->out, l->in, rows, 1, dy, l->out, x, l->in,
                   1, l->w->g, l->in);
    if (l->b && l->b->g)
        pcv_column_sums(dy, rows, l->out, l->b->g);
}

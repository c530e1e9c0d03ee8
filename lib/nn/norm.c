/* norm.c - layer norm over the last axis, eps 1e-5 whatever a config says
 * (every published checkpoint was trained with that).
 *
 *   xh = (x - mean) rstd      y = g xh + b
 *   db += dy      dg += dy xh
 *   dx += rstd (t - mean(t) - xh mean(t xh))      t = dy g
 */
#include "nn.h"

void pcv_norm_init(pcv_norm *l, pcv_params *p, const char *path, int n)
{
    l->n = n;
    l->g = pcv_param_add(p, path, "weight", (size_t)n, 0, 1, 0, false);
    l->b = pcv_param_add(p, path, "bias", (size_t)n, 0, 0, 0, false);
}

typedef struct {
    const pcv_norm *l;
    const real *x, *dy;
    real *y, *stats, *dx;
    int rows;
} norm_job;

enum { NORM_ROWS = 64, NORM_COLUMNS = 64 };

static void forward_rows(void *arg, int i)
{
    const norm_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int n = j->l->n, at = i * NORM_ROWS;
    int end = at + NORM_ROWS < j->rows ? at + NORM_ROWS : j->rows;

    for (int r = at; r < end; r++)
        k->norm(j->x + (size_t)r * (size_t)n, n, j->l->g->w, j->l->b->w,
                j->y + (size_t)r * (size_t)n, j->stats + 2 * (size_t)r);
}

void pcv_norm_forward(const pcv_norm *l, const real *x, int rows, real *y,
                      real *stats)
{
    norm_job j = { l, x, NULL, y, stats, NULL, rows };

    pcv_parallel((rows + NORM_ROWS - 1) / NORM_ROWS, forward_rows, &j);
}

static void backward_rows(void *arg, int i)
{
    const norm_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int n = j->l->n, at = i * NORM_ROWS;
    int end = at + NORM_ROWS < j->rows ? at + NORM_ROWS : j->rows;

    for (int r = at; r < end; r++) {
        size_t o = (size_t)r * (size_t)n;

        k->norm_back(j->x + o, n, j->l->g->w, j->stats + 2 * (size_t)r,
                     j->dy + o, j->dx + o);
    }
}

/* dg and db of a few columns, summed over all rows by one thread; in memory of
 * its own, since neighbouring columns belong to other threads. */
static void backward_columns(void *arg, int i)
{
    const norm_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int n = j->l->n, at = i * NORM_COLUMNS;
    int count = at + NORM_COLUMNS < n ? NORM_COLUMNS : n - at;
    real dg[NORM_COLUMNS] = {0}, db[NORM_COLUMNS] = {0};

    for (int r = 0; r < j->rows; r++) {
        size_t o = (size_t)r * (size_t)n + (size_t)at;

        k->norm_sums(j->x + o, count, j->stats + 2 * (size_t)r, j->dy + o, dg,
                     db);
    }
    k->add(j->l->g->g + at, dg, count);
    k->add(j->l->b->g + at, db, count);
}

void pcv_norm_backward(const pcv_norm *l, const real *x, const real *stats,
                       const real *dy, int rows, real *dx)
{
    norm_job j = { l, x, dy, NULL, (real *)stats, dx, rows };

    if (l->g->g)
        pcv_parallel((l->n + NORM_COLUMNS - 1) / NORM_COLUMNS,
                     backward_columns, &j);
    if (dx)
        pcv_parallel((rows + NORM_ROWS - 1) / NORM_ROWS, backward_rows, &j);
}

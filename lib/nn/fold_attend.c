/* fold_attend.c - attention to dense rows without their keys and values: for
 * points, texts, learned positions, long sounds, and whatever else has rows
 * but no grid.
 *
 * Keys are folded into the queries and values applied to the weighted sum of
 * the normalised rows (fold.c), so that rows are made, normalised, multiplied
 * with all reads and forgotten, a tile at a time:
 *
 *   S = U Xh^T      P = exp(S - top)      Z += P Xh
 *
 * under an online softmax.  Per row and read that is 2 C multiply-adds where
 * keys and values cost qk/H + v/H, and C (qk + v) per row to make them: the
 * better bargain for few queries (pcv_read_form counts).  Z is summed over the
 * tiles in double: its error does not grow with the number of rows.
 *
 * Backward makes each tile again.  P from S and the log-sum-exp,
 *
 *   dP = dZ Xh^T    dS = P (dP - dZ . Z)    dU += dS Xh
 *   dXh = P^T dZ + dS^T U
 *
 * and on through the norm where the rows learn.
 *
 * Reads of an item are cut into panels, tiles of rows into chunks, by shape
 * alone; items are taken a few at a time, so that scratch does not grow with
 * the batch. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { TILE = 512, CHUNK = 64, MOST_PANEL = 64, PANELS = 16 };

static inline size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

static inline int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

typedef struct {
    const pcv_reader *r;
    const pcv_tokens *t;
    int reads, panel, panels;   /* N x H of an item, cut into panels */
    int wave;                   /* items at a time */
    int item, items;            /* of this wave: the first, how many */
    int at, rows;               /* the tile */
    real *ones, *zeros;         /* C: the gain is in u, the bias in y */
    real *x, *xh;               /* wave x TILE x C */
    real *stats;                /* wave x TILE x 2 */
    const real *u, *dz, *dot;   /* B x reads x C; dz . z: B x reads */
    real *lse;                  /* B x reads: first the running maximum */
    double *sum;                /* wave x reads */
    double *total;              /* wave x reads x C: Z, or dU */
    real *s;                    /* forward: a panel x TILE per thread;
                                   backward: wave x reads x TILE */
    real *ds;                   /* the same */
    real *part;                 /* a panel x C per thread */
    real *dxh, *dx;             /* wave x TILE x C */
} fold_job;

/* ---- the memory ------------------------------------------------------ */

static int tile_rows(const pcv_tokens *t)
{
    return t->n < TILE ? t->n : TILE;
}

static void shapes(const pcv_reader *r, const pcv_tokens *t, int n,
                   fold_job *j)
{
    int quarter = ceil_div(n * r->heads, 4);

    *j = (fold_job){ .r = r, .t = t, .reads = n * r->heads };
    j->panel = quarter < MOST_PANEL ? ceil_div(quarter, 16) * 16 : MOST_PANEL;
    j->panels = ceil_div(j->reads, j->panel);
    j->wave = ceil_div(PANELS, j->panels);
    j->wave = j->wave < t->items ? j->wave : t->items;
}

static void layout(const pcv_reader *r, const pcv_tokens *t, int n,
                   bool backward, pcv_arena *a, fold_job *j)
{
    size_t c = (size_t)t->c, w = sizeof(real), rows, reads, threads;

    shapes(r, t, n, j);
    rows = mul(j->wave, tile_rows(t));
    reads = mul(j->wave, j->reads);
    threads = (size_t)pcv_threads();
    j->ones = pcv_arena_take(a, c, w);
    j->zeros = pcv_arena_take(a, c, w);
    j->x = pcv_arena_take(a, rows * c, w);
    j->xh = pcv_arena_take(a, rows * c, w);
    j->stats = pcv_arena_take(a, rows * 2, w);
    j->total = pcv_arena_take(a, reads * c, sizeof(double));
    j->sum = pcv_arena_take(a, reads, sizeof(double));
    j->part = pcv_arena_take(a, threads * (size_t)j->panel * c, w);
    if (!backward) {
        j->s = pcv_arena_take(a, threads * mul(j->panel, tile_rows(t)), w);
        return;
    }
    j->s = pcv_arena_take(a, reads * (size_t)tile_rows(t), w);
    j->ds = pcv_arena_take(a, reads * (size_t)tile_rows(t), w);
    j->dxh = pcv_arena_take(a, rows * c, w);
    j->dx = pcv_arena_take(a, rows * c, w);
}

size_t pcv_fold_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        bool backward)
{
    size_t reads = mul(t->items * n, r->heads), c = (size_t)t->c;
    pcv_arena a = {0};
    fold_job j;

    layout(r, t, n, backward, &a, &j);
    for (int i = 0; i < (backward ? 4 : 2); i++)
        pcv_arena_take(&a, reads * c, sizeof(real));
    for (int i = 0; i < 3; i++)
        pcv_arena_take(&a, reads, sizeof(real));
    return a.peak;
}

static real *take(pcv_arena *a, size_t rows, int c)
{
    return pcv_arena_take(a, rows * (size_t)c, sizeof(real));
}

/* ---- rows ------------------------------------------------------------ */

static void make_chunk(void *arg, int i)
{
    const fold_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int chunks = ceil_div(j->rows, CHUNK), c = j->t->c;
    int b = i / chunks, at = i % chunks * CHUNK;
    int n = j->rows - at < CHUNK ? j->rows - at : CHUNK;
    size_t row = mul(b, tile_rows(j->t)) + (size_t)at;
    real *x = j->x + row * (size_t)c;

    j->t->tile(j->t, j->item + b, j->at + at, n, x);
    for (int e = 0; e < n; e++)
        k->norm(x + mul(e, c), c, j->ones, j->zeros,
                j->xh + (row + (size_t)e) * (size_t)c,
                j->stats + 2 * (row + (size_t)e));
}

/* Calls fn for each panel of the items, once for every tile. */
static void over_tiles(fold_job *j, void (*fn)(void *arg, int i),
                       void (*then)(fold_job *j))
{
    for (j->at = 0; j->at < j->t->n; j->at += TILE) {
        j->rows = j->t->n - j->at < TILE ? j->t->n - j->at : TILE;
        pcv_parallel(j->items * ceil_div(j->rows, CHUNK), make_chunk, j);
        pcv_parallel(j->items * j->panels, fn, j);
        if (then)
            then(j);
    }
}

/* Panel i: its first read of its item, and how many. */
typedef struct {
    int b, at, n;
    size_t wave, all;           /* the first read within a wave, a batch */
    const real *xh;
} panel;

static panel panel_of(const fold_job *j, int i)
{
    panel p = { .b = i / j->panels, .at = i % j->panels * j->panel };

    p.n = j->reads - p.at < j->panel ? j->reads - p.at : j->panel;
    p.wave = mul(p.b, j->reads) + (size_t)p.at;
    p.all = mul(j->item + p.b, j->reads) + (size_t)p.at;
    p.xh = j->xh + mul(p.b, tile_rows(j->t)) * (size_t)j->t->c;
    return p;
}

/* Scores of a panel, or what dz is to the rows: n x rows of the tile. */
static void products(const fold_job *j, const panel *p, const real *left,
                     real *out)
{
    pcv_gemm(false, true, p->n, j->rows, j->t->c, 1,
             left + p->all * (size_t)j->t->c, j->t->c, p->xh, j->t->c, 0, out,
             j->rows);
}

static void hide(const fold_job *j, const panel *p, real *s)
{
    const unsigned char *mask = j->t->mask;

    if (!mask)
        return;
    mask += mul(j->item + p->b, j->t->n) + (size_t)j->at;
    for (int e = 0; e < j->rows; e++)
        if (!mask[e])
            for (int i = 0; i < p->n; i++)
                s[mul(i, j->rows) + (size_t)e] = -(real)INFINITY;
}

/* total += weights (n x rows) times the rows. */
static void pool(const fold_job *j, const panel *p, const real *weights)
{
    int c = j->t->c;
    real *part = j->part + mul(pcv_thread_id(), j->panel) * (size_t)c;
    double *total = j->total + p->wave * (size_t)c;

    pcv_gemm(false, false, p->n, c, j->rows, 1, weights, j->rows, p->xh, c, 0,
             part, c);
    for (size_t i = 0; i < mul(p->n, c); i++)
        total[i] += (double)part[i];
}

/* ---- forward --------------------------------------------------------- */

/* Read i of a panel: s becomes exp(s - top); what was summed follows the
 * running maximum.  While all is masked the shift is 0: weights of 0, and NaN
 * if NaN. */
static void weigh(const fold_job *j, const panel *p, int i, real *s)
{
    const pcv_rows *k = pcv_rows_get();
    real *top = &j->lse[p->all + (size_t)i], most = k->max(s, j->rows);
    double *sum = &j->sum[p->wave + (size_t)i];
    double *total = j->total + (p->wave + (size_t)i) * (size_t)j->t->c;

    if (most > *top) {
        double f = exp((double)(*top - most));

        *sum *= f;
        for (int e = 0; e < j->t->c; e++)
            total[e] *= f;
        *top = most;
    }
    *sum += (double)k->exp_sum(s, j->rows, *top == -(real)INFINITY ? 0 : *top);
}

static void forward_panel(void *arg, int i)
{
    const fold_job *j = arg;
    panel p = panel_of(j, i);
    real *s = j->s + mul(pcv_thread_id(), j->panel) * (size_t)tile_rows(j->t);

    products(j, &p, j->u, s);
    hide(j, &p, s);
    for (int e = 0; e < p.n; e++)
        weigh(j, &p, e, s + mul(e, j->rows));
    pool(j, &p, s);
}

static void open_sums(fold_job *j)
{
    size_t reads = mul(j->items, j->reads), c = (size_t)j->t->c;

    memset(j->total, 0, reads * c * sizeof *j->total);
    memset(j->sum, 0, reads * sizeof *j->sum);
    for (size_t i = 0; i < c; i++) {
        j->ones[i] = 1;
        j->zeros[i] = 0;
    }
}

static void forward_wave(fold_job *j, real *z)
{
    size_t reads = mul(j->items, j->reads), c = (size_t)j->t->c;
    real *lse = j->lse + mul(j->item, j->reads);

    open_sums(j);
    for (size_t i = 0; i < reads; i++)
        lse[i] = -(real)INFINITY;
    over_tiles(j, forward_panel, NULL);
    for (size_t i = 0; i < reads; i++) {
        for (size_t k = i * c; k < (i + 1) * c; k++)
            z[k] = (real)(j->total[k] / j->sum[i]);
        lse[i] += (real)log(j->sum[i]);
    }
}

/* The next items, at most a wave of them; false at the end. */
static bool next_wave(fold_job *j)
{
    j->item += j->items;
    j->items = j->t->items - j->item < j->wave ? j->t->items - j->item
                                               : j->wave;
    return j->items > 0;
}

/* u = g raw. */
static void fold(const pcv_reader *r, size_t reads, const real *raw, real *u)
{
    int c = r->norm->n;

    for (size_t i = 0; i < reads; i++)
        for (int k = 0; k < c; k++)
            u[i * (size_t)c + (size_t)k] =
                r->norm->g->w[k] * raw[i * (size_t)c + (size_t)k];
}

void pcv_fold_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch)
{
    size_t reads = mul(t->items * n, r->heads);
    real *raw, *u, *shift;
    fold_job j;

    layout(r, t, n, false, scratch, &j);
    raw = take(scratch, reads, t->c);
    u = take(scratch, reads, t->c);
    shift = take(scratch, reads, 1);
    pcv_fold_queries(r, t->items, n, q, raw);
    fold(r, reads, raw, u);
    j.u = u;
    j.lse = rec->lse;
    while (next_wave(&j))
        forward_wave(&j, rec->z + mul(j.item, j.reads) * (size_t)t->c);
    pcv_fold_shift(r, t->items * n, q, raw, shift);
    pcv_rows_get()->add(rec->lse, shift, (int)reads);
    pcv_unfold_values(r, t->items, n, rec->z, raw, y);
}

/* ---- backward -------------------------------------------------------- */

static void backward_panel(void *arg, int i)
{
    const fold_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    panel p = panel_of(j, i);
    size_t o = p.wave * (size_t)j->rows;

    products(j, &p, j->u, j->s + o);
    hide(j, &p, j->s + o);
    products(j, &p, j->dz, j->ds + o);
    for (int e = 0; e < p.n; e++)
        k->soft_back(j->s + o + mul(e, j->rows), j->ds + o + mul(e, j->rows),
                     j->rows, j->lse[p.all + (size_t)e],
                     j->dot[p.all + (size_t)e]);
    pool(j, &p, j->ds + o);
}

/* A chunk of the rows' gradient: all reads of its item, then the norm. */
static void rows_backward(void *arg, int i)
{
    const fold_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int chunks = ceil_div(j->rows, CHUNK), c = j->t->c;
    int b = i / chunks, at = i % chunks * CHUNK;
    int n = j->rows - at < CHUNK ? j->rows - at : CHUNK;
    size_t o = mul(b, j->reads) * (size_t)j->rows + (size_t)at;
    size_t left = mul(j->item + b, j->reads) * (size_t)c;
    size_t row = mul(b, tile_rows(j->t)) + (size_t)at;
    real *dxh = j->dxh + row * (size_t)c, *dx = j->dx + row * (size_t)c;

    pcv_gemm(true, false, n, c, j->reads, 1, j->s + o, j->rows, j->dz + left,
             c, 0, dxh, c);
    pcv_gemm(true, false, n, c, j->reads, 1, j->ds + o, j->rows, j->u + left,
             c, 1, dxh, c);
    memset(dx, 0, mul(n, c) * sizeof *dx);
    for (int e = 0; e < n; e++)
        k->norm_back(j->x + (row + (size_t)e) * (size_t)c, c, j->ones,
                     j->stats + 2 * (row + (size_t)e), dxh + mul(e, c),
                     dx + mul(e, c));
}

static void learn_tile(fold_job *j)
{
    size_t one = mul(tile_rows(j->t), j->t->c);

    pcv_parallel(j->items * ceil_div(j->rows, CHUNK), rows_backward, j);
    for (int b = 0; b < j->items; b++)
        j->t->tile_backward(j->t, j->item + b, j->at, j->rows,
                            j->dx + (size_t)b * one);
}

static void backward_wave(fold_job *j, real *du)
{
    size_t size = mul(j->items, j->reads) * (size_t)j->t->c;

    open_sums(j);
    over_tiles(j, backward_panel, j->t->tile_backward ? learn_tile : NULL);
    for (size_t i = 0; i < size; i++)
        du[i] = (real)j->total[i];
}

void pcv_fold_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch)
{
    const pcv_rows *k = pcv_rows_get();
    size_t reads = mul(t->items * n, r->heads), c = (size_t)t->c;
    real *raw, *u, *dz, *du, *lse, *dot, *shift;
    fold_job j;

    (void)y;                    /* z is enough */
    layout(r, t, n, true, scratch, &j);
    raw = take(scratch, reads, t->c);
    u = take(scratch, reads, t->c);
    dz = take(scratch, reads, t->c);
    du = take(scratch, reads, t->c);
    lse = take(scratch, reads, 1);
    dot = take(scratch, reads, 1);
    shift = take(scratch, reads, 1);
    pcv_fold_queries(r, t->items, n, q, raw);
    fold(r, reads, raw, u);
    pcv_fold_shift(r, t->items * n, q, raw, shift);
    pcv_unfold_values_backward(r, t->items * n, dy, rec->z, du, dz);
    for (size_t i = 0; i < reads; i++) {
        lse[i] = rec->lse[i] - shift[i];
        dot[i] = k->dot(dz + i * c, rec->z + i * c, t->c);
    }
    j.u = u;
    j.dz = dz;
    j.dot = dot;
    j.lse = lse;
    while (next_wave(&j))
        backward_wave(&j, du + mul(j.item, j.reads) * c);
    pcv_fold_queries_backward(r, t->items * n, q, raw, du, dq);
}

/* attend.c - softmax attention.
 *
 *   S = Q K^T / sqrt(qk / H)     P = softmax(S over keys)     Y = P V
 *
 * per head; head h owns a contiguous group of channels.  The scale uses the
 * width of a query head, not of a value head.  Backward keeps only the
 * log-sum-exp of each row and makes P again:
 *
 *   dV += P^T dY    dP = dY V^T    dS = P (dP - dY.Y)
 *   dQ += dS K / sqrt(..)          dK += dS^T Q / sqrt(..)
 *
 * Four ways to read a source, one result: `plain` builds its rows, keys and
 * values whole; `tiled` makes them a tile at a time under an online softmax,
 * so that memory does not grow with the source; `folded` (fold_attend.c) makes
 * the rows alone, tile by tile; `grid` (grid_attend.c) makes none of them.
 * `kept` is plain with keys and values that stay for further queries.  Every
 * item keeps at least one unmasked row. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { PANEL = 128, TILE = 512, CHUNK = 64 };

static inline int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static inline size_t mul3(int a, int b, int c)
{
    return (size_t)a * (size_t)b * (size_t)c;
}

/* ---- the core -------------------------------------------------------- */

typedef struct {
    pcv_core c;
    const real *q, *k, *v, *y, *dy;
    real *out, *lse, *dq, *dk, *dv;
    real *s, *dp;               /* per thread: PANEL x m */
    bool online;                /* out, lse (top) and sum carry on */
    real *sum;                  /* online: B x n x H */
} core_job;

static int panel_rows(int n)
{
    return n < PANEL ? n : PANEL;
}

static void core_layout(const pcv_core *c, bool backward, pcv_arena *a,
                        core_job *j)
{
    size_t panel = mul3(pcv_threads(), panel_rows(c->n), c->m);

    j->s = pcv_arena_take(a, panel, sizeof *j->s);
    j->dp = backward ? pcv_arena_take(a, panel, sizeof *j->dp) : NULL;
}

size_t pcv_core_scratch(const pcv_core *c, bool backward)
{
    pcv_arena count = {0};
    core_job j;

    if (c->low)
        return pcv_low_core_scratch(c);
    core_layout(c, backward, &count, &j);
    return count.peak;
}

static real core_scale(const pcv_core *c)
{
    return (real)(1 / sqrt((double)c->qk / c->heads));
}

/* Scores of rows at .. at+rows of one item and head, masked. */
static void scores(const core_job *j, int item, int head, int at, int rows,
                   real *s)
{
    const pcv_core *c = &j->c;
    int dh = c->qk / c->heads;

    pcv_gemm(false, true, rows, c->m, dh, core_scale(c),
             j->q + ((size_t)item * (size_t)c->n + (size_t)at) * (size_t)c->qk +
                 head * dh,
             c->qk, j->k + mul3(item, c->m, c->qk) + head * dh, c->qk, 0, s,
             c->m);
    if (!c->mask)
        return;
    for (int i = 0; i < c->m; i++)
        if (!c->mask[mul3(item, c->m, 1) + (size_t)i])
            for (int r = 0; r < rows; r++)
                s[mul3(r, c->m, 1) + (size_t)i] = -(real)INFINITY;
}

/* One row of an online softmax: s becomes exp(s - top), the running top and
 * sum move, y (what was summed so far) is scaled to the new top. */
static void online_row(const pcv_rows *k, real *s, int m, real *top, real *sum,
                       real *y, int dv)
{
    real t = k->max(s, m);

    if (t > *top) {
        real f = (real)exp((double)(*top - t));

        *sum *= f;
        k->scale(y, dv, f);
        *top = t;
    }
    /* While all is masked the shift is 0: weights of 0, and NaN if NaN. */
    *sum += k->exp_sum(s, m, *top == -(real)INFINITY ? 0 : *top);
}

static void forward_panel(void *arg, int i)
{
    const core_job *j = arg;
    const pcv_core *c = &j->c;
    const pcv_rows *k = pcv_rows_get();
    int panels = ceil_div(c->n, PANEL), at = i % panels * PANEL;
    int head = i / panels % c->heads, item = i / panels / c->heads;
    int rows = c->n - at < PANEL ? c->n - at : PANEL, dv = c->v / c->heads;
    real *s = j->s + mul3(pcv_thread_id(), panel_rows(c->n), c->m);
    size_t row = (size_t)item * (size_t)c->n + (size_t)at;
    real *y = j->out + row * (size_t)c->v + head * dv;

    scores(j, item, head, at, rows, s);
    for (int r = 0; r < rows; r++) {
        size_t o = (row + (size_t)r) * (size_t)c->heads + (size_t)head;
        real *sr = s + mul3(r, c->m, 1), *yr = y + mul3(r, c->v, 1);

        if (j->online) {
            online_row(k, sr, c->m, &j->lse[o], &j->sum[o], yr, dv);
        } else {
            real top = k->max(sr, c->m), sum = k->exp_sum(sr, c->m, top);

            k->scale(sr, c->m, 1 / sum);
            j->lse[o] = top + (real)log((double)sum);
        }
    }
    pcv_gemm(false, false, rows, dv, c->m, 1, s, c->m,
             j->v + mul3(item, c->m, c->v) + head * dv, c->v,
             j->online ? 1 : 0, y, c->v);
}

static int core_panels(const pcv_core *c)
{
    return c->items * c->heads * ceil_div(c->n, PANEL);
}

static void run_forward(core_job *j, pcv_arena *scratch)
{
    size_t mark = scratch->used;

    if (j->c.low) {
        pcv_low_core(&j->c, j->q, j->k, j->v, j->out, j->lse, j->sum, scratch);
        return;
    }
    core_layout(&j->c, false, scratch, j);
    pcv_parallel(core_panels(&j->c), forward_panel, j);
    pcv_arena_release(scratch, mark);
}

void pcv_core_forward(const pcv_core *c, const real *q, const real *k,
                      const real *v, real *y, real *lse, pcv_arena *scratch)
{
    core_job j = { .c = *c, .q = q, .k = k, .v = v, .out = y, .lse = lse };

    run_forward(&j, scratch);
}

/* One panel of rows of one item and head. */
static void backward_panel(const core_job *j, int item, int head, int at,
                           real *s, real *dp)
{
    const pcv_core *c = &j->c;
    const pcv_rows *k = pcv_rows_get();
    int rows = c->n - at < PANEL ? c->n - at : PANEL, m = c->m;
    int dh = c->qk / c->heads, dv = c->v / c->heads;
    size_t row = (size_t)item * (size_t)c->n + (size_t)at;
    size_t qo = row * (size_t)c->qk + (size_t)(head * dh);
    size_t yo = row * (size_t)c->v + (size_t)(head * dv);
    size_t ko = mul3(item, m, c->qk) + (size_t)(head * dh);
    size_t vo = mul3(item, m, c->v) + (size_t)(head * dv);

    scores(j, item, head, at, rows, s);
    pcv_gemm(false, true, rows, m, dv, 1, j->dy + yo, c->v, j->v + vo, c->v, 0,
             dp, m);
    for (int r = 0; r < rows; r++) {
        size_t o = yo + mul3(r, c->v, 1);
        real lse = j->lse[(row + (size_t)r) * (size_t)c->heads + (size_t)head];

        k->soft_back(s + mul3(r, m, 1), dp + mul3(r, m, 1), m, lse,
                     k->dot(j->dy + o, j->y + o, dv));
    }
    pcv_gemm(true, false, m, dv, rows, 1, s, m, j->dy + yo, c->v, 1,
             j->dv + vo, c->v);
    pcv_gemm(false, false, rows, dh, m, core_scale(c), dp, m, j->k + ko, c->qk,
             1, j->dq + qo, c->qk);
    pcv_gemm(true, false, m, dh, rows, core_scale(c), dp, m, j->q + qo, c->qk,
             1, j->dk + ko, c->qk);
}

/* All panels of one item and head in order: they share dK and dV. */
static void backward_head(void *arg, int i)
{
    const core_job *j = arg;
    size_t o = mul3(pcv_thread_id(), panel_rows(j->c.n), j->c.m);

    for (int at = 0; at < j->c.n; at += PANEL)
        backward_panel(j, i / j->c.heads, i % j->c.heads, at, j->s + o,
                       j->dp + o);
}

void pcv_core_backward(const pcv_core *c, const real *q, const real *k,
                       const real *v, const real *y, const real *lse,
                       const real *dy, real *dq, real *dk, real *dv,
                       pcv_arena *scratch)
{
    core_job j = { .c = *c, .q = q, .k = k, .v = v, .y = y, .dy = dy,
                   .lse = (real *)lse, .dq = dq, .dk = dk, .dv = dv };
    size_t mark = scratch->used;

    core_layout(c, true, scratch, &j);
    pcv_parallel(c->items * c->heads, backward_head, &j);
    pcv_arena_release(scratch, mark);
}

/* ---- rows of a source and their projections -------------------------- */

typedef struct {
    const pcv_tokens *t;
    int item, at, n;
    real *out;
} rows_job;

static void make_chunk(void *arg, int i)
{
    const rows_job *j = arg;
    int at = i * CHUNK, n = j->n - at < CHUNK ? j->n - at : CHUNK;

    j->t->tile(j->t, j->item, j->at + at, n, j->out + mul3(at, j->t->c, 1));
}

static void make_rows(const pcv_tokens *t, int item, int at, int n, real *out)
{
    rows_job j = { t, item, at, n, out };

    pcv_parallel(ceil_div(n, CHUNK), make_chunk, &j);
}

/* What is projected of `rows` rows, and the gradients of it. */
typedef struct {
    int rows;
    real *x, *xn, *stats, *k, *v;
    real *dx, *dxn, *dk, *dv;   /* backward */
} projected;

static void projected_layout(const pcv_reader *r, const pcv_tokens *t, int rows,
                             bool backward, pcv_arena *a, projected *p)
{
    size_t n = (size_t)rows, c = (size_t)t->c, w = sizeof(real);
    size_t qk = (size_t)r->key->out, v = (size_t)r->value->out;

    memset(p, 0, sizeof *p);
    p->rows = rows;
    p->x = pcv_arena_take(a, n * c, w);
    p->xn = pcv_arena_take(a, n * c, w);
    p->stats = pcv_arena_take(a, n * 2, w);
    p->k = pcv_arena_take(a, n * qk, w);
    p->v = pcv_arena_take(a, n * v, w);
    if (!backward)
        return;
    p->dk = pcv_arena_take(a, n * qk, w);
    p->dv = pcv_arena_take(a, n * v, w);
    p->dxn = pcv_arena_take(a, n * c, w);
    p->dx = pcv_arena_take(a, n * c, w);
}

static void project(const pcv_reader *r, projected *p)
{
    pcv_norm_forward(r->norm, p->x, p->rows, p->xn, p->stats);
    pcv_linear_forward(r->key, p->xn, p->rows, p->k);
    pcv_linear_forward(r->value, p->xn, p->rows, p->v);
}

/* From dk, dv back through projections and norm; dx when the source learns. */
static void project_backward(const pcv_reader *r, projected *p, bool learns)
{
    size_t bytes = (size_t)p->rows * (size_t)r->norm->n * sizeof(real);

    memset(p->dxn, 0, bytes);
    memset(p->dx, 0, bytes);
    pcv_linear_backward(r->key, p->xn, p->dk, p->rows, p->dxn);
    pcv_linear_backward(r->value, p->xn, p->dv, p->rows, p->dxn);
    pcv_norm_backward(r->norm, p->x, p->stats, p->dxn, p->rows,
                      learns ? p->dx : NULL);
}

static pcv_core core_of(const pcv_reader *r, const pcv_tokens *t, int items,
                        int n, int m)
{
    pcv_core c = { items, n, m, r->heads, r->key->out, r->value->out, t->mask,
                   pcv_packed_heads(r->value->packed) };

    return c;
}

/* ---- plain ----------------------------------------------------------- */

/* The part of item b.  Each item has products of its own: its numbers do not
 * depend on its neighbours. */
static projected part(const pcv_reader *r, const pcv_tokens *t,
                      const projected *p, int b)
{
    projected o = { .rows = t->n };

    o.x = p->x + mul3(b, t->n, t->c);
    o.xn = p->xn + mul3(b, t->n, t->c);
    o.stats = p->stats + mul3(b, t->n, 2);
    o.k = p->k + mul3(b, t->n, r->key->out);
    o.v = p->v + mul3(b, t->n, r->value->out);
    return o;
}

static void plain_rows(const pcv_reader *r, const pcv_tokens *t, projected *p)
{
    for (int b = 0; b < t->items; b++) {
        projected o = part(r, t, p, b);

        make_rows(t, b, 0, t->n, o.x);
        project(r, &o);
    }
}

static void plain_rows_backward(const pcv_reader *r, const pcv_tokens *t,
                                projected *p)
{
    project_backward(r, p, t->tile_backward);
    for (int b = 0; t->tile_backward && b < t->items; b++)
        t->tile_backward(t, b, 0, t->n, p->dx + mul3(b, t->n, t->c));
}

static void plain_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                          const real *q, real *y, pcv_read_record *rec,
                          pcv_arena *a)
{
    pcv_core c = core_of(r, t, t->items, n, t->n);
    projected p;

    projected_layout(r, t, t->items * t->n, false, a, &p);
    plain_rows(r, t, &p);
    pcv_core_forward(&c, q, p.k, p.v, y, rec->lse, a);
}

void pcv_read_prepare(const pcv_reader *r, const pcv_tokens *t,
                      pcv_read_record *rec, pcv_arena *scratch)
{
    size_t mark = scratch->used;
    projected p;

    projected_layout(r, t, t->items * t->n, false, scratch, &p);
    p.k = rec->k;
    p.v = rec->v;
    plain_rows(r, t, &p);
    pcv_arena_release(scratch, mark);
}

void pcv_read_prepare_backward(const pcv_reader *r, const pcv_tokens *t,
                               real *dk, real *dv, pcv_arena *scratch)
{
    size_t mark = scratch->used;
    projected p;

    projected_layout(r, t, t->items * t->n, true, scratch, &p);
    plain_rows(r, t, &p);
    p.dk = dk;
    p.dv = dv;
    plain_rows_backward(r, t, &p);
    pcv_arena_release(scratch, mark);
}

size_t pcv_read_prepare_scratch(const pcv_reader *r, const pcv_tokens *t)
{
    pcv_arena a = {0};
    projected p;

    projected_layout(r, t, t->items * t->n, true, &a, &p);
    return a.peak;
}

static void kept_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                         const real *q, real *y, pcv_read_record *rec,
                         pcv_arena *a)
{
    pcv_core c = core_of(r, t, t->items, n, t->n);

    pcv_core_forward(&c, q, rec->k, rec->v, y, rec->lse, a);
}

static void plain_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                           const real *q, const real *y, const real *dy,
                           const pcv_read_record *rec, real *dq, pcv_arena *a)
{
    pcv_core c = core_of(r, t, t->items, n, t->n);
    projected p;
    int rows = t->items * t->n;

    projected_layout(r, t, rows, true, a, &p);
    plain_rows(r, t, &p);
    memset(p.dk, 0, mul3(rows, c.qk, sizeof(real)));
    memset(p.dv, 0, mul3(rows, c.v, sizeof(real)));
    pcv_core_backward(&c, q, p.k, p.v, y, rec->lse, dy, dq, p.dk, p.dv, a);
    plain_rows_backward(r, t, &p);
}

/* ---- tiled ----------------------------------------------------------- */

static int tile_rows(const pcv_tokens *t)
{
    return t->n < TILE ? t->n : TILE;
}

/* The core of one tile of one item: mask and queries of that item. */
static core_job tile_core(const pcv_reader *r, const pcv_tokens *t, int item,
                          int at, int len, int n, const projected *p)
{
    core_job j = { .c = core_of(r, t, 1, n, len), .k = p->k, .v = p->v };

    if (t->mask)
        j.c.mask = t->mask + mul3(item, t->n, 1) + at;
    return j;
}

static void tile_project(const pcv_reader *r, const pcv_tokens *t, int item,
                         int at, projected *p)
{
    p->rows = t->n - at < TILE ? t->n - at : TILE;
    make_rows(t, item, at, p->rows, p->x);
    project(r, p);
}

/* y = sum / sum of weights; lse = top + log(sum). */
static void online_finish(const pcv_core *c, real *y, real *lse,
                          const real *sum)
{
    const pcv_rows *k = pcv_rows_get();
    int dv = c->v / c->heads;

    for (int r = 0; r < c->n; r++)
        for (int h = 0; h < c->heads; h++) {
            size_t o = mul3(r, c->heads, 1) + (size_t)h;

            k->scale(y + mul3(r, c->v, 1) + h * dv, dv, 1 / sum[o]);
            lse[o] += (real)log((double)sum[o]);
        }
}

static void tiled_item(const pcv_reader *r, const pcv_tokens *t, int item,
                       int n, const real *q, real *y, real *lse, projected *p,
                       real *sum, pcv_arena *a)
{
    pcv_core whole = core_of(r, t, 1, n, t->n);

    memset(y, 0, mul3(n, whole.v, sizeof *y));
    memset(sum, 0, mul3(n, r->heads, sizeof *sum));
    for (size_t i = 0; i < mul3(n, r->heads, 1); i++)
        lse[i] = -(real)INFINITY;
    for (int at = 0; at < t->n; at += TILE) {
        core_job j;

        tile_project(r, t, item, at, p);
        j = tile_core(r, t, item, at, p->rows, n, p);
        j.q = q;
        j.out = y;
        j.lse = lse;
        j.sum = sum;
        j.online = true;
        run_forward(&j, a);
    }
    online_finish(&whole, y, lse, sum);
}

static void tiled_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                          const real *q, real *y, pcv_read_record *rec,
                          pcv_arena *a)
{
    real *sum = pcv_arena_take(a, mul3(n, r->heads, 1), sizeof *sum);
    projected p;

    projected_layout(r, t, tile_rows(t), false, a, &p);
    for (int b = 0; b < t->items; b++)
        tiled_item(r, t, b, n, q + mul3(b, n, r->key->out),
                   y + mul3(b, n, r->value->out),
                   rec->lse + mul3(b, n, r->heads), &p, sum, a);
}

static void tiled_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                           const real *q, const real *y, const real *dy,
                           const pcv_read_record *rec, real *dq, pcv_arena *a)
{
    projected p;

    projected_layout(r, t, tile_rows(t), true, a, &p);
    for (int i = 0, tiles = ceil_div(t->n, TILE); i < t->items * tiles; i++) {
        int b = i / tiles, at = i % tiles * TILE;
        size_t qo = mul3(b, n, r->key->out), yo = mul3(b, n, r->value->out);
        pcv_core c;

        tile_project(r, t, b, at, &p);
        c = tile_core(r, t, b, at, p.rows, n, &p).c;
        memset(p.dk, 0, mul3(p.rows, c.qk, sizeof(real)));
        memset(p.dv, 0, mul3(p.rows, c.v, sizeof(real)));
        pcv_core_backward(&c, q + qo, p.k, p.v, y + yo,
                          rec->lse + mul3(b, n, r->heads), dy + yo, dq + qo,
                          p.dk, p.dv, a);
        project_backward(r, &p, t->tile_backward);
        if (t->tile_backward)
            t->tile_backward(t, b, at, p.rows, p.dx);
    }
}

/* ---- the forms ------------------------------------------------------- */

static size_t projected_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                                int rows, int keys, bool backward)
{
    pcv_core c = core_of(r, t, 1, n, keys);
    pcv_arena a = {0};
    projected p;

    pcv_arena_take(&a, mul3(n, r->heads, 1), sizeof(real));
    projected_layout(r, t, rows, backward, &a, &p);
    return a.peak + pcv_core_scratch(&c, backward) + 64;
}

static size_t whole_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                            bool backward)
{
    return projected_scratch(r, t, n, t->items * t->n, t->n, backward);
}

static size_t tile_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                           bool backward)
{
    return projected_scratch(r, t, n, tile_rows(t), tile_rows(t), backward);
}

/* How each is computed (cost.c: what it costs, and its name). */
static const struct {
    size_t (*scratch)(const pcv_reader *r, const pcv_tokens *t, int n,
                      bool backward);
    void (*forward)(const pcv_reader *r, const pcv_tokens *t, int n,
                    const real *q, real *y, pcv_read_record *rec,
                    pcv_arena *scratch);
    void (*backward)(const pcv_reader *r, const pcv_tokens *t, int n,
                     const real *q, const real *y, const real *dy,
                     const pcv_read_record *rec, real *dq, pcv_arena *scratch);
    bool pools;                 /* the record has z */
    bool keeps;                 /* .. k and v */
} forms[] = {
    [PCV_FORM_PLAIN] = { whole_scratch, plain_forward, plain_backward, 0, 0 },
    [PCV_FORM_TILED] = { tile_scratch, tiled_forward, tiled_backward, 0, 0 },
    [PCV_FORM_FOLDED] = { pcv_fold_scratch, pcv_fold_forward,
                          pcv_fold_backward, true, false },
    [PCV_FORM_GRID] = { pcv_grid_scratch, pcv_grid_forward, pcv_grid_backward,
                        true, false },
    [PCV_FORM_KEPT] = { whole_scratch, kept_forward, NULL, false, true },
};

void pcv_read_layout(const pcv_reader *r, const pcv_tokens *t, int n, int form,
                     pcv_arena *a, pcv_read_record *rec)
{
    size_t rows = mul3(t->items, n, r->heads);

    *rec = (pcv_read_record){0};
    rec->lse = pcv_arena_take(a, rows, sizeof(real));
    if (forms[form].pools)
        rec->z = pcv_arena_take(a, rows * (size_t)t->c, sizeof(real));
    if (forms[form].keeps) {
        rec->k = pcv_arena_take(a, mul3(t->items, t->n, r->key->out),
                                sizeof(real));
        rec->v = pcv_arena_take(a, mul3(t->items, t->n, r->value->out),
                                sizeof(real));
    }
}

size_t pcv_read_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        int form, bool backward)
{
    return forms[form].scratch(r, t, n, backward);
}

void pcv_read_forward(const pcv_reader *r, const pcv_tokens *t, int n, int form,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch)
{
    size_t mark = scratch->used;

    forms[form].forward(r, t, n, q, y, rec, scratch);
    pcv_arena_release(scratch, mark);
}

void pcv_read_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       int form, const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch)
{
    size_t mark = scratch->used;

    forms[form].backward(r, t, n, q, y, dy, rec, dq, scratch);
    pcv_arena_release(scratch, mark);
}

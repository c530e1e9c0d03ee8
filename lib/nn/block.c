/* block.c - the attend block, the one layer that the whole family is made of.
 *
 *   a  = norm_q(x)                       c = norm_kv(source), or a
 *   z  = attend(query(a), key(c), value(c))
 *   x1 = drop(out(z)) [+ x]              the un-normalised x, when `residual`
 *   y  = x1 + drop(down(act(up(norm_mlp(x1)))))      or y = x1
 *
 * There is no norm after it (Perceiver IO, appendix E).
 *
 * An extra key k0 with value v0 joins afterwards, whatever way the others were
 * read: with L their log-sum-exp and s = q k0 / sqrt(d) its score,
 *
 *   L' = log(e^L + e^s)      z' = z e^(L - L') + v0 e^(s - L') */
#include "nn.h"

#include <math.h>
#include <string.h>

static void linear(pcv_linear *l, pcv_params *p, const char *path,
                   const char *name, int in, int out, bool bias)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s.%s", path, name);
    p->failed |= b.failed;
    pcv_linear_init(l, p, b.data ? b.data : "", in, out, bias,
                    1 / sqrt((double)in));
    pcv_buf_free(&b);
}

static void norm(pcv_norm *l, pcv_params *p, const char *path,
                 const char *name, int n)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s.%s", path, name);
    p->failed |= b.failed;
    pcv_norm_init(l, p, b.data ? b.data : "", n);
    pcv_buf_free(&b);
}

static pcv_param *vector(pcv_params *p, const char *path, const char *name,
                         int n)
{
    return pcv_param_add(p, path, name, (size_t)n, 0, 0, 0, false);
}

void pcv_block_init(pcv_block *b, pcv_params *p, const char *path,
                    const pcv_block_shape *s)
{
    int kv = s->kv ? s->kv : s->d, wide = s->widening * s->d;
    bool bias = !s->no_bias;

    memset(b, 0, sizeof *b);
    b->d = s->d;
    b->qk = s->qk;
    b->v = s->v;
    b->heads = s->heads;
    b->widening = s->widening;
    b->act = s->act;
    b->cross = s->kv != 0;
    b->residual = s->residual;
    b->no_mlp = s->no_mlp;
    b->outer = s->outer;
    norm(&b->norm_q, p, path, "attention.self.layernorm1", s->d);
    if (b->cross)
        norm(&b->norm_kv, p, path, "attention.self.layernorm2", kv);
    linear(&b->query, p, path, "attention.self.query", s->d, s->qk, bias);
    linear(&b->key, p, path, "attention.self.key", kv, s->qk, bias);
    linear(&b->value, p, path, "attention.self.value", kv, s->v, bias);
    linear(&b->out, p, path, "attention.output.dense", s->v, s->d, true);
    if (s->out_twice)
        linear(&b->out2, p, path, "attention.output.dense2", s->d, s->d, true);
    if (s->extra_key) {
        b->bias_k = vector(p, path, "attention.self.bias_k", s->qk);
        b->bias_v = vector(p, path, "attention.self.bias_v", s->v);
    }
    if (s->no_mlp)
        return;
    norm(&b->norm_mlp, p, path, "layernorm", s->d);
    linear(&b->up, p, path, "mlp.dense1", s->d, pcv_act_inputs(s->act) * wide,
           true);
    linear(&b->down, p, path, "mlp.dense2", wide, s->d, true);
}

static pcv_reader reader(const pcv_block *b)
{
    pcv_reader r = { &b->norm_kv, &b->key, &b->value, b->heads };

    return r;
}

static pcv_core self_core(const pcv_block *b, int items, int n)
{
    pcv_core c = { items, n, n, b->heads, b->qk, b->v, NULL,
                   pcv_packed_heads(b->value.packed) };

    return c;
}

void pcv_block_layout(const pcv_block *b, const pcv_tokens *t, int items,
                      int n, int form, pcv_arena *a, pcv_block_record *rec)
{
    size_t rows = (size_t)items * (size_t)n, w = sizeof(real);
    size_t d = (size_t)b->d, wide = (size_t)b->widening * d;
    pcv_reader r = reader(b);

    memset(rec, 0, sizeof *rec);
    rec->a = pcv_arena_take(a, rows * d, w);
    rec->a_stats = pcv_arena_take(a, rows * 2, w);
    rec->q = pcv_arena_take(a, rows * (size_t)b->qk, w);
    rec->z = pcv_arena_take(a, rows * (size_t)b->v, w);
    if (b->cross) {
        pcv_read_layout(&r, t, n, form, a, &rec->read);
    } else {
        rec->k = pcv_arena_take(a, rows * (size_t)b->qk, w);
        rec->v = pcv_arena_take(a, rows * (size_t)b->v, w);
        rec->lse = pcv_arena_take(a, rows * (size_t)b->heads, w);
    }
    rec->x1 = pcv_arena_take(a, rows * d, w);
    if (b->no_mlp)
        return;
    rec->m = pcv_arena_take(a, rows * d, w);
    rec->m_stats = pcv_arena_take(a, rows * 2, w);
    rec->h = pcv_arena_take(a, rows * wide * (size_t)pcv_act_inputs(b->act), w);
    rec->g = pcv_arena_take(a, rows * wide, w);
}

/* ---- forward --------------------------------------------------------- */

static void join_extra_key(const pcv_block *b, int rows, const real *q,
                           const real *lse, real *z)
{
    const pcv_rows *k = pcv_rows_get();
    int dh = b->qk / b->heads, dv = b->v / b->heads;

    for (int i = 0; i < rows; i++)
        for (int h = 0; h < b->heads; h++) {
            size_t o = (size_t)i * (size_t)b->heads + (size_t)h;
            double s = (double)k->dot(q + o * (size_t)dh,
                                      b->bias_k->w + h * dh, dh) /
                       sqrt((double)dh);
            double top = s > (double)lse[o] ? s : (double)lse[o];
            double all = top + log(exp((double)lse[o] - top) + exp(s - top));

            k->scale(z + o * (size_t)dv, dv,
                     (real)exp((double)lse[o] - all));
            k->axpy(z + o * (size_t)dv, b->bias_v->w + h * dv, dv,
                    (real)exp(s - all));
        }
}

/* The queries are those of an earlier pass, folded by it. */
static bool has_folds(const pcv_block_record *rec)
{
    return rec->read.folds && rec->read.folds->ready;
}

static void attend(const pcv_block *b, const pcv_tokens *t, int items, int n,
                   int form, pcv_block_record *rec, pcv_arena *scratch)
{
    int rows = items * n;
    pcv_reader r = reader(b);
    pcv_core c = self_core(b, items, n);

    if (!has_folds(rec))
        pcv_linear_forward(&b->query, rec->a, rows, rec->q);
    if (b->cross) {
        pcv_read_forward(&r, t, n, form, rec->q, rec->z, &rec->read, scratch);
        if (b->bias_k)
            join_extra_key(b, rows, rec->q, rec->read.lse, rec->z);
        return;
    }
    pcv_linear_forward(&b->key, rec->a, rows, rec->k);
    pcv_linear_forward(&b->value, rec->a, rows, rec->v);
    pcv_core_forward(&c, rec->q, rec->k, rec->v, rec->z, rec->lse, scratch);
}

typedef struct {
    real *y;
    const real *x;
    size_t n;
} add_job;

enum { CHUNK = 16384 };

static void add_chunk(void *arg, int i)
{
    const add_job *j = arg;
    size_t at = (size_t)i * CHUNK;

    pcv_rows_get()->add(j->y + at, j->x + at,
                        (int)(j->n - at < CHUNK ? j->n - at : CHUNK));
}

static void add(real *y, const real *x, size_t n)
{
    add_job j = { y, x, n };

    pcv_parallel((int)((n + CHUNK - 1) / CHUNK), add_chunk, &j);
}

static void zero_chunk(void *arg, int i)
{
    const add_job *j = arg;
    size_t at = (size_t)i * CHUNK;

    memset(j->y + at, 0,
           (j->n - at < CHUNK ? j->n - at : CHUNK) * sizeof *j->y);
}

static void zero(real *y, int rows, int n)
{
    add_job j = { y, NULL, (size_t)rows * (size_t)n };

    pcv_parallel((int)((j.n + CHUNK - 1) / CHUNK), zero_chunk, &j);
}

void pcv_block_prepare(const pcv_block *b, const pcv_tokens *t,
                       pcv_block_record *rec, pcv_arena *scratch)
{
    pcv_reader r = reader(b);

    pcv_read_prepare(&r, t, &rec->read, scratch);
}

static void mlp(const pcv_block *b, int items, int n, const pcv_pass *pass,
                uint64_t layer, real *y, pcv_block_record *rec)
{
    int rows = items * n;
    size_t each = (size_t)n * (size_t)b->d;

    pcv_norm_forward(&b->norm_mlp, rec->x1, rows, rec->m, rec->m_stats);
    pcv_linear_forward(&b->up, rec->m, rows, rec->h);
    pcv_act_forward(b->act, rec->h, rows, b->widening * b->d, rec->g);
    pcv_linear_forward(&b->down, rec->g, rows, y);
    pcv_dropout(pass, layer, y, items, each);
    if (!b->outer)
        add(y, rec->x1, (size_t)items * each);
}

/* From z to x1, before its residual. */
static void project(const pcv_block *b, int rows, pcv_block_record *rec)
{
    bool twice = b->out2.w;

    pcv_linear_forward(&b->out, rec->z, rows, twice ? rec->m : rec->x1);
    if (twice)
        pcv_linear_forward(&b->out2, rec->m, rows, rec->x1);
}

/* From x1 without its residual to y. */
static void finish(const pcv_block *b, int items, int n,
                   const pcv_pass *pass, uint64_t layer, const real *x, real *y,
                   pcv_block_record *rec)
{
    size_t each = (size_t)n * (size_t)b->d, size = (size_t)items * each;

    pcv_dropout(pass, layer, rec->x1, items, each);
    if (b->residual)
        add(rec->x1, x, size);
    if (b->no_mlp)
        memcpy(y, rec->x1, size * sizeof *y);
    else
        mlp(b, items, n, pass, layer + 1, y, rec);
    if (b->outer)
        add(y, x, size);
}

void pcv_block_forward(const pcv_block *b, const pcv_tokens *t, int items,
                       int n, int form, const pcv_pass *pass, int use,
                       const real *x, real *y, pcv_block_record *rec,
                       pcv_arena *scratch)
{
    int rows = items * n;

    if (!has_folds(rec))
        pcv_norm_forward(&b->norm_q, x, rows, rec->a, rec->a_stats);
    attend(b, t, items, n, form, rec, scratch);
    project(b, rows, rec);
    finish(b, items, n, pass, 2 * (uint64_t)use, x, y, rec);
}

void pcv_block_ask(const pcv_block *b, const pcv_segment *s,
                   const pcv_ask_fold *f, int items, const int *index, int n,
                   const pcv_pass *pass, int use, const real *x, real *y,
                   pcv_block_record *rec, pcv_arena *scratch)
{
    size_t item = (size_t)n * (size_t)b->d;

    for (int i = 0; i < items; i++)
        pcv_ask_forward(b, s, &f[i], index ? index + i * n : NULL, n,
                        x + (size_t)i * item,
                        rec->x1 + (size_t)i * item, scratch);
    finish(b, items, n, pass, 2 * (uint64_t)use, x, y, rec);
}

/* ---- backward -------------------------------------------------------- */

typedef struct {
    real *dg, *dh;              /* rows x widening d (dh: times the
                                   activation's inputs), through the MLP */
    real *dm;                   /* rows x d: of a normalised input */
    real *dx1;                  /* rows x d */
    real *dz, *dq, *dk, *dv;
} gradients;

static void gradients_layout(const pcv_block *b, int rows, pcv_arena *a,
                             gradients *g)
{
    size_t n = (size_t)rows, w = sizeof(real), d = (size_t)b->d;
    size_t wide = n * d * (size_t)b->widening;
    int inputs = pcv_act_inputs(b->act);

    g->dg = b->no_mlp ? NULL : pcv_arena_take(a, wide, w);
    g->dh = inputs == 1 ? g->dg : pcv_arena_take(a, wide * (size_t)inputs, w);
    g->dm = pcv_arena_take(a, n * d, w);
    g->dx1 = pcv_arena_take(a, n * d, w);
    g->dz = pcv_arena_take(a, n * (size_t)b->v, w);
    g->dq = pcv_arena_take(a, n * (size_t)b->qk, w);
    g->dk = b->cross ? NULL : pcv_arena_take(a, n * (size_t)b->qk, w);
    g->dv = b->cross ? NULL : pcv_arena_take(a, n * (size_t)b->v, w);
}

size_t pcv_block_scratch(const pcv_block *b, const pcv_tokens *t, int items,
                         int n, int form, bool backward)
{
    pcv_reader r = reader(b);
    pcv_core c = self_core(b, items, n);
    pcv_arena a = {0};
    gradients g;
    size_t attend_bytes = b->cross ? pcv_read_scratch(&r, t, n, form, backward)
                                   : pcv_core_scratch(&c, backward);

    if (backward)
        gradients_layout(b, items * n, &a, &g);
    return a.peak + attend_bytes;
}

/* From dz to dm, the gradient of the normalised input. */
static void attend_backward(const pcv_block *b, const pcv_tokens *t, int items,
                            int n, int form, const pcv_block_record *rec,
                            gradients *g, pcv_arena *scratch)
{
    int rows = items * n;
    pcv_reader r = reader(b);
    pcv_core c = self_core(b, items, n);

    zero(g->dq, rows, b->qk);
    if (b->cross) {
        pcv_read_backward(&r, t, n, form, rec->q, rec->z, g->dz, &rec->read,
                          g->dq, scratch);
    } else {
        zero(g->dk, rows, b->qk);
        zero(g->dv, rows, b->v);
        pcv_core_backward(&c, rec->q, rec->k, rec->v, rec->z, rec->lse, g->dz,
                          g->dq, g->dk, g->dv, scratch);
        pcv_linear_backward(&b->key, rec->a, g->dk, rows, g->dm);
        pcv_linear_backward(&b->value, rec->a, g->dv, rows, g->dm);
    }
    pcv_linear_backward(&b->query, rec->a, g->dq, rows, g->dm);
}

/* From dy, which it uses up, to dx1. */
static void mlp_backward(const pcv_block *b, int items, int n,
                         const pcv_pass *pass, uint64_t layer, real *dy,
                         const pcv_block_record *rec, gradients *g)
{
    int rows = items * n, wide = b->widening * b->d;

    pcv_dropout(pass, layer, dy, items, (size_t)n * (size_t)b->d);
    zero(g->dg, rows, wide);
    pcv_linear_backward(&b->down, rec->g, dy, rows, g->dg);
    pcv_act_backward(b->act, rec->h, rows, wide, g->dg, g->dh);
    zero(g->dm, rows, b->d);
    pcv_linear_backward(&b->up, rec->m, g->dh, rows, g->dm);
    pcv_norm_backward(&b->norm_mlp, rec->x1, rec->m_stats, g->dm, rows, g->dx1);
}

/* From dy to g->dx1, the gradient of what was attended and projected. */
static void finish_backward(const pcv_block *b, int items, int n,
                            const pcv_pass *pass, uint64_t layer, real *dy,
                            const pcv_block_record *rec, gradients *g,
                            real *dx)
{
    size_t each = (size_t)n * (size_t)b->d, size = (size_t)items * each;

    memcpy(g->dx1, dy, size * sizeof *dy);
    if (!b->no_mlp)
        mlp_backward(b, items, n, pass, layer + 1, dy, rec, g);
    if (b->residual && dx)
        add(dx, g->dx1, size);
    pcv_dropout(pass, layer, g->dx1, items, each);
}

void pcv_block_backward(const pcv_block *b, const pcv_tokens *t, int items,
                        int n, int form, const pcv_pass *pass, int use,
                        const real *x, real *dy, const pcv_block_record *rec,
                        real *dx, pcv_arena *scratch)
{
    int rows = items * n;
    size_t mark = scratch->used;
    uint64_t layer = 2 * (uint64_t)use;
    gradients g;

    gradients_layout(b, rows, scratch, &g);
    finish_backward(b, items, n, pass, layer, dy, rec, &g, dx);
    zero(g.dz, rows, b->v);
    pcv_linear_backward(&b->out, rec->z, g.dx1, rows, g.dz);
    zero(g.dm, rows, b->d);
    attend_backward(b, t, items, n, form, rec, &g, scratch);
    pcv_norm_backward(&b->norm_q, x, rec->a_stats, g.dm, rows, dx);
    pcv_arena_release(scratch, mark);
}

size_t pcv_block_ask_scratch(const pcv_block *b, const pcv_tokens *t,
                             const pcv_segment *s, int items, int n)
{
    pcv_reader r = reader(b);
    size_t rows = (size_t)items * (size_t)t->n;
    size_t ask = pcv_ask_back_scratch(b, s, t->n, n);
    size_t read = pcv_read_prepare_scratch(&r, t);
    pcv_arena a = {0};
    gradients g;

    gradients_layout(b, items * n, &a, &g);
    pcv_arena_take(&a, rows * (size_t)b->qk, sizeof(real));
    pcv_arena_take(&a, rows * (size_t)b->v, sizeof(real));
    return a.peak + (ask > read ? ask : read);
}

void pcv_block_ask_backward(const pcv_block *b, const pcv_tokens *t,
                            const pcv_segment *s, const pcv_ask_fold *f,
                            int items, const int *index, int n,
                            const pcv_pass *pass, int use, const real *x,
                            real *dy, const pcv_block_record *rec,
                            pcv_arena *scratch)
{
    size_t mark = scratch->used, item = (size_t)n * (size_t)b->d;
    int latents = items * t->n;
    pcv_reader r = reader(b);
    gradients g;
    real *dk, *dv;

    gradients_layout(b, items * n, scratch, &g);
    dk = pcv_arena_take(scratch, (size_t)latents * (size_t)b->qk, sizeof(real));
    dv = pcv_arena_take(scratch, (size_t)latents * (size_t)b->v, sizeof(real));
    finish_backward(b, items, n, pass, 2 * (uint64_t)use, dy, rec, &g, NULL);
    zero(dk, latents, b->qk);
    zero(dv, latents, b->v);
    for (size_t i = 0; i < (size_t)items; i++) {
        size_t k = i * (size_t)t->n * (size_t)b->qk;
        size_t v = i * (size_t)t->n * (size_t)b->v;

        pcv_ask_backward(b, s, &f[i], index ? index + i * (size_t)n : NULL, n,
                         rec->read.k + k, rec->read.v + v, x + i * item,
                         g.dx1 + i * item, dk + k, dv + v, scratch);
    }
    pcv_read_prepare_backward(&r, t, dk, dv, scratch);
    pcv_arena_release(scratch, mark);
}

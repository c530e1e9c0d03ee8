/* attend_low.c - the core of attention with products of bfloat16: queries,
 * keys, values and the softmax's weights are rounded, everything else is as in
 * attend.c.
 *
 * Keys and values are rounded and put in the products' order once, in blocks
 * of 512 keys and then of 64, the last one filled up with keys that nobody
 * counts.  A panel of 64 queries meets one block after the other under an
 * online softmax: with t the largest score so far,
 *
 *   f = exp(t_old - t)    w = exp(s - t)    sum = f sum + w.1    y = f y + w V
 *
 * so that scratch does not grow with the queries, and a source of any length
 * needs the same two shapes of products. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { PANEL = PCV_TILE_ROWS };

typedef struct {
    const pcv_core *c;
    const real *q, *k, *v;
    real *y, *top, *sum;        /* sum NULL: nothing was summed before */
    char *packed;               /* per item and head: all its blocks */
    char *dense;                /* per thread: a block before it is packed */
    size_t packed_size, dense_size;
} low_job;

static inline size_t mul3(int a, int b, int c)
{
    return (size_t)a * (size_t)b * (size_t)c;
}

/* Keys of the block that begins at `at`, and how many of them count. */
static int block_keys(const pcv_core *c, int at)
{
    return c->m - at >= PCV_KEYS_MOST ? PCV_KEYS_MOST : PCV_KEYS_LEAST;
}

static int block_real(const pcv_core *c, int at)
{
    int keys = block_keys(c, at);

    return c->m - at < keys ? c->m - at : keys;
}

static int qk_of(const pcv_core *c)
{
    return c->qk / c->heads;
}

static int v_of(const pcv_core *c)
{
    return c->v / c->heads;
}

static size_t keys_size(const pcv_core *c, int keys)
{
    return pcv_shape_packed(pcv_lowp_scores(c->low, qk_of(c), keys));
}

static size_t values_size(const pcv_core *c, int keys)
{
    return pcv_shape_packed(pcv_lowp_sums(c->low, v_of(c), keys));
}

/* Bytes of the blocks before key `end`. */
static size_t blocks_size(const pcv_core *c, int end)
{
    size_t size = 0;

    for (int at = 0; at < end; at += block_keys(c, at))
        size += keys_size(c, block_keys(c, at)) +
                values_size(c, block_keys(c, at));
    return size;
}

static void layout(const pcv_core *c, pcv_arena *a, low_job *j)
{
    int wide = qk_of(c) > v_of(c) ? qk_of(c) : v_of(c);

    j->packed_size = (blocks_size(c, c->m) + 63) / 64 * 64;
    j->dense_size = mul3(PCV_KEYS_MOST, pcv_lowp_round(wide),
                         sizeof(uint16_t));
    j->packed = pcv_arena_take(a, mul3(c->items, c->heads, 1), j->packed_size);
    j->dense = pcv_arena_take(a, (size_t)pcv_threads(), j->dense_size);
}

size_t pcv_low_core_scratch(const pcv_core *c)
{
    pcv_arena count = {0};
    low_job j;

    layout(c, &count, &j);
    return count.peak;
}

/* ---- keys and values ------------------------------------------------- */

/* Rows of a head as bfloat16, filled up with zeros. */
static void make_dense(const real *x, int stride, int rows, int n, int keys,
                       uint16_t *out)
{
    const pcv_rows *k = pcv_rows_get();
    int width = pcv_lowp_round(n);

    if (rows < keys || n < width)
        memset(out, 0, mul3(keys, width, sizeof *out));
    for (int r = 0; r < rows; r++)
        k->narrow(x + mul3(r, stride, 1), n, 1, out + mul3(r, width, 1));
}

static void pack(pcv_shape *s, const void *dense, bool transposed, void *to)
{
    pcv_place *p = pcv_shape_take(s);

    pcv_place_pack(p, dense, transposed, to);
    pcv_shape_give(s, p);
}

/* All blocks of one item and head. */
static void pack_head(void *arg, int i)
{
    const low_job *j = arg;
    const pcv_core *c = j->c;
    int head = i % c->heads, item = i / c->heads;
    const real *k = j->k + mul3(item, c->m, c->qk) + head * qk_of(c);
    const real *v = j->v + mul3(item, c->m, c->v) + head * v_of(c);
    char *to = j->packed + (size_t)i * j->packed_size;
    void *dense = j->dense + (size_t)pcv_thread_id() * j->dense_size;

    for (int at = 0; at < c->m; at += block_keys(c, at)) {
        int keys = block_keys(c, at), n = block_real(c, at);

        make_dense(k + mul3(at, c->qk, 1), c->qk, n, qk_of(c), keys, dense);
        pack(pcv_lowp_scores(c->low, qk_of(c), keys), dense, true, to);
        to += keys_size(c, keys);
        make_dense(v + mul3(at, c->v, 1), c->v, n, v_of(c), keys, dense);
        pack(pcv_lowp_sums(c->low, v_of(c), keys), dense, false, to);
        to += values_size(c, keys);
    }
}

/* ---- a panel of queries ---------------------------------------------- */

typedef struct {
    int item, head, at, rows;
    real top[PANEL], sum[PANEL], shrink[PANEL];
} panel;

static size_t row_of(const pcv_core *c, const panel *p, int r)
{
    return (size_t)p->item * (size_t)c->n + (size_t)(p->at + r);
}

/* The scale of the scores goes into the queries. */
static void narrow_queries(const low_job *j, const panel *p, uint16_t *out)
{
    const pcv_core *c = j->c;
    const pcv_rows *k = pcv_rows_get();
    int n = qk_of(c);

    for (int r = 0; r < p->rows; r++)
        k->narrow(j->q + row_of(c, p, r) * (size_t)c->qk + p->head * n, n,
                  (real)(1 / sqrt((double)n)),
                  out + mul3(r, pcv_lowp_round(n), 1));
}

/* Floats are `real` where there are such products at all. */
static const real *as_real(const float *x)
{
    return (const real *)(const void *)x;
}

static real largest(const pcv_core *c, const panel *p, int at, float *s, int n)
{
    const unsigned char *mask = c->mask;

    if (mask)
        mask += mul3(p->item, c->m, 1) + (size_t)at;
    for (int i = 0; mask && i < n; i++)
        if (!mask[i])
            s[i] = -(float)INFINITY;
    return pcv_rows_get()->max(as_real(s), n);
}

/* A row of scores becomes a row of weights; what was summed shrinks. */
static void weigh(const low_job *j, panel *p, int r, int at, float *s,
                  uint16_t *w)
{
    const pcv_core *c = j->c;
    int keys = block_keys(c, at), n = block_real(c, at);
    real t = largest(c, p, at, s, n), shift;

    p->shrink[r] = 1;
    if (t > p->top[r]) {
        p->shrink[r] = (real)exp((double)(p->top[r] - t));
        p->top[r] = t;
    }
    /* while all is masked the shift is 0: weights of 0, and NaN if NaN */
    shift = p->top[r] == -(real)INFINITY ? 0 : p->top[r];
    p->sum[r] = p->sum[r] * p->shrink[r] +
                pcv_rows_get()->exp_narrow(s, n, shift, w);
    memset(w + n, 0, (size_t)(keys - n) * sizeof *w);
}

static void score(const low_job *j, panel *p, int at, const char *keys,
                  uint16_t *w)
{
    const pcv_core *c = j->c;
    int n = block_keys(c, at);
    pcv_shape *s = pcv_lowp_scores(c->low, qk_of(c), n);
    pcv_place *place = pcv_shape_take(s);

    narrow_queries(j, p, place->a);
    pcv_place_run(place, keys);
    for (int r = 0; r < p->rows; r++)
        weigh(j, p, r, at, (float *)place->c + mul3(r, n, 1),
              w + mul3(r, n, 1));
    pcv_shape_give(s, place);
}

static void add_values(const low_job *j, const panel *p, const float *sums)
{
    const pcv_core *c = j->c;
    const pcv_rows *k = pcv_rows_get();
    int n = v_of(c), width = pcv_lowp_round(n);

    for (int r = 0; r < p->rows; r++, sums += width) {
        real *y = j->y + row_of(c, p, r) * (size_t)c->v + p->head * n;

        if (p->shrink[r] < 1)
            k->scale(y, n, p->shrink[r]);
        k->add(y, as_real(sums), n);
    }
}

static void begin(const low_job *j, panel *p)
{
    const pcv_core *c = j->c;

    for (int r = 0; r < p->rows; r++) {
        size_t row = row_of(c, p, r);
        size_t o = row * (size_t)c->heads + (size_t)p->head;

        p->top[r] = j->sum ? j->top[o] : -(real)INFINITY;
        p->sum[r] = j->sum ? j->sum[o] : 0;
        if (!j->sum)
            memset(j->y + row * (size_t)c->v + p->head * v_of(c), 0,
                   (size_t)v_of(c) * sizeof *j->y);
    }
}

static void end(const low_job *j, const panel *p)
{
    const pcv_core *c = j->c;
    const pcv_rows *k = pcv_rows_get();

    for (int r = 0; r < p->rows; r++) {
        size_t row = row_of(c, p, r);
        size_t o = row * (size_t)c->heads + (size_t)p->head;

        j->top[o] = p->top[r];
        if (j->sum) {
            j->sum[o] = p->sum[r];
            continue;
        }
        j->top[o] += (real)log((double)p->sum[r]);
        k->scale(j->y + row * (size_t)c->v + p->head * v_of(c), v_of(c),
                 1 / p->sum[r]);
    }
}

static int panels(const pcv_core *c)
{
    return (c->n + PANEL - 1) / PANEL;
}

static void forward_panel(void *arg, int i)
{
    const low_job *j = arg;
    const pcv_core *c = j->c;
    int head = i / panels(c);
    const char *packed = j->packed + (size_t)head * j->packed_size;
    panel p = { head / c->heads, head % c->heads, i % panels(c) * PANEL,
                PANEL, {0}, {0}, {0} };

    p.rows = c->n - p.at < PANEL ? c->n - p.at : PANEL;
    begin(j, &p);
    for (int at = 0; at < c->m; at += block_keys(c, at)) {
        int keys = block_keys(c, at);
        pcv_shape *s = pcv_lowp_sums(c->low, v_of(c), keys);
        pcv_place *place = pcv_shape_take(s);

        score(j, &p, at, packed, place->a);
        pcv_place_run(place, packed + keys_size(c, keys));
        add_values(j, &p, place->c);
        pcv_shape_give(s, place);
        packed += keys_size(c, keys) + values_size(c, keys);
    }
    end(j, &p);
}

void pcv_low_core(const pcv_core *c, const real *q, const real *k,
                  const real *v, real *y, real *lse, real *sum,
                  pcv_arena *scratch)
{
    low_job j = { .c = c, .q = q, .k = k, .v = v, .y = y, .top = lse,
                  .sum = sum };
    size_t mark = scratch->used;

    layout(c, scratch, &j);
    pcv_parallel(c->items * c->heads, pack_head, &j);
    pcv_parallel(c->items * c->heads * panels(c), forward_panel, &j);
    pcv_arena_release(scratch, mark);
}

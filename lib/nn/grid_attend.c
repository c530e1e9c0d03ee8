/* grid_attend.c - the exact attend over a grid, without the byte array.
 *
 * An element of the source is x_j = [content_j | F_1[j_1] | .. | F_A[j_A] | k]:
 * a few content channels, one feature table per axis, a constant.  With r_j,
 * m_j LayerNorm's statistics, g, b its gain and bias, and one query q of one
 * head folded through the key projection, u = g * (W_k^T q) / sqrt(d):
 *
 *   s_j = r_j (u . x_j - m_j sum(u))
 *   u . x_j = u_c . content_j + sum_a T_a[j_a] + u_k . k,   T_a = u_a F_a^T
 *
 * (what b and the key bias add is the same for all j and cancels in the
 * softmax), and with w_j = p_j r_j the pooled input is
 *
 *   z = sum_j w_j (x_j - m_j)     y = W_v (g * z + b) + b_v
 *
 * whose part along axis a is the marginal of w over the other axes times F_a.
 * So an element costs c + A + 2 multiply-adds and one exp per query, and
 * neither rows, keys, values nor the attention matrix exist.
 *
 * Backward is the same algebra with dz in u's place:
 *
 *   dp_j = r_j (dz . x_j - m_j sum(dz))      ds_j = p_j (dp_j - dz . z)
 *   du   = sum_j ds_j r_j (x_j - m_j)
 *
 * and, where content is computed by trained weights, per content channel
 *
 *   G_j  = sum_i p_ij dz_i + ds_ij u_i
 *   Gs_j = sum_i p_ij sum(dz_i) + ds_ij sum(u_i)
 *   Gx_j = sum_i p_ij dp_ij + ds_ij s_ij
 *   dcontent_j = r_j (G_j - Gs_j / C - (content_j - m_j) r_j Gx_j / C)
 *
 * A `read` is one query of one head.  Reads are taken GROUP at a time; a group
 * passes over the grid in tiles of whole rows (or parts of one long row) and
 * keeps an online softmax.  Three content channels and fewer go through the
 * fused loops of kern/, more through a product per tile. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { GROUP = 32, TILE = 1024, FUSED = 3 };

static inline size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

/* ---- scratch ----------------------------------------------------------- */

/* One fold of a group (u, or dz in backward) against the current segment. */
typedef struct {
    real *full;                 /* GROUP x C, gain applied */
    real *content;              /* GROUP x c */
    real *table[3];             /* GROUP x len[a] */
    real *dots;                 /* GROUP x TILE, when content is a product */
    real sum[GROUP], base[GROUP];
} fold;

/* Sums of a group: over the current segment, and over finished ones. */
typedef struct {
    real *marginal[3];          /* GROUP x len[a] */
    real *content;              /* GROUP x c, when content is a product */
    real *done;                 /* GROUP x C */
    pcv_sums seg[GROUP];        /* current segment */
    double p[GROUP], wm[GROUP]; /* finished segments */
    real top[GROUP];
} state;

typedef struct {
    fold u, dz;
    state s;
    real *gather;               /* GROUP x widest axis table */
    real *score;                /* GROUP x TILE: scores, then weights */
    real *p, *w, *dp;           /* GROUP x TILE, backward */
    real *g;                    /* (c + 2) x TILE: G, Gs, Gx */
    real *mean, *rstd, *bias;   /* TILE */
    real *position;             /* TILE: position part of one read */
} work;

typedef struct {
    const pcv_reader *r;
    const pcv_tokens *t;
    int n, reads, groups;       /* per item */
    bool backward;
    const real *raw;            /* B x N x H x C: scaled W_k^T q */
    const real *dz, *z, *lse;   /* backward */
    real *zout, *lseout, *du;
    double *sum[3], *square[3]; /* per segment: its axes' tables, in order */
    work *per_thread;
} job;

static bool fused(const pcv_segment *s)
{
    return s->c <= FUSED && s->c != 2;
}

static int widest(const pcv_tokens *t, int what)
{
    int most = 0;

    for (int i = 0; i < t->segments; i++) {
        const pcv_segment *s = &t->segment[i];
        int v = what < 3 ? (what < s->axes ? s->len[what] : 0) : s->c;

        most = v > most ? v : most;
    }
    return most;
}

static int widest_table(const pcv_tokens *t)
{
    int most = 0;

    for (int i = 0; i < t->segments; i++)
        for (int a = 0; a < t->segment[i].axes; a++)
            most = t->segment[i].cols[a] > most ? t->segment[i].cols[a] : most;
    return most;
}

static void fold_layout(const pcv_tokens *t, pcv_arena *a, fold *f)
{
    f->full = pcv_arena_take(a, mul(GROUP, t->c), sizeof(real));
    f->content = pcv_arena_take(a, mul(GROUP, widest(t, 3)), sizeof(real));
    for (int k = 0; k < 3; k++)
        f->table[k] = pcv_arena_take(a, mul(GROUP, widest(t, k)), sizeof(real));
    f->dots = pcv_arena_take(a, mul(GROUP, TILE), sizeof(real));
}

static void work_layout(const pcv_tokens *t, bool backward, pcv_arena *a,
                        work *w)
{
    memset(w, 0, sizeof *w);
    fold_layout(t, a, &w->u);
    for (int k = 0; k < 3; k++)
        w->s.marginal[k] = pcv_arena_take(a, mul(GROUP, widest(t, k)),
                                          sizeof(real));
    w->s.content = pcv_arena_take(a, mul(GROUP, widest(t, 3)), sizeof(real));
    w->s.done = pcv_arena_take(a, mul(GROUP, t->c), sizeof(real));
    w->gather = pcv_arena_take(a, mul(GROUP, widest_table(t)), sizeof(real));
    w->score = pcv_arena_take(a, mul(GROUP, TILE), sizeof(real));
    w->mean = pcv_arena_take(a, TILE, sizeof(real));
    w->rstd = pcv_arena_take(a, TILE, sizeof(real));
    w->bias = pcv_arena_take(a, TILE, sizeof(real));
    w->position = pcv_arena_take(a, TILE, sizeof(real));
    if (!backward)
        return;
    fold_layout(t, a, &w->dz);
    w->p = pcv_arena_take(a, mul(GROUP, TILE), sizeof(real));
    w->w = pcv_arena_take(a, mul(GROUP, TILE), sizeof(real));
    w->dp = pcv_arena_take(a, mul(GROUP, TILE), sizeof(real));
    w->g = pcv_arena_take(a, mul(widest(t, 3) + 2, TILE), sizeof(real));
}

/* Everything a pass takes: the per-thread work, the axis sums, and `arrays`
 * matrices of B x N x H x C. */
static void job_layout(const pcv_reader *r, const pcv_tokens *t, int n,
                       bool backward, pcv_arena *a, job *j, real **array,
                       int arrays)
{
    work none;
    size_t all = mul(t->items, n) * mul(r->heads, t->c);

    memset(j, 0, sizeof *j);
    j->r = r;
    j->t = t;
    j->n = n;
    j->reads = n * r->heads;
    j->groups = (j->reads + GROUP - 1) / GROUP;
    j->backward = backward;
    for (int k = 0; k < 3; k++) {
        size_t len = mul(widest(t, k), t->segments);

        j->sum[k] = pcv_arena_take(a, len, sizeof(double));
        j->square[k] = pcv_arena_take(a, len, sizeof(double));
    }
    for (int k = 0; k < arrays; k++)
        array[k] = pcv_arena_take(a, all, sizeof(real));
    j->per_thread = pcv_arena_take(a, (size_t)pcv_threads(), sizeof(work));
    for (int k = 0; k < pcv_threads(); k++)
        work_layout(t, backward, a, j->per_thread ? &j->per_thread[k] : &none);
}

size_t pcv_grid_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        bool backward)
{
    pcv_arena a = {0};
    real *array[3];
    job j;

    job_layout(r, t, n, backward, &a, &j, array, backward ? 3 : 1);
    return a.peak;
}

/* Sums and sums of squares of each table row: LayerNorm's share of an axis. */
static void axis_sums(job *j)
{
    for (int i = 0; i < j->t->segments; i++) {
        const pcv_segment *s = &j->t->segment[i];

        for (int a = 0; a < s->axes; a++) {
            size_t o = mul(widest(j->t, a), i);

            for (int k = 0; k < s->len[a]; k++) {
                const real *row = s->table[a] + mul(k, s->cols[a]);
                double sum = 0, square = 0;

                for (int c = 0; c < s->cols[a]; c++) {
                    sum += (double)row[c];
                    square += (double)row[c] * (double)row[c];
                }
                j->sum[a][o + (size_t)k] = sum;
                j->square[a][o + (size_t)k] = square;
            }
        }
    }
}

/* ---- folds ------------------------------------------------------------- */

/* Rows of a group, times the gain when asked; sums over the channels. */
static void fold_open(const job *j, fold *f, const real *rows, int count,
                      bool gain)
{
    int c = j->t->c;
    const real *g = j->r->norm->g->w;

    for (int i = 0; i < count; i++) {
        double sum = 0;

        for (int k = 0; k < c; k++) {
            real v = rows[mul(i, c) + (size_t)k] * (gain ? g[k] : 1);

            f->full[mul(i, c) + (size_t)k] = v;
            sum += (double)v;
        }
        f->sum[i] = (real)sum;
    }
}

/* Splits a fold along the channels of one segment: tables of dot products
 * per axis, content, constant. */
static void fold_segment(const job *j, fold *f, const pcv_segment *s,
                         int count, real *gather)
{
    int c = j->t->c;

    for (int a = 0; a < s->axes; a++) {
        for (int i = 0; i < count; i++)
            for (int k = 0; k < s->cols[a]; k++)
                gather[mul(i, s->cols[a]) + (size_t)k] =
                    f->full[mul(i, c) + (size_t)s->channel[a][k]];
        pcv_gemm(false, true, count, s->len[a], s->cols[a], 1, gather,
                 s->cols[a], s->table[a], s->cols[a], 0, f->table[a],
                 s->len[a]);
    }
    for (int i = 0; i < count; i++) {
        double base = 0;

        memcpy(f->content + mul(i, s->c), f->full + mul(i, c),
               (size_t)s->c * sizeof(real));
        for (int k = 0; s->k && k < s->k_n; k++)
            base += (double)s->k[k] *
                    (double)f->full[mul(i, c) + (size_t)(s->k_at + k)];
        f->base[i] = (real)base;
    }
}

/* ---- tiles ------------------------------------------------------------- */

/* A piece of a segment: `rows` rows of `n` elements, whose first is element
 * `at` of the segment, `from` within its row. */
typedef struct {
    const pcv_segment *s;
    int item, seg, offset;      /* offset of the segment in the item */
    int row, rows, from, n;
    size_t at;
} tile;

static int inner(const pcv_segment *s)
{
    return s->len[s->axes - 1];
}

static int outer_rows(const pcv_segment *s)
{
    int rows = 1;

    for (int a = 0; a + 1 < s->axes; a++)
        rows *= s->len[a];
    return rows;
}

/* Index along outer axis a of row `row`. */
static int outer_index(const pcv_segment *s, int row, int a)
{
    for (int k = s->axes - 2; k > a; k--)
        row /= s->len[k];
    return row % s->len[a];
}

/* Steps to the next tile of the segment; false at its end. */
static bool tile_next(tile *t)
{
    int len = inner(t->s), rows = outer_rows(t->s);

    t->from += t->n;            /* n is 0 before the first */
    if (t->from >= len) {
        t->from = 0;
        t->row += t->rows;
    }
    if (t->row >= rows)
        return false;
    t->rows = len >= TILE ? 1 : TILE / len;
    if (t->rows > rows - t->row)
        t->rows = rows - t->row;
    t->n = len - t->from < TILE ? len - t->from : TILE;
    t->at = mul(t->row, len) + (size_t)t->from;
    return true;
}

static int tile_size(const tile *t)
{
    return t->rows * t->n;
}

static const real *tile_content(const tile *t)
{
    return t->s->content + (size_t)t->item * t->s->item_stride + t->at;
}

/* LayerNorm statistics and mask of the tile's elements. */
static void tile_stats(const job *j, const tile *t, work *w)
{
    const pcv_segment *s = t->s;
    const pcv_rows *k = pcv_rows_get();
    int last = s->axes - 1;
    size_t o = mul(widest(j->t, last), t->seg) + (size_t)t->from;

    for (int r = 0; r < t->rows; r++) {
        double sum = 0, square = 0;

        for (int i = 0; s->k && i < s->k_n; i++) {
            sum += (double)s->k[i];
            square += (double)s->k[i] * (double)s->k[i];
        }
        for (int a = 0; a < last; a++) {
            size_t at = mul(widest(j->t, a), t->seg) +
                        (size_t)outer_index(s, t->row + r, a);

            sum += j->sum[a][at];
            square += j->square[a][at];
        }
        k->grid_stats(tile_content(t) + mul(r, t->n), s->plane, s->c, t->n,
                      j->sum[last] + o, j->square[last] + o, sum, square,
                      j->t->c, w->mean + mul(r, t->n), w->rstd + mul(r, t->n));
    }
    if (j->t->mask) {
        const unsigned char *m = j->t->mask + mul(t->item, j->t->n) +
                                 (size_t)t->offset + t->at;

        for (int i = 0; i < tile_size(t); i++)
            w->bias[i] = m[i] ? 0 : -(real)INFINITY;
    }
}

/* The tile as the kernels see it. */
static pcv_run run_of(const job *j, const tile *t, const work *w)
{
    pcv_run run = { .n = tile_size(t), .c = fused(t->s) ? t->s->c : 0,
                    .mean = w->mean, .rstd = w->rstd,
                    .bias = j->t->mask ? w->bias : NULL };

    for (int k = 0; k < run.c; k++)
        run.content[k] = tile_content(t) + (size_t)k * t->s->plane;
    return run;
}

/* What read i of the group brings to the tile: the dot products with the
 * positions of its elements, last axis plus outer axes, go to `at`. */
static pcv_fold fold_of(const tile *t, const fold *f, int i, real *at)
{
    const pcv_segment *s = t->s;
    int last = s->axes - 1;
    pcv_fold out = { .sum = f->sum[i], .table = at };
    real base[TILE];

    for (int r = 0; r < t->rows; r++) {
        base[r] = f->base[i];
        for (int a = 0; a < last; a++)
            base[r] += f->table[a][mul(i, s->len[a]) +
                                   (size_t)outer_index(s, t->row + r, a)];
    }
    pcv_rows_get()->outer_add(f->table[last] + mul(i, s->len[last]) + t->from,
                              base, t->rows, t->n, at);
    if (fused(s))
        for (int k = 0; k < s->c; k++)
            out.content[k] = f->content[mul(i, s->c) + (size_t)k];
    else
        out.dots = f->dots + mul(i, tile_size(t));
    return out;
}

static void tile_dots(const tile *t, const fold *f, int count)
{
    if (!fused(t->s))
        pcv_gemm(false, false, count, tile_size(t), t->s->c, 1, f->content,
                 t->s->c, tile_content(t), (int)t->s->plane, 0, f->dots,
                 tile_size(t));
}

/* content sums += weights (count x tile) times content, by a product. */
static void tile_pool(const tile *t, const real *weights, int count, state *s)
{
    if (!fused(t->s))
        pcv_gemm(false, true, count, t->s->c, tile_size(t), 1, weights,
                 tile_size(t), tile_content(t), (int)t->s->plane, 1,
                 s->content, t->s->c);
}

/* Adds the weights of read i over the tile to its marginals. */
static void add_marginals(const tile *t, state *s, int i, const real *weight)
{
    int last = t->s->axes - 1;
    real row[TILE];

    pcv_rows_get()->outer_sum(weight, t->rows, t->n, row, s->marginal[last] +
                              mul(i, t->s->len[last]) + t->from);
    for (int a = 0; a < last; a++)
        for (int r = 0; r < t->rows; r++)
            s->marginal[a][mul(i, t->s->len[a]) +
                           (size_t)outer_index(t->s, t->row + r, a)] += row[r];
}

/* ---- sums of a segment ------------------------------------------------- */

static void segment_open(state *s, const pcv_segment *seg, int count)
{
    for (int a = 0; a < seg->axes; a++)
        memset(s->marginal[a], 0, mul(count, seg->len[a]) * sizeof(real));
    memset(s->content, 0, mul(count, seg->c) * sizeof(real));
    memset(s->seg, 0, sizeof s->seg);
}

/* Scales what read i has summed so far: the running maximum has risen. */
static void rescale(const job *j, const pcv_segment *seg, state *s, int i,
                    real f)
{
    const pcv_rows *k = pcv_rows_get();
    pcv_sums *sums = &s->seg[i];

    for (int a = 0; a < seg->axes; a++)
        k->scale(s->marginal[a] + mul(i, seg->len[a]), seg->len[a], f);
    k->scale(s->content + mul(i, seg->c), seg->c, f);
    k->scale(s->done + mul(i, j->t->c), j->t->c, f);
    sums->p *= (double)f;
    sums->w *= (double)f;
    sums->wm *= (double)f;
    for (int c = 0; c < 3; c++)
        sums->content[c] *= (double)f;
    s->p[i] *= (double)f;
    s->wm[i] *= (double)f;
}

/* Sums of the segment join those of the finished ones: marginals times their
 * tables, content, constant. */
static void segment_close(const job *j, const pcv_segment *seg, state *s,
                          int count, real *gather)
{
    int c = j->t->c;

    for (int a = 0; a < seg->axes; a++) {
        pcv_gemm(false, false, count, seg->cols[a], seg->len[a], 1,
                 s->marginal[a], seg->len[a], seg->table[a], seg->cols[a], 0,
                 gather, seg->cols[a]);
        for (int i = 0; i < count; i++)
            for (int k = 0; k < seg->cols[a]; k++)
                s->done[mul(i, c) + (size_t)seg->channel[a][k]] +=
                    gather[mul(i, seg->cols[a]) + (size_t)k];
    }
    for (int i = 0; i < count; i++) {
        real *out = s->done + mul(i, c);
        const pcv_sums *sums = &s->seg[i];

        for (int k = 0; k < seg->c; k++)
            out[k] += fused(seg) ? (real)sums->content[k]
                                 : s->content[mul(i, seg->c) + (size_t)k];
        for (int k = 0; seg->k && k < seg->k_n; k++)
            out[seg->k_at + k] += (real)sums->w * seg->k[k];
        s->p[i] += sums->p;
        s->wm[i] += sums->wm;
    }
}

static void state_open(const job *j, state *s, int count)
{
    memset(s->done, 0, mul(count, j->t->c) * sizeof(real));
    for (int i = 0; i < GROUP; i++) {
        s->p[i] = s->wm[i] = 0;
        s->top[i] = -(real)INFINITY;
    }
}

/* ---- forward ----------------------------------------------------------- */

/* Scores of read i over the tile; the running maximum follows. */
static void score_read(const job *j, const tile *t, const pcv_run *run,
                       work *w, int i)
{
    pcv_fold f = fold_of(t, &w->u, i, w->position);
    real top = pcv_rows_get()->grid_score(run, &f,
                                          w->score + mul(i, run->n));

    if (top > w->s.top[i]) {
        if (w->s.top[i] > -(real)INFINITY)
            rescale(j, t->s, &w->s, i,
                    (real)exp((double)(w->s.top[i] - top)));
        w->s.top[i] = top;
    }
}

static void weigh_read(const tile *t, const pcv_run *run, work *w, int i)
{
    real *s = w->score + mul(i, run->n), top = w->s.top[i];

    if (top == -(real)INFINITY)     /* all masked so far: weights of 0, and */
        top = 0;                    /* NaN where a score is NaN */
    pcv_rows_get()->grid_weigh(run, s, top, &w->s.seg[i]);
    add_marginals(t, &w->s, i, s);
}

static void forward_segment(const job *j, tile *t, work *w, int count)
{
    pcv_run run;

    fold_segment(j, &w->u, t->s, count, w->gather);
    segment_open(&w->s, t->s, count);
    while (tile_next(t)) {
        tile_stats(j, t, w);
        tile_dots(t, &w->u, count);
        run = run_of(j, t, w);
        for (int i = 0; i < count; i++) {
            score_read(j, t, &run, w, i);
            weigh_read(t, &run, w, i);
        }
        tile_pool(t, w->score, count, &w->s);
    }
    segment_close(j, t->s, &w->s, count, w->gather);
}

typedef void segment_pass(const job *j, tile *t, work *w, int count);

static void over_segments(const job *j, segment_pass *pass, int item, work *w,
                          int count)
{
    int offset = 0;

    for (int i = 0; i < j->t->segments; i++) {
        const pcv_segment *s = &j->t->segment[i];
        tile t = { .s = s, .item = item, .seg = i, .offset = offset };

        pass(j, &t, w, count);
        offset += outer_rows(s) * inner(s);
    }
}

static int group_count(const job *j, int group)
{
    int left = j->reads - group * GROUP;

    return left < GROUP ? left : GROUP;
}

static void forward_group(void *arg, int task)
{
    const job *j = arg;
    work *w = &j->per_thread[pcv_thread_id()];
    int item = task / j->groups, group = task % j->groups, c = j->t->c;
    int count = group_count(j, group);
    size_t read = mul(item, j->reads) + mul(group, GROUP);

    fold_open(j, &w->u, j->raw + read * (size_t)c, count, true);
    state_open(j, &w->s, count);
    over_segments(j, forward_segment, item, w, count);
    for (int i = 0; i < count; i++) {
        real *z = j->zout + (read + (size_t)i) * (size_t)c;

        for (int k = 0; k < c; k++)
            z[k] = (real)(((double)w->s.done[mul(i, c) + (size_t)k] -
                           w->s.wm[i]) / w->s.p[i]);
        j->lseout[read + (size_t)i] = w->s.top[i] + (real)log(w->s.p[i]);
    }
}

/* raw = W_k^T q / sqrt(d), per head, n queries of one item: products that
 * depend on the item alone, so that its neighbours do not change a bit. */
static void fold_item(const pcv_reader *r, int n, const real *q, real *raw)
{
    int c = r->norm->n, qk = r->key->out, d = qk / r->heads;

    for (int h = 0; h < r->heads; h++)
        pcv_matmul(false, false, n, c, d, (real)(1 / sqrt((double)d)),
                   q + h * d, qk, r->key->w->w + mul(h * d, c), c, 0,
                   raw + mul(h, c), r->heads * c);
}

static void fold_queries(const pcv_reader *r, int items, int n, const real *q,
                         real *raw)
{
    for (int b = 0; b < items; b++)
        fold_item(r, n, q + mul(b * n, r->key->out),
                  raw + mul(b * n, r->heads * r->norm->n));
}

/* a = g z + b over rows of C. */
static void affine(const pcv_norm *l, const real *z, size_t rows, real *a)
{
    for (size_t i = 0; i < rows; i++)
        for (int k = 0; k < l->n; k++)
            a[i * (size_t)l->n + (size_t)k] =
                l->g->w[k] * z[i * (size_t)l->n + (size_t)k] + l->b->w[k];
}

static void add_bias(const pcv_linear *l, int rows, real *y)
{
    const pcv_rows *k = pcv_rows_get();

    for (int i = 0; l->b && i < rows; i++)
        k->add(y + mul(i, l->out), l->b->w, l->out);
}

/* y = W_v a + b_v, per head, for n queries of one item. */
static void value_item(const pcv_reader *r, int n, const real *a, real *y)
{
    int c = r->norm->n, v = r->value->out, dv = v / r->heads;

    for (int h = 0; h < r->heads; h++)
        pcv_matmul(false, true, n, dv, c, 1, a + mul(h, c), r->heads * c,
                   r->value->w->w + mul(h * dv, c), c, 0, y + h * dv, v);
    add_bias(r->value, n, y);
}

void pcv_grid_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch)
{
    real *raw;
    job j;

    job_layout(r, t, n, false, scratch, &j, &raw, 1);
    axis_sums(&j);
    fold_queries(r, t->items, n, q, raw);
    j.raw = raw;
    j.zout = rec->z;
    j.lseout = rec->lse;
    pcv_parallel(t->items * j.groups, forward_group, &j);
    affine(r->norm, rec->z, mul(t->items * n, r->heads), raw);
    for (int b = 0; b < t->items; b++)
        value_item(r, n, raw + mul(b * j.reads, t->c),
                   y + mul(b * n, r->value->out));
}

/* ---- backward ---------------------------------------------------------- */

/* Reads' shares of one tile's content gradient: G, Gs, Gx. */
static void gather_content(const tile *t, work *w, int count)
{
    const pcv_rows *k = pcv_rows_get();
    int n = tile_size(t), c = t->s->c;
    real *gs = w->g + mul(c, n), *gx = gs + n;

    memset(w->g, 0, mul(c + 2, n) * sizeof(real));
    for (int i = 0; i < count; i++) {
        real *p = w->p + mul(i, n), *ds = w->w + mul(i, n);
        const real *dp = w->dp + mul(i, n), *s = w->score + mul(i, n);

        for (int e = 0; e < n; e++) {
            ds[e] /= w->rstd[e];        /* w = ds r: back to ds */
            if (p[e] > 0)               /* a masked score is -inf */
                gx[e] += p[e] * dp[e] + ds[e] * s[e];
        }
        k->axpy(gs, p, n, w->dz.sum[i]);
        k->axpy(gs, ds, n, w->u.sum[i]);
    }
    pcv_gemm(true, false, c, n, count, 1, w->dz.content, c, w->p, n, 1, w->g,
             n);
    pcv_gemm(true, false, c, n, count, 1, w->u.content, c, w->w, n, 1, w->g,
             n);
}

static void content_gradient(const job *j, const tile *t, work *w, int count)
{
    const pcv_segment *s = t->s;
    int n = tile_size(t);
    const real *gs = w->g + mul(s->c, n), *gx = gs + n;
    real inv = (real)(1.0 / j->t->c);
    real *out = s->dcontent + (size_t)t->item * s->item_stride + t->at;

    gather_content(t, w, count);
    for (int c = 0; c < s->c; c++) {
        const real *x = tile_content(t) + (size_t)c * s->plane;
        const real *g = w->g + mul(c, n);

        for (int e = 0; e < n; e++)
            out[(size_t)c * s->plane + (size_t)e] +=
                w->rstd[e] * (g[e] - gs[e] * inv -
                              (x[e] - w->mean[e]) * w->rstd[e] * gx[e] * inv);
    }
}

static void backward_read(const tile *t, const pcv_run *run, work *w, int i,
                          real lse, real d)
{
    const pcv_rows *k = pcv_rows_get();
    size_t o = mul(i, run->n);
    pcv_fold f = fold_of(t, &w->u, i, w->position);

    k->grid_score(run, &f, w->score + o);
    f = fold_of(t, &w->dz, i, w->position);
    k->grid_back(run, &f, lse, d, w->score + o, w->p + o, w->dp + o, w->w + o,
                 &w->s.seg[i]);
    add_marginals(t, &w->s, i, w->w + o);
}

/* lse and dz.z of the group's reads stand in state.top and state.p. */
static void backward_segment(const job *j, tile *t, work *w, int count)
{
    pcv_run run;

    fold_segment(j, &w->u, t->s, count, w->gather);
    fold_segment(j, &w->dz, t->s, count, w->gather);
    segment_open(&w->s, t->s, count);
    while (tile_next(t)) {
        tile_stats(j, t, w);
        tile_dots(t, &w->u, count);
        tile_dots(t, &w->dz, count);
        run = run_of(j, t, w);
        for (int i = 0; i < count; i++)
            backward_read(t, &run, w, i, w->s.top[i], (real)w->s.p[i]);
        tile_pool(t, w->w, count, &w->s);
        if (t->s->dcontent)
            content_gradient(j, t, w, count);
    }
    segment_close(j, t->s, &w->s, count, w->gather);
}

static void backward_group(const job *j, int item, int group)
{
    const pcv_rows *k = pcv_rows_get();
    work *w = &j->per_thread[pcv_thread_id()];
    int c = j->t->c, count = group_count(j, group);
    size_t read = mul(item, j->reads) + mul(group, GROUP);
    size_t o = read * (size_t)c;

    fold_open(j, &w->u, j->raw + o, count, true);
    fold_open(j, &w->dz, j->dz + o, count, false);
    state_open(j, &w->s, count);
    for (int i = 0; i < count; i++) {
        w->s.top[i] = j->lse[read + (size_t)i];
        w->s.p[i] = (double)k->dot(j->dz + o + mul(i, c), j->z + o + mul(i, c),
                                   c);
    }
    over_segments(j, backward_segment, item, w, count);
    for (int i = 0; i < count; i++)
        for (int e = 0; e < c; e++)
            j->du[o + mul(i, c) + (size_t)e] =
                w->s.done[mul(i, c) + (size_t)e] - (real)w->s.wm[i];
}

static void backward_task(void *arg, int task)
{
    const job *j = arg;

    backward_group(j, task / j->groups, task % j->groups);
}

/* Groups of an item share the gradient of its content: one after the other. */
static void backward_item(void *arg, int item)
{
    const job *j = arg;

    for (int g = 0; g < j->groups; g++)
        backward_group(j, item, g);
}

/* From dy through the value projection: dz (returned in da), and the gradients
 * of W_v, b_v and of the norm's share of it.  a is scratch. */
static void value_backward(const pcv_reader *r, int rows, const real *dy,
                           const real *z, real *a, real *da)
{
    const pcv_norm *l = r->norm;
    int c = l->n, h = r->heads, v = r->value->out, dv = v / h;
    size_t reads = mul(rows, h);

    affine(l, z, reads, a);
    for (int k = 0; k < h; k++) {
        const real *w = r->value->w->w + mul(k * dv, c);

        pcv_matmul(false, false, rows, c, dv, 1, dy + k * dv, v, w, c, 0,
                   da + mul(k, c), h * c);
        if (r->value->w->g)
            pcv_matmul(true, false, dv, c, rows, 1, dy + k * dv, v,
                       a + mul(k, c), h * c, 1,
                       r->value->w->g + mul(k * dv, c), c);
    }
    if (r->value->b && r->value->b->g)
        pcv_column_sums(dy, rows, v, r->value->b->g);
    for (size_t i = 0; i < reads; i++)
        for (int k = 0; k < c; k++) {
            size_t o = i * (size_t)c + (size_t)k;

            if (l->g->g) {
                l->b->g[k] += da[o];
                l->g->g[k] += da[o] * z[o];
            }
            da[o] *= l->g->w[k];
        }
}

/* From du through the key projection: dq, W_k and the norm's gain.  The key
 * bias moves all scores of a row alike: its gradient is exactly zero. */
static void key_backward(const pcv_reader *r, int rows, const real *q,
                         const real *raw, real *du, real *dq)
{
    const pcv_norm *l = r->norm;
    int c = l->n, h = r->heads, qk = r->key->out, d = qk / h;
    real scale = (real)(1 / sqrt((double)d));

    for (size_t i = 0; i < mul(rows, h); i++)
        for (int k = 0; k < c; k++) {
            size_t o = i * (size_t)c + (size_t)k;

            if (l->g->g)
                l->g->g[k] += du[o] * raw[o];
            du[o] *= l->g->w[k];
        }
    for (int k = 0; k < h; k++) {
        pcv_matmul(false, true, rows, d, c, scale, du + mul(k, c), h * c,
                   r->key->w->w + mul(k * d, c), c, 1, dq + k * d, qk);
        if (r->key->w->g)
            pcv_matmul(true, false, d, c, rows, scale, q + k * d, qk,
                       du + mul(k, c), h * c, 1, r->key->w->g + mul(k * d, c),
                       c);
    }
}

static bool content_learns(const pcv_tokens *t)
{
    for (int i = 0; i < t->segments; i++)
        if (t->segment[i].dcontent)
            return true;
    return false;
}

void pcv_grid_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       const real *q, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch)
{
    int rows = t->items * n;
    real *array[3];             /* raw; dz; du, first scratch for a */
    job j;

    job_layout(r, t, n, true, scratch, &j, array, 3);
    axis_sums(&j);
    fold_queries(r, t->items, n, q, array[0]);
    value_backward(r, rows, dy, rec->z, array[2], array[1]);
    j.raw = array[0];
    j.dz = array[1];
    j.du = array[2];
    j.z = rec->z;
    j.lse = rec->lse;
    if (content_learns(t))
        pcv_parallel(t->items, backward_item, &j);
    else
        pcv_parallel(t->items * j.groups, backward_task, &j);
    key_backward(r, rows, q, array[0], array[2], dq);
}

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
 * softmax).  A u whose mean over the channels is subtracted first makes the
 * second term vanish: that is how folds are kept here.  With w_j = p_j r_j the
 * pooled input is
 *
 *   z = sum_j w_j (x_j - m_j)     y = W_v (g * z + b) + b_v
 *
 * which is sum_j w_j x_j less its mean over the channels.
 *
 * whose part along axis a is the marginal of w over the other axes times F_a.
 * So an element costs c + A + 2 multiply-adds and one exp per query, and
 * neither rows, keys, values nor the attention matrix exist.
 *
 * Backward is the same algebra with dz in u's place:
 *
 *   dp_j = r_j dz . x_j                      ds_j = p_j (dp_j - dz . z)
 *   du   = sum_j ds_j r_j (x_j - m_j)
 *
 * and, where content is computed by trained weights, per content channel
 *
 *   G_j  = sum_i p_ij dz_i + ds_ij u_i
 *   Gx_j = sum_i p_ij dp_ij + ds_ij s_ij
 *   dcontent_j = r_j (G_j - (content_j - m_j) r_j Gx_j / C)
 *
 * A constant that is trained has the sum of that over the elements,
 *
 *   dk = sum_i P_i dz_i + W_i u_i - sum_j (k - m_j) r_j^2 Gx_j / C,
 *   P_i = sum_j r_j p_ij          W_i = sum_j r_j ds_ij
 *
 * Forward keeps its scores in bits, u times log2 e, since 2^x is cheaper than
 * e^x; backward wants the scores themselves.
 *
 * A `read` is one query of one head.  Reads are taken GROUP at a time; a group
 * passes over the grid in tiles of whole rows (or parts of long ones) and
 * keeps an online softmax.  One and three content channels go through the
 * fused loops of kern/, whole rows in one sweep where they are wide; more go
 * through a product per tile. */
#include "grid.h"

#include <math.h>
#include <string.h>

/* ---- forward --------------------------------------------------------- */

static const double bits = 1.4426950408889634;  /* log2 e */

/* Scores of read i over the tile; the running maximum follows. */
static void score_read(const grid_job *j, const grid_tile *t,
                       const pcv_run *run, grid_work *w, int i)
{
    pcv_fold f = pcv_tile_fold(t, &w->u, i, w->position);
    real top = pcv_rows_get()->grid_score(run, &f,
                                          w->score + mul(i, run->n));

    if (top > w->s.top[i]) {
        if (w->s.top[i] > -(real)INFINITY)
            pcv_segment_rescale(j, t->s, &w->s, i,
                    (real)exp2((double)(w->s.top[i] - top)));
        w->s.top[i] = top;
    }
}

static void weigh_read(const grid_tile *t, const pcv_run *run, grid_work *w,
                       int i)
{
    real *s = w->score + mul(i, run->n), top = w->s.top[i];

    if (top == -(real)INFINITY)     /* all masked so far: weights of 0, and */
        top = 0;                    /* NaN where a score is NaN */
    pcv_rows_get()->grid_weigh(run, s, top, &w->s.seg[i]);
    pcv_tile_marginals(t, &w->s, i, s);
}

/* Scores first, then weights: any tile. */
static void forward_tile(const grid_job *j, const grid_tile *t, grid_work *w,
                         int count)
{
    pcv_run run = pcv_tile_run(j, t, w);

    pcv_tile_dots(t, &w->u, count);
    for (int i = 0; i < count; i++) {
        score_read(j, t, &run, w, i);
        weigh_read(t, &run, w, i);
    }
    pcv_tile_pool(t, w->score, count, &w->s);
}

static void forward_segment(const grid_job *j, grid_tile *t, grid_work *w,
                            int count)
{
    if (j->folds)
        pcv_fold_kept_tables(j, &w->u, t->seg, t->group);
    else
        pcv_fold_tables(j, &w->u, t->s, count, w->gather);
    pcv_fold_rest(j, &w->u, t->s, count);
    pcv_segment_open(&w->s, t->s, count);
    while (pcv_tile_next(t)) {
        pcv_tile_stats(j, t, w);
        if (!pcv_segment_sweeps(j, t->s))
            forward_tile(j, t, w, count);
        else
            for (int i = 0; i < count; i++)
                pcv_tile_sweep(j, t, w, i);
    }
    pcv_segment_close(j, t->s, &w->s, count, w->gather);
}

typedef void segment_pass(const grid_job *j, grid_tile *t, grid_work *w,
                          int count);

static void over_segments(const grid_job *j, segment_pass *pass, int item,
                          grid_work *w, int group, int count)
{
    int offset = 0;

    for (int i = 0; i < j->t->segments; i++) {
        const pcv_segment *s = &j->t->segment[i];
        grid_tile t = pcv_tiles_begin(j, i, item, group, offset);

        pass(j, &t, w, count);
        offset += pcv_segment_rows(s) * pcv_segment_inner(s);
    }
}

static int group_count(const grid_job *j, int group)
{
    int left = j->reads - group * GROUP;

    return left < GROUP ? left : GROUP;
}

static real shift_of(const grid_job *j, int item, int read)
{
    return j->shift[mul(j->folds ? 0 : item, j->reads) + (size_t)read];
}

static void forward_group(void *arg, int task)
{
    const grid_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    grid_work *w = &j->per_thread[pcv_thread_id()];
    int item = task / j->groups, group = task % j->groups, c = j->t->c;
    int count = group_count(j, group);
    size_t read = mul(item, j->reads) + mul(group, GROUP);

    if (j->folds)
        pcv_fold_kept(j, &w->u, group);
    else
        pcv_fold_open(j, &w->u, j->raw + read * (size_t)c, count,
                      j->r->norm->g->w, (real)bits);
    pcv_pooled_open(j, &w->s, count);
    over_segments(j, forward_segment, item, w, group, count);
    /* sum_j w_j (x_j - m_j) is sum_j w_j x_j less its mean over channels */
    for (int i = 0; i < count; i++) {
        k->center(w->s.done + mul(i, c), c, NULL, (real)(1 / w->s.p[i]),
                  j->zout + (read + (size_t)i) * (size_t)c);
        j->lseout[read + (size_t)i] =
            shift_of(j, item, group * GROUP + i) +
            (real)((double)w->s.top[i] / bits + log(w->s.p[i]));
    }
}

/* Folds and tables of a group, to be kept. */
static void keep_group(void *arg, int group)
{
    const grid_job *j = arg;
    grid_work *w = &j->per_thread[pcv_thread_id()];
    int count = group_count(j, group);

    pcv_fold_kept(j, &w->u, group);
    pcv_fold_open(j, &w->u, j->raw + mul(group * GROUP, j->t->c), count,
                  j->r->norm->g->w, (real)bits);
    for (int i = 0; i < j->t->segments; i++) {
        pcv_fold_kept_tables(j, &w->u, i, group);
        pcv_fold_tables(j, &w->u, &j->t->segment[i], count, w->gather);
    }
}

/* Folded queries of all items, or what is kept of the first: all have them.
 * What the softmax does not see of the scores goes to j->shift. */
static void fold(grid_job *j, const real *q, real *raw, real *shift,
                 pcv_folds *kept)
{
    int items = kept ? 1 : j->t->items;

    j->raw = raw;
    j->folds = kept;
    j->shift = kept ? kept->shift : shift;
    if (kept && kept->ready)
        return;
    pcv_fold_queries(j->r, items, j->n, q, raw);
    pcv_fold_shift(j->r, items * j->n, q, raw, kept ? kept->shift : shift);
    if (!kept)
        return;
    pcv_parallel(j->groups, keep_group, j);
    kept->ready = true;
}

void pcv_grid_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch)
{
    real *array[2];             /* raw, then scratch; shift */
    grid_job j;

    pcv_grid_layout(r, t, n, false, scratch, &j, array);
    pcv_grid_axes(&j);
    fold(&j, q, array[0], array[1], rec->folds);
    j.zout = rec->z;
    j.lseout = rec->lse;
    pcv_parallel(t->items * j.groups, forward_group, &j);
    pcv_unfold_values(r, t->items, n, rec->z, array[0], y);
}

/* ---- backward -------------------------------------------------------- */

/* Gx of the tile's elements, behind the c planes of G; w becomes ds. */
static void gather_gx(const grid_tile *t, grid_work *w, int count)
{
    int n = pcv_tile_size(t);
    real *gx = w->g + mul(t->s->c, n);

    memset(gx, 0, (size_t)n * sizeof(real));
    for (int i = 0; i < count; i++) {
        const real *p = w->p + mul(i, n);
        real *ds = w->w + mul(i, n);
        const real *dp = w->dp + mul(i, n), *s = w->score + mul(i, n);

        for (int e = 0; e < n; e++) {
            ds[e] /= w->rstd[e];        /* w = ds r: back to ds */
            if (p[e] > 0)               /* a masked score is -inf */
                gx[e] += p[e] * dp[e] + ds[e] * s[e];
        }
    }
}

static void content_gradient(const grid_job *j, const grid_tile *t,
                             grid_work *w, int count)
{
    const pcv_segment *s = t->s;
    int n = pcv_tile_size(t);
    const real *gx = w->g + mul(s->c, n);
    real inv = (real)(1.0 / j->t->c);
    real *out = s->dcontent + (size_t)t->item * s->item_stride + t->at;

    pcv_gemm(true, false, s->c, n, count, 1, w->dz.content, s->c, w->p, n, 0,
             w->g, n);
    pcv_gemm(true, false, s->c, n, count, 1, w->u.content, s->c, w->w, n, 1,
             w->g, n);
    for (int c = 0; c < s->c; c++) {
        const real *x = pcv_tile_content(t) + (size_t)c * s->plane;
        const real *g = w->g + mul(c, n);

        for (int e = 0; e < n; e++)
            out[(size_t)c * s->plane + (size_t)e] +=
                w->rstd[e] * (g[e] - (x[e] - w->mean[e]) * w->rstd[e] *
                                         gx[e] * inv);
    }
}

/* The tile's share of P, of sum r^2 Gx and of sum m r^2 Gx. */
static void constant_sums(const grid_tile *t, grid_work *w, int count)
{
    const pcv_rows *k = pcv_rows_get();
    int n = pcv_tile_size(t);
    const real *gx = w->g + mul(t->s->c, n);

    for (int i = 0; i < count; i++)
        w->share[i] += (double)k->dot(w->p + mul(i, n), w->rstd, n);
    for (int e = 0; e < n; e++) {
        double a = (double)w->rstd[e] * (double)w->rstd[e] * (double)gx[e];

        w->share_gx += a;
        w->share_mean += a * (double)w->mean[e];
    }
}

/* Before the segment's sums are joined to the others'. */
static void constant_gradient(const grid_job *j, const grid_tile *t,
                              grid_work *w, int count)
{
    const pcv_segment *s = t->s;
    real *dk = s->dk + mul(t->item, s->k_n);

    for (int c = 0; c < s->k_n; c++) {
        double value = s->k ? (double)s->k[c] : 0;
        double sum = (w->share_mean - value * w->share_gx) / j->t->c;

        for (int i = 0; i < count; i++) {
            size_t at = mul(i, j->t->c) + (size_t)(s->k_at + c);

            sum += w->share[i] * (double)w->dz.full[at] +
                   w->s.seg[i].w * (double)w->u.full[at];
        }
        dk[c] += (real)sum;
    }
}

static void learn_tile(const grid_job *j, const grid_tile *t, grid_work *w,
                       int count)
{
    if (!t->s->dcontent && !t->s->dk)
        return;
    gather_gx(t, w, count);
    if (t->s->dk)
        constant_sums(t, w, count);
    if (t->s->dcontent)
        content_gradient(j, t, w, count);
}

static void backward_read(const grid_tile *t, const pcv_run *run, grid_work *w,
                          int i, real lse, real d)
{
    const pcv_rows *k = pcv_rows_get();
    size_t o = mul(i, run->n);
    pcv_fold f = pcv_tile_fold(t, &w->u, i, w->position);

    k->grid_score(run, &f, w->score + o);
    f = pcv_tile_fold(t, &w->dz, i, w->position);
    k->grid_back(run, &f, lse, d, w->score + o, w->p + o, w->dp + o, w->w + o,
                 &w->s.seg[i]);
    pcv_tile_marginals(t, &w->s, i, w->w + o);
}

/* lse and dz.z of the group's reads stand in state.top and state.p. */
static void backward_segment(const grid_job *j, grid_tile *t, grid_work *w,
                             int count)
{
    grid_fold *fold[2] = { &w->u, &w->dz };
    pcv_run run;

    for (int i = 0; i < 2; i++) {
        pcv_fold_tables(j, fold[i], t->s, count, w->gather);
        pcv_fold_rest(j, fold[i], t->s, count);
    }
    pcv_segment_open(&w->s, t->s, count);
    memset(w->share, 0, sizeof w->share);
    w->share_gx = w->share_mean = 0;
    while (pcv_tile_next(t)) {
        pcv_tile_stats(j, t, w);
        pcv_tile_dots(t, &w->u, count);
        pcv_tile_dots(t, &w->dz, count);
        run = pcv_tile_run(j, t, w);
        for (int i = 0; i < count; i++)
            backward_read(t, &run, w, i, w->s.top[i], (real)w->s.p[i]);
        pcv_tile_pool(t, w->w, count, &w->s);
        learn_tile(j, t, w, count);
    }
    if (t->s->dk)
        constant_gradient(j, t, w, count);
    pcv_segment_close(j, t->s, &w->s, count, w->gather);
}

static void backward_group(const grid_job *j, int item, int group)
{
    const pcv_rows *k = pcv_rows_get();
    grid_work *w = &j->per_thread[pcv_thread_id()];
    int c = j->t->c, count = group_count(j, group);
    size_t read = mul(item, j->reads) + mul(group, GROUP);
    size_t o = read * (size_t)c;

    pcv_fold_open(j, &w->u, j->raw + o, count, j->r->norm->g->w, 1);
    pcv_fold_open(j, &w->dz, j->dz + o, count, NULL, 1);
    pcv_pooled_open(j, &w->s, count);
    for (int i = 0; i < count; i++) {
        w->s.top[i] = j->lse[read + (size_t)i] -
                      shift_of(j, item, group * GROUP + i);
        w->s.p[i] = (double)k->dot(j->dz + o + mul(i, c), j->z + o + mul(i, c),
                                   c);
    }
    over_segments(j, backward_segment, item, w, group, count);
    for (int i = 0; i < count; i++)
        k->center(w->s.done + mul(i, c), c, NULL, 1, j->du + o + mul(i, c));
}

static void backward_task(void *arg, int task)
{
    const grid_job *j = arg;

    backward_group(j, task / j->groups, task % j->groups);
}

/* Groups of an item share the gradient of its segments: one after the other. */
static void backward_item(void *arg, int item)
{
    const grid_job *j = arg;

    for (int g = 0; g < j->groups; g++)
        backward_group(j, item, g);
}

static bool segments_learn(const pcv_tokens *t)
{
    for (int i = 0; i < t->segments; i++)
        if (t->segment[i].dcontent || t->segment[i].dk)
            return true;
    return false;
}

void pcv_grid_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch)
{
    int rows = t->items * n;
    real *array[4];             /* raw; shift; dz; du, first scratch for a */
    grid_job j;

    pcv_grid_layout(r, t, n, true, scratch, &j, array);
    (void)y;                    /* z is enough */
    pcv_grid_axes(&j);
    fold(&j, q, array[0], array[1], NULL);
    pcv_unfold_values_backward(r, rows, dy, rec->z, array[3], array[2]);
    j.dz = array[2];
    j.du = array[3];
    j.z = rec->z;
    j.lse = rec->lse;
    if (segments_learn(t))
        pcv_parallel(t->items, backward_item, &j);
    else
        pcv_parallel(t->items * j.groups, backward_task, &j);
    pcv_fold_queries_backward(r, rows, q, array[0], array[3], dq);
}

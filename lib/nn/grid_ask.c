/* grid_ask.c - the structured attend turned round: queries on a grid read the
 * latents (optical flow, reconstruction).
 *
 * A query's row is x_j = [content_j | F_1[j_1] | .. | F_A[j_A] | k].  With
 * r_j, m_j its LayerNorm statistics, g, b gain and bias, W_q, b_q the query
 * projection and k_i the key of latent i (one head, d channels), the score is
 *
 *   s_ij = (W_q (r_j (x_j - m_j) g + b) + b_q) . k_i / sqrt(d)
 *        = r_j u_i . x_j + c_i
 *   u_i  = g W_q^T k_i / sqrt(d), less its mean over the channels
 *   c_i  = (W_q^T k_i . b + k_i . b_q) / sqrt(d)
 *
 * and u_i . x_j is a product over the content channels alone and one table per
 * axis, T_a[j_a][i] = F_a[j_a] . u_i.  What is read goes through the output
 * projection at once: y_j = sum_i p_ij (W_o v_i) + b_o.  So neither queries nor
 * their projection nor what they attended exist, and per query and latent there
 * are c + E multiply-adds where the rows take qk + v and three projections.
 *
 * Heads: a `read` is one latent of one head, head-major; W_o's columns of a
 * head fold into its own values.
 *
 * Backward, for positions alone (no content), with V'_i = W_o v_i:
 *
 *   dV'_i = sum_j p_ij dy_j
 *   ds_ij = p_ij (dy_j . V'_i - dy_j . (y_j - b_o))
 *   dT_a[l] = sum over j_a = l of r_j ds_ij       du_i = sum_a dT_a^T F_a
 *   dc_i  = sum_j ds_ij
 *
 * and from du, dc, dV' through the products that folded the latents.  Queries
 * are taken WAVE at a time, so that their weights never stand there for all. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256 };             /* few: a product packs all values for them */

static size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

void pcv_ask_layout(const pcv_block *b, const pcv_segment *s, int n,
                    pcv_arena *a, pcv_ask_fold *f)
{
    int reads = n * b->heads;

    *f = (pcv_ask_fold){ .n = n, .reads = reads };
    f->content = pcv_arena_take(a, mul(reads, s->c), sizeof(real));
    for (int k = 0; k < s->axes; k++)
        f->table[k] = pcv_arena_take(a, mul(s->len[k], reads), sizeof(real));
    f->bias = pcv_arena_take(a, (size_t)reads, sizeof(real));
    f->value = pcv_arena_take(a, mul(reads, b->d), sizeof(real));
}

/* ---- folding the latents --------------------------------------------- */

typedef struct {
    const pcv_block *b;
    const pcv_segment *s;
    pcv_ask_fold *f;
    const real *k;              /* N x qk: keys of the latents */
    int head;
    real *u;                    /* N x E: of this head */
    real *base;                 /* N: u of the constant channels */
    real *gather;               /* N x widest table */
} fold_job;

/* u_i from W_q^T k_i / sqrt(d), which stands in its place; c_i on the way. */
static void fold_latent(void *arg, int i)
{
    const fold_job *j = arg;
    const pcv_block *b = j->b;
    const pcv_segment *s = j->s;
    const real *g = b->norm_q.g->w, *bias = b->norm_q.b->w;
    int d = b->qk / b->heads, e = b->d;
    const real *key = j->k + mul(i, b->qk) + j->head * d;
    real *u = j->u + mul(i, e);
    double c = 0, sum = 0, base = 0;

    for (int k = 0; b->query.b && k < d; k++)
        c += (double)key[k] * (double)b->query.b->w[j->head * d + k];
    c /= sqrt((double)d);
    for (int k = 0; k < e; k++) {
        c += (double)u[k] * (double)bias[k];
        u[k] *= g[k];
        sum += (double)u[k];
    }
    for (int k = 0; k < e; k++)
        u[k] -= (real)(sum / e);
    for (int k = 0; s->k && k < s->k_n; k++)
        base += (double)s->k[k] * (double)u[s->k_at + k];
    j->base[i] = (real)base;
    j->f->bias[j->head * j->f->n + i] = (real)c;
    memcpy(j->f->content + mul(j->head * j->f->n + i, s->c), u,
           (size_t)s->c * sizeof *u);
}

/* The table of axis a; what the constant channels give joins the first. */
static void fold_axis(const fold_job *j, int a)
{
    const pcv_segment *s = j->s;
    int n = j->f->n, cols = s->cols[a];
    real *out = j->f->table[a] + j->head * n;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < cols; k++)
            j->gather[mul(i, cols) + (size_t)k] =
                j->u[mul(i, j->b->d) + (size_t)s->channel[a][k]];
    pcv_matmul(false, true, s->len[a], n, cols, 1, s->table[a], cols,
               j->gather, cols, 0, out, j->f->reads);
    for (int l = 0; a == 0 && l < s->len[a]; l++)
        pcv_rows_get()->add(out + mul(l, j->f->reads), j->base, n);
}

static void fold_layout(const pcv_block *b, const pcv_segment *s, int n,
                        pcv_arena *a, fold_job *j)
{
    int widest = 0;

    for (int k = 0; k < s->axes; k++)
        widest = s->cols[k] > widest ? s->cols[k] : widest;
    j->u = pcv_arena_take(a, mul(n, b->d), sizeof(real));
    j->base = pcv_arena_take(a, (size_t)n, sizeof(real));
    j->gather = pcv_arena_take(a, mul(n, widest), sizeof(real));
}

void pcv_ask_prepare(const pcv_block *b, const pcv_segment *s, const real *k,
                     const real *v, pcv_ask_fold *f, pcv_arena *scratch)
{
    int d = b->qk / b->heads, dv = b->v / b->heads, e = b->d;
    fold_job j = { .b = b, .s = s, .f = f, .k = k };
    size_t mark = scratch->used;

    fold_layout(b, s, f->n, scratch, &j);
    for (j.head = 0; j.head < b->heads; j.head++) {
        pcv_matmul(false, false, f->n, e, d, (real)(1 / sqrt((double)d)),
                   k + j.head * d, b->qk, b->query.w->w + mul(j.head * d, e), e,
                   0, j.u, e);
        pcv_parallel(f->n, fold_latent, &j);
        for (int a = 0; a < s->axes; a++)
            fold_axis(&j, a);
        pcv_matmul(false, true, f->n, e, dv, 1, v + j.head * dv, b->v,
                   b->out.w->w + j.head * dv, b->v, 0,
                   f->value + mul(j.head * f->n, e), e);
    }
    pcv_arena_release(scratch, mark);
}

/* ---- asking ---------------------------------------------------------- */

typedef struct {
    const pcv_block *b;
    const pcv_segment *s;
    const pcv_ask_fold *f;
    const int *index;
    int first;                  /* without index: element of the first */
    int n;
    const real *x;              /* n x E */
    real *y;                    /* n x E */
    real *score, *norm;         /* per thread: ROWS x reads; E */
} ask_job;

static void ask_scratch(const pcv_block *b, int reads, pcv_arena *a,
                        ask_job *j)
{
    size_t threads = (size_t)pcv_threads();

    j->score = pcv_arena_take(a, threads * mul(ROWS, reads), sizeof(real));
    j->norm = pcv_arena_take(a, threads * (size_t)b->d, sizeof(real));
}

size_t pcv_ask_scratch(const pcv_block *b, const pcv_segment *s, int n)
{
    pcv_arena fold = {0}, ask = {0};
    fold_job f;
    ask_job j;

    fold_layout(b, s, n, &fold, &f);
    ask_scratch(b, n * b->heads, &ask, &j);
    return fold.peak > ask.peak ? fold.peak : ask.peak;
}

/* Where query `at` stands along each axis. */
static void place_of(const ask_job *j, int at, int place[3])
{
    int element = j->index ? j->index[at] : j->first + at;

    for (int a = j->s->axes - 1; a >= 0; element /= j->s->len[a], a--)
        place[a] = element % j->s->len[a];
}

/* From dots with the content to softmax weights of query `at`; returns r_j. */
static real weigh_query(const ask_job *j, int at, real *s, real *norm)
{
    const pcv_rows *k = pcv_rows_get();
    const pcv_norm *l = &j->b->norm_q;
    const real *row[3] = {0};
    int place[3], n = j->f->n;
    real stats[2];

    place_of(j, at, place);
    k->norm(j->x + mul(at, j->b->d), j->b->d, l->g->w, l->b->w, norm, stats);
    for (int a = 0; a < j->s->axes; a++)
        row[a] = j->f->table[a] + mul(place[a], j->f->reads);
    for (int h = 0; h < j->b->heads; h++, s += n) {
        real top = k->ask_score(s, n, stats[1], row, j->s->axes,
                                j->f->bias + h * n);

        k->scale(s, n, 1 / k->exp_sum(s, n, top));
        for (int a = 0; a < j->s->axes; a++)
            row[a] += n;
    }
    return stats[1];
}

static void ask_rows(void *arg, int i)
{
    const ask_job *j = arg;
    int at = i * ROWS, rows = j->n - at < ROWS ? j->n - at : ROWS;
    int reads = j->f->reads, e = j->b->d, c = j->s->c;
    real *score = j->score + (size_t)pcv_thread_id() * mul(ROWS, reads);
    real *norm = j->norm + mul(pcv_thread_id(), e), *y = j->y + mul(at, e);

    if (c)
        pcv_gemm(false, true, rows, reads, c, 1, j->x + mul(at, e), e,
                 j->f->content, c, 0, score, reads);
    else
        memset(score, 0, mul(rows, reads) * sizeof *score);
    for (int r = 0; r < rows; r++) {
        weigh_query(j, at + r, score + mul(r, reads), norm);
        memcpy(y + mul(r, e), j->b->out.b->w, (size_t)e * sizeof *y);
    }
    pcv_gemm(false, false, rows, e, reads, 1, score, reads, j->f->value, e, 1,
             y, e);
}

void pcv_ask_forward(const pcv_block *b, const pcv_segment *s,
                     const pcv_ask_fold *f, const int *index, int n,
                     const real *x, real *y, pcv_arena *scratch)
{
    ask_job j = { b, s, f, index, 0, n, x, y, NULL, NULL };
    size_t mark = scratch->used;

    ask_scratch(b, f->reads, scratch, &j);
    pcv_parallel((n + ROWS - 1) / ROWS, ask_rows, &j);
    pcv_arena_release(scratch, mark);
}

/* ---- backward -------------------------------------------------------- */

enum { WAVE = 2048, COLUMNS = 64 };

typedef struct {
    ask_job ask;                /* of a wave */
    const real *dy;             /* of a wave: rows x E */
    int rows;
    real *p, *w;                /* WAVE x reads: weights; ds */
    real *rstd;                 /* WAVE */
    real *dtable[3];            /* len x reads */
    real *dvalue;               /* reads x E */
    real *dbias;                /* reads: dc */
    real *u, *du, *gather;      /* N x E; reads x E; reads x widest table */
} back_job;

static void back_layout(const pcv_block *b, const pcv_segment *s, int n,
                        int queries, pcv_arena *a, back_job *j)
{
    int reads = n * b->heads, widest = 0;
    int rows = queries < WAVE ? queries : WAVE;
    size_t w = sizeof(real);

    j->p = pcv_arena_take(a, mul(rows, reads), w);
    j->w = pcv_arena_take(a, mul(rows, reads), w);
    j->rstd = pcv_arena_take(a, (size_t)rows, w);
    for (int k = 0; k < s->axes; k++) {
        j->dtable[k] = pcv_arena_take(a, mul(s->len[k], reads), w);
        widest = s->cols[k] > widest ? s->cols[k] : widest;
    }
    j->dvalue = pcv_arena_take(a, mul(reads, b->d), w);
    j->dbias = pcv_arena_take(a, (size_t)reads, w);
    j->u = pcv_arena_take(a, mul(n, b->d), w);
    j->du = pcv_arena_take(a, mul(reads, b->d), w);
    j->gather = pcv_arena_take(a, mul(reads, widest), w);
    j->ask.norm = pcv_arena_take(a, mul(pcv_threads(), b->d), w);
}

size_t pcv_ask_back_scratch(const pcv_block *b, const pcv_segment *s, int n,
                            int queries)
{
    pcv_arena a = {0};
    back_job j;

    back_layout(b, s, n, queries, &a, &j);
    return a.peak;
}

/* Weights and ds of a few queries of the wave. */
static void back_rows(void *arg, int i)
{
    const back_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int at = i * COLUMNS, n = j->ask.f->n, reads = j->ask.f->reads;
    int rows = j->rows - at < COLUMNS ? j->rows - at : COLUMNS;
    int e = j->ask.b->d;
    real *norm = j->ask.norm + mul(pcv_thread_id(), e);

    pcv_gemm(false, true, rows, reads, e, 1, j->dy + mul(at, e), e,
             j->ask.f->value, e, 0, j->w + mul(at, reads), reads);
    for (int q = at; q < at + rows; q++) {
        real *p = j->p + mul(q, reads), *w = j->w + mul(q, reads);

        memset(p, 0, (size_t)reads * sizeof *p);
        j->rstd[q] = weigh_query(&j->ask, q, p, norm);
        for (int h = 0; h < j->ask.b->heads; h++, p += n, w += n) {
            real mean = k->dot(p, w, n);

            for (int r = 0; r < n; r++)
                w[r] = p[r] * (w[r] - mean);
        }
    }
}

/* Sums over the wave of a few reads: of ds, and of r ds by place. */
static void back_columns(void *arg, int i)
{
    const back_job *j = arg;
    const pcv_rows *k = pcv_rows_get();
    int at = i * COLUMNS, reads = j->ask.f->reads;
    int n = reads - at < COLUMNS ? reads - at : COLUMNS, place[3];

    for (int q = 0; q < j->rows; q++) {
        const real *w = j->w + mul(q, reads) + at;

        place_of(&j->ask, q, place);
        k->add(j->dbias + at, w, n);
        for (int a = 0; a < j->ask.s->axes; a++)
            k->axpy(j->dtable[a] + mul(place[a], reads) + at, w, n,
                    j->rstd[q]);
    }
}

static void back_wave(back_job *j)
{
    int reads = j->ask.f->reads, e = j->ask.b->d;

    pcv_parallel((j->rows + COLUMNS - 1) / COLUMNS, back_rows, j);
    pcv_parallel((reads + COLUMNS - 1) / COLUMNS, back_columns, j);
    pcv_matmul(true, false, reads, e, j->rows, 1, j->p, reads, j->dy, e, 1,
               j->dvalue, e);
}

/* du from the tables' gradients. */
static void back_tables(const back_job *j)
{
    const pcv_segment *s = j->ask.s;
    int reads = j->ask.f->reads, e = j->ask.b->d;

    memset(j->du, 0, mul(reads, e) * sizeof *j->du);
    for (int a = 0; a < s->axes; a++) {
        int cols = s->cols[a];

        pcv_matmul(true, false, reads, cols, s->len[a], 1, j->dtable[a], reads,
                   s->table[a], cols, 0, j->gather, cols);
        for (int r = 0; r < reads; r++)
            for (int k = 0; k < cols; k++)
                j->du[mul(r, e) + (size_t)s->channel[a][k]] =
                    j->gather[mul(r, cols) + (size_t)k];
    }
}

/* One read's du becomes that of W_q^T k / sqrt(d); the norm's share. */
static void back_read(const back_job *j, const real *u, real *du, real dc)
{
    const pcv_norm *l = &j->ask.b->norm_q;
    double mean = 0;

    for (int k = 0; k < l->n; k++)
        mean += (double)du[k] / l->n;
    for (int k = 0; k < l->n; k++) {
        real d = du[k] - (real)mean;

        if (l->g->g) {
            l->g->g[k] += d * u[k];
            l->b->g[k] += dc * u[k];
        }
        du[k] = d * l->g->w[k] + dc * l->b->w[k];
    }
}

/* One head, from du, dc and dV' to its keys and values and the weights. */
static void back_head(const back_job *j, int head, const real *k, const real *v,
                      real *dk, real *dv)
{
    const pcv_block *b = j->ask.b;
    int n = j->ask.f->n, e = b->d, d = b->qk / b->heads, w = b->v / b->heads;
    real scale = (real)(1 / sqrt((double)d));
    const real *wq = b->query.w->w + mul(head * d, e);
    real *du = j->du + mul(head * n, e), *dvalue = j->dvalue + mul(head * n, e);
    const real *dc = j->dbias + head * n;

    pcv_matmul(false, false, n, e, d, scale, k + head * d, b->qk, wq, e, 0,
               j->u, e);
    for (int i = 0; i < n; i++)
        back_read(j, j->u + mul(i, e), du + mul(i, e), dc[i]);
    pcv_matmul(false, true, n, d, e, scale, du, e, wq, e, 1, dk + head * d,
               b->qk);
    pcv_matmul(false, false, n, w, e, 1, dvalue, e, b->out.w->w + head * w,
               b->v, 1, dv + head * w, b->v);
    for (int i = 0; b->query.b && i < n; i++)
        for (int c = 0; c < d; c++) {
            int o = head * d + c;

            dk[mul(i, b->qk) + (size_t)o] += scale * dc[i] * b->query.b->w[o];
            if (b->query.b->g)
                b->query.b->g[o] += scale * dc[i] *
                                    k[mul(i, b->qk) + (size_t)o];
        }
    if (b->query.w->g)
        pcv_matmul(true, false, d, e, n, scale, k + head * d, b->qk, du, e, 1,
                   b->query.w->g + mul(head * d, e), e);
    if (b->out.w->g)
        pcv_matmul(true, false, e, w, n, 1, dvalue, e, v + head * w, b->v, 1,
                   b->out.w->g + head * w, b->v);
}

static void clear_sums(const back_job *j)
{
    const pcv_segment *s = j->ask.s;
    size_t reads = (size_t)j->ask.f->reads;

    for (int a = 0; a < s->axes; a++)
        memset(j->dtable[a], 0, mul(s->len[a], (int)reads) * sizeof(real));
    memset(j->dvalue, 0, reads * (size_t)j->ask.b->d * sizeof(real));
    memset(j->dbias, 0, reads * sizeof(real));
}

void pcv_ask_backward(const pcv_block *b, const pcv_segment *s,
                      const pcv_ask_fold *f, const int *index, int n,
                      const real *k, const real *v, const real *x,
                      const real *dy, real *dk, real *dv, pcv_arena *scratch)
{
    size_t mark = scratch->used;
    back_job j = { .ask = { .b = b, .s = s, .f = f } };

    back_layout(b, s, f->n, n, scratch, &j);
    clear_sums(&j);
    for (int at = 0; at < n; at += WAVE) {
        j.rows = n - at < WAVE ? n - at : WAVE;
        j.ask.index = index ? index + at : NULL;
        j.ask.first = at;
        j.ask.x = x + mul(at, b->d);
        j.dy = dy + mul(at, b->d);
        back_wave(&j);
    }
    back_tables(&j);
    for (int h = 0; h < b->heads; h++)
        back_head(&j, h, k, v, dk, dv);
    if (b->out.b && b->out.b->g)
        pcv_column_sums(dy, n, b->d, b->out.b->g);
    pcv_arena_release(scratch, mark);
}

/* grid_ask.c - the structured attend turned round: queries on a grid read the
 * latents (optical flow, reconstruction), inference only.
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
 * head fold into its own values. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256 };             /* few: a product packs all values for them */

static size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

/* FLOPs of one query (n latents) in this form, and through its rows. */
static double ask_cost(const pcv_block *b, int c, int n)
{
    return 2.0 * n * b->heads * (c + b->d);
}

static double rows_cost(const pcv_block *b, int n)
{
    return 2.0 * b->d * (b->qk + b->v) + 2.0 * n * (b->qk + b->v);
}

bool pcv_ask_serves(const pcv_block *b, const pcv_segment *s, int n)
{
    double tables = 0;

    for (int a = 0; a < s->axes; a++)
        tables += (double)s->len[a] * n * b->heads * sizeof(real);
    return !b->outer && !b->out2.w && !b->bias_k && tables <= 64e6 &&
           ask_cost(b, s->c, n) < rows_cost(b, n);
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

/* From dots with the content to softmax weights of query `at`. */
static void weigh_query(const ask_job *j, int at, real *s, real *norm)
{
    const pcv_rows *k = pcv_rows_get();
    const pcv_norm *l = &j->b->norm_q;
    int n = j->f->n, element = j->index ? j->index[at] : at;
    const real *row[3] = {0};
    real stats[2];

    k->norm(j->x + mul(at, j->b->d), j->b->d, l->g->w, l->b->w, norm, stats);
    for (int a = j->s->axes - 1; a >= 0; element /= j->s->len[a], a--)
        row[a] = j->f->table[a] + mul(element % j->s->len[a], j->f->reads);
    for (int h = 0; h < j->b->heads; h++, s += n) {
        real top = k->ask_score(s, n, stats[1], row, j->s->axes,
                                j->f->bias + h * n);

        k->scale(s, n, 1 / k->exp_sum(s, n, top));
        for (int a = 0; a < j->s->axes; a++)
            row[a] += n;
    }
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
    ask_job j = { b, s, f, index, n, x, y, NULL, NULL };
    size_t mark = scratch->used;

    ask_scratch(b, f->reads, scratch, &j);
    pcv_parallel((n + ROWS - 1) / ROWS, ask_rows, &j);
    pcv_arena_release(scratch, mark);
}

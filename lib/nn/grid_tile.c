/* grid_tile.c - the parts that a structured attend is made of: scratch, folded
 * queries, tiles of the grid, running sums.  grid_attend.c has the algebra and
 * puts them together. */
#include "grid.h"

#include <math.h>
#include <string.h>

enum { FUSED = 3 };

/* ---- scratch --------------------------------------------------------- */

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

/* Elements of a tile, at most those of the largest segment. */
static int tile_of(const pcv_tokens *t, bool backward)
{
    int tile = backward ? TILE_BACK : TILE, largest = 1;

    for (int i = 0; i < t->segments; i++) {
        const pcv_segment *s = &t->segment[i];
        int n = pcv_segment_rows(s) * pcv_segment_inner(s);

        largest = n > largest ? n : largest;
    }
    return largest < tile ? largest : tile;
}

static bool by_products(const pcv_tokens *t)
{
    for (int i = 0; i < t->segments; i++)
        if (!fused(&t->segment[i]))
            return true;
    return false;
}

static int widest_table(const pcv_tokens *t)
{
    int most = 0;

    for (int i = 0; i < t->segments; i++)
        for (int a = 0; a < t->segment[i].axes; a++)
            most = t->segment[i].cols[a] > most ? t->segment[i].cols[a] : most;
    return most;
}

static void fold_layout(const pcv_tokens *t, int tile, pcv_arena *a,
                        grid_fold *f)
{
    f->full = pcv_arena_take(a, mul(GROUP, t->c), sizeof(real));
    f->content = pcv_arena_take(a, mul(GROUP, widest(t, 3)), sizeof(real));
    for (int k = 0; k < 3; k++)
        f->table[k] = pcv_arena_take(a, mul(GROUP, widest(t, k)), sizeof(real));
    f->dots = pcv_arena_take(a, by_products(t) ? mul(GROUP, tile) : 0,
                             sizeof(real));
}

static void work_layout(const pcv_tokens *t, bool backward, pcv_arena *a,
                        grid_work *w)
{
    int tile = tile_of(t, backward);

    memset(w, 0, sizeof *w);
    fold_layout(t, tile, a, &w->u);
    for (int k = 0; k < 3; k++)
        w->s.marginal[k] = pcv_arena_take(a, mul(GROUP, widest(t, k)),
                                          sizeof(real));
    w->s.content = pcv_arena_take(a, mul(GROUP, widest(t, 3)), sizeof(real));
    w->s.done = pcv_arena_take(a, mul(GROUP, t->c), sizeof(real));
    w->gather = pcv_arena_take(a, mul(GROUP, widest_table(t)), sizeof(real));
    w->score = pcv_arena_take(a, mul(GROUP, tile), sizeof(real));
    w->mean = pcv_arena_take(a, (size_t)tile, sizeof(real));
    w->rstd = pcv_arena_take(a, (size_t)tile, sizeof(real));
    w->bias = pcv_arena_take(a, (size_t)tile, sizeof(real));
    w->position = pcv_arena_take(a, (size_t)tile, sizeof(real));
    w->column = pcv_arena_take(a, (size_t)tile, sizeof(real));
    w->row = pcv_arena_take(a, (size_t)tile, sizeof(real));
    if (!backward)
        return;
    fold_layout(t, tile, a, &w->dz);
    w->p = pcv_arena_take(a, mul(GROUP, tile), sizeof(real));
    w->w = pcv_arena_take(a, mul(GROUP, tile), sizeof(real));
    w->dp = pcv_arena_take(a, mul(GROUP, tile), sizeof(real));
    w->g = pcv_arena_take(a, mul(widest(t, 3) + 1, tile), sizeof(real));
}

void pcv_grid_layout(const pcv_reader *r, const pcv_tokens *t, int n,
                     bool backward, pcv_arena *a, grid_job *j, real **array)
{
    grid_work none;
    size_t reads = mul(t->items * n, r->heads), c = (size_t)t->c;

    memset(j, 0, sizeof *j);
    j->r = r;
    j->t = t;
    j->n = n;
    j->reads = n * r->heads;
    j->groups = (j->reads + GROUP - 1) / GROUP;
    j->backward = backward;
    j->tile = tile_of(t, backward);
    for (int k = 0; k < 3; k++) {
        size_t len = mul(widest(t, k), t->segments);

        j->sum[k] = pcv_arena_take(a, len, sizeof(double));
        j->square[k] = pcv_arena_take(a, len, sizeof(double));
    }
    for (int k = 0; k < (backward ? 4 : 2); k++)
        array[k] = pcv_arena_take(a, k == 1 ? reads : reads * c, sizeof(real));
    j->per_thread = pcv_arena_take(a, (size_t)pcv_threads(), sizeof(grid_work));
    for (int k = 0; k < pcv_threads(); k++)
        work_layout(t, backward, a, j->per_thread ? &j->per_thread[k] : &none);
}

size_t pcv_grid_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        bool backward)
{
    pcv_arena a = {0};
    real *array[4];
    grid_job j;

    pcv_grid_layout(r, t, n, backward, &a, &j, array);
    return a.peak;
}

/* Sums and sums of squares of each table row: LayerNorm's share of an axis. */
void pcv_grid_axes(grid_job *j)
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

/* ---- folds ----------------------------------------------------------- */

/* Rows of a group, times gain and scale, less their means: for such a u
 * LayerNorm's mean of an element cancels in u . (x - m). */
void pcv_fold_open(const grid_job *j, grid_fold *f, const real *rows, int count,
                   const real *gain, real scale)
{
    int c = j->t->c;

    for (int i = 0; i < count; i++)
        pcv_rows_get()->center(rows + mul(i, c), c, gain, scale,
                               f->full + mul(i, c));
}

void pcv_fold_tables(const grid_job *j, grid_fold *f, const pcv_segment *s,
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
}

void pcv_fold_rest(const grid_job *j, grid_fold *f, const pcv_segment *s,
                   int count)
{
    int c = j->t->c;

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

/* ---- kept folds ------------------------------------------------------ */

/* Above this they are made in every pass. */
static const double most_kept = 64e6;

bool pcv_folds_layout(const pcv_reader *r, const pcv_tokens *t, int n,
                      pcv_arena *a, pcv_folds *f)
{
    size_t reads = mul(n, r->heads), lengths = 0;

    for (int i = 0; i < t->segments; i++)
        for (int k = 0; k < t->segment[i].axes; k++)
            lengths += (size_t)t->segment[i].len[k];
    *f = (pcv_folds){0};
    if ((double)reads * (double)(lengths + (size_t)t->c) * sizeof(real) >
        most_kept)
        return false;
    f->full = pcv_arena_take(a, reads * (size_t)t->c, sizeof(real));
    f->table = pcv_arena_take(a, reads * lengths, sizeof(real));
    f->shift = pcv_arena_take(a, reads, sizeof(real));
    return true;
}

void pcv_fold_kept(const grid_job *j, grid_fold *f, int group)
{
    f->full = j->folds->full + mul(group * GROUP, j->t->c);
}

void pcv_fold_kept_tables(const grid_job *j, grid_fold *f, int seg, int group)
{
    real *at = j->folds->table;

    for (int i = 0; i <= seg; i++)
        for (int a = 0; a < j->t->segment[i].axes; a++) {
            int len = j->t->segment[i].len[a];

            if (i == seg)
                f->table[a] = at + mul(group * GROUP, len);
            at += mul(j->reads, len);
        }
}

/* ---- tiles ----------------------------------------------------------- */

int pcv_segment_inner(const pcv_segment *s)
{
    return s->len[s->axes - 1];
}

int pcv_segment_rows(const pcv_segment *s)
{
    int rows = 1;

    for (int a = 0; a + 1 < s->axes; a++)
        rows *= s->len[a];
    return rows;
}

/* Index along outer axis a of row `row`.  A picture, with one outer axis, costs
 * no division: this is asked of each row for each read. */
static int outer_index(const pcv_segment *s, int row, int a)
{
    for (int k = s->axes - 2; k > a; k--)
        row /= s->len[k];
    return a ? row % s->len[a] : row;
}

enum { WIDE = 64,               /* columns that are worth a sweep's rows */
       WIDEST = 256 };          /* more, and what all reads have for each column
                                   (table and marginal) fills the cache */

bool pcv_segment_sweeps(const grid_job *j, const pcv_segment *s)
{
    return fused(s) && s->c && pcv_segment_inner(s) >= WIDE && !j->t->mask;
}

/* Columns of a tile to sweep over: even pieces of whole vectors, wider where
 * the rows are too few to fill it. */
static int sweep_width(int len, int rows, int most)
{
    int widest = most / rows > WIDEST ? most / rows : WIDEST;
    int pieces = (len + widest - 1) / widest;

    return ((len + pieces - 1) / pieces + 15) / 16 * 16;
}

grid_tile pcv_tiles_begin(const grid_job *j, int seg, int item, int group,
                        int offset)
{
    const pcv_segment *s = &j->t->segment[seg];
    int len = pcv_segment_inner(s), wide = len;

    if (!j->backward && pcv_segment_sweeps(j, s) && len > WIDEST)
        wide = sweep_width(len, pcv_segment_rows(s), j->tile);
    return (grid_tile){ .s = s, .item = item, .seg = seg, .offset = offset,
                        .group = group, .most = j->tile,
                        .wide = wide < j->tile ? wide : j->tile };
}

/* Steps to the next tile of the segment; false at its end. */
bool pcv_tile_next(grid_tile *t)
{
    int len = pcv_segment_inner(t->s), rows = pcv_segment_rows(t->s);

    t->from += t->n;            /* n is 0 before the first */
    if (t->from >= len) {
        t->from = 0;
        t->row += t->rows;
    }
    if (t->row >= rows)
        return false;
    t->rows = t->most / t->wide;
    if (t->rows > rows - t->row)
        t->rows = rows - t->row;
    t->n = len - t->from < t->wide ? len - t->from : t->wide;
    t->at = mul(t->row, len) + (size_t)t->from;
    return true;
}

int pcv_tile_size(const grid_tile *t)
{
    return t->rows * t->n;
}

const real *pcv_tile_content(const grid_tile *t)
{
    return t->s->content + (size_t)t->item * t->s->item_stride + t->at;
}

/* LayerNorm statistics and mask of the tile's elements. */
void pcv_tile_stats(const grid_job *j, const grid_tile *t, grid_work *w)
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
        k->grid_stats(pcv_tile_content(t) + mul(r, s->len[last]), s->plane,
                      s->c, t->n, j->sum[last] + o, j->square[last] + o, sum,
                      square, j->t->c, w->mean + mul(r, t->n),
                      w->rstd + mul(r, t->n));
    }
    if (j->t->mask) {
        const unsigned char *m = j->t->mask + mul(t->item, j->t->n) +
                                 (size_t)t->offset + t->at;

        for (int i = 0; i < pcv_tile_size(t); i++)
            w->bias[i] = m[i] ? 0 : -(real)INFINITY;
    }
}

/* The tile as the kernels see it. */
pcv_run pcv_tile_run(const grid_job *j, const grid_tile *t, const grid_work *w)
{
    pcv_run run = { .n = pcv_tile_size(t), .c = fused(t->s) ? t->s->c : 0,
                    .rstd = w->rstd,
                    .bias = j->t->mask ? w->bias : NULL };

    for (int k = 0; k < run.c; k++)
        run.content[k] = pcv_tile_content(t) + (size_t)k * t->s->plane;
    return run;
}

/* The dot products of read i with what a whole row of the tile has alike. */
static void outer_base(const grid_tile *t, const grid_fold *f, int i,
                       real *base)
{
    const pcv_segment *s = t->s;

    for (int r = 0; r < t->rows; r++)
        base[r] = f->base[i];
    for (int a = 0; a < s->axes - 1; a++) {
        const real *table = f->table[a] + mul(i, s->len[a]);

        for (int r = 0; r < t->rows; r++)
            base[r] += table[outer_index(s, t->row + r, a)];
    }
}

/* What read i of the group brings to the tile: the dot products with the
 * positions of its elements, last axis plus outer axes, go to `at`. */
pcv_fold pcv_tile_fold(const grid_tile *t, const grid_fold *f, int i, real *at)
{
    const pcv_segment *s = t->s;
    int last = s->axes - 1;
    pcv_fold out = { .table = at };
    real base[TILE];

    outer_base(t, f, i, base);
    pcv_rows_get()->outer_add(f->table[last] + mul(i, s->len[last]) + t->from,
                              base, t->rows, t->n, at);
    if (fused(s))
        for (int k = 0; k < s->c; k++)
            out.content[k] = f->content[mul(i, s->c) + (size_t)k];
    else
        out.dots = f->dots + mul(i, pcv_tile_size(t));
    return out;
}

void pcv_tile_dots(const grid_tile *t, const grid_fold *f, int count)
{
    if (!fused(t->s))
        pcv_gemm(false, false, count, pcv_tile_size(t), t->s->c, 1, f->content,
                 t->s->c, pcv_tile_content(t), (int)t->s->plane, 0, f->dots,
                 pcv_tile_size(t));
}

/* content sums += weights (count x tile) times content, by a product. */
void pcv_tile_pool(const grid_tile *t, const real *weights, int count,
                   grid_state *s)
{
    if (!fused(t->s))
        pcv_gemm(false, true, count, t->s->c, pcv_tile_size(t), 1, weights,
                 pcv_tile_size(t), pcv_tile_content(t), (int)t->s->plane, 1,
                 s->content, t->s->c);
}

/* The sums of each row of the tile, to the marginals of the outer axes. */
static void outer_marginals(const grid_tile *t, grid_state *s, int i,
                            const real *row)
{
    for (int a = 0; a < t->s->axes - 1; a++)
        for (int r = 0; r < t->rows; r++)
            s->marginal[a][mul(i, t->s->len[a]) +
                           (size_t)outer_index(t->s, t->row + r, a)] += row[r];
}

/* Adds the weights of read i over the tile to its marginals. */
void pcv_tile_marginals(const grid_tile *t, grid_state *s, int i,
                        const real *weight)
{
    int last = t->s->axes - 1;
    real row[TILE];

    pcv_rows_get()->outer_sum(weight, t->rows, t->n, row, s->marginal[last] +
                              mul(i, t->s->len[last]) + t->from);
    outer_marginals(t, s, i, row);
}

/* ---- sweeps ---------------------------------------------------------- */

static pcv_sweep sweep_of(const grid_tile *t, grid_work *w, int i)
{
    const pcv_segment *s = t->s;
    int last = s->axes - 1;
    pcv_sweep v = { .rows = t->rows, .n = t->n, .c = s->c,
                    .stride = s->len[last], .rstd = w->rstd,
                    .base = w->position, .least = -126,
                    .table = w->u.table[last] + mul(i, s->len[last]) +
                             t->from };

    outer_base(t, &w->u, i, w->position);
    for (int k = 0; k < s->c; k++) {
        v.content[k] = pcv_tile_content(t) + (size_t)k * s->plane;
        v.u[k] = w->u.content[mul(i, s->c) + (size_t)k];
    }
    return v;
}

/* Weights are relative to the maximum of the first row, and to a new one only
 * when a score is so far above that sums might overflow: the sweep is made
 * again then. */
enum { FAR = 57 };              /* bits: 1e17 */

void pcv_tile_sweep(const grid_job *j, const grid_tile *t, grid_work *w, int i)
{
    const pcv_rows *k = pcv_rows_get();
    real *column = w->s.marginal[t->s->axes - 1] +
                   mul(i, t->s->len[t->s->axes - 1]) + t->from;
    pcv_sweep v = sweep_of(t, w, i);
    real *top = &w->s.top[i], above;
    pcv_sums sums;

    for (;;) {
        bool first = *top <= -(real)INFINITY;

        v.rows = first ? 1 : t->rows;
        memset(w->column, 0, (size_t)t->n * sizeof(real));
        sums = (pcv_sums){0};
        above = k->grid_sweep(&v, first ? 0 : *top, w->column, w->row, &sums);
        if (!first && !(above > FAR))
            break;
        if (!first)
            pcv_segment_rescale(j, t->s, &w->s, i, (real)exp2(-(double)above));
        *top = first ? above : *top + above;
        if (!(*top > -(real)INFINITY))      /* NaN: let it through once */
            *top = 0;
    }
    k->add(column, w->column, t->n);
    outer_marginals(t, &w->s, i, w->row);
    w->s.seg[i].p += sums.p;
    w->s.seg[i].w += sums.w;
    for (int c = 0; c < 3; c++)
        w->s.seg[i].content[c] += sums.content[c];
}

/* ---- sums of a segment ----------------------------------------------- */

void pcv_segment_open(grid_state *s, const pcv_segment *seg, int count)
{
    for (int a = 0; a < seg->axes; a++)
        memset(s->marginal[a], 0, mul(count, seg->len[a]) * sizeof(real));
    memset(s->content, 0, mul(count, seg->c) * sizeof(real));
    memset(s->seg, 0, sizeof s->seg);
}

/* Scales what read i has summed so far: the running maximum has risen. */
void pcv_segment_rescale(const grid_job *j, const pcv_segment *seg,
                         grid_state *s, int i, real f)
{
    const pcv_rows *k = pcv_rows_get();
    pcv_sums *sums = &s->seg[i];

    for (int a = 0; a < seg->axes; a++)
        k->scale(s->marginal[a] + mul(i, seg->len[a]), seg->len[a], f);
    k->scale(s->content + mul(i, seg->c), seg->c, f);
    k->scale(s->done + mul(i, j->t->c), j->t->c, f);
    sums->p *= (double)f;
    sums->w *= (double)f;
    for (int c = 0; c < 3; c++)
        sums->content[c] *= (double)f;
    s->p[i] *= (double)f;
}

/* Sums of the segment join those of the finished ones: marginals times their
 * tables, content, constant. */
void pcv_segment_close(const grid_job *j, const pcv_segment *seg, grid_state *s,
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
    }
}

void pcv_pooled_open(const grid_job *j, grid_state *s, int count)
{
    memset(s->done, 0, mul(count, j->t->c) * sizeof(real));
    for (int i = 0; i < GROUP; i++) {
        s->p[i] = 0;
        s->top[i] = -(real)INFINITY;
    }
}

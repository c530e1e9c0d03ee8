/* attend_test.c - four ways to read a source are one function: plain, tiled,
 * folded and structured attention agree in values and in every gradient, on
 * random shapes; all agree with a naive implementation in double that shares
 * no code with them; and neither threads nor neighbours in a batch change a
 * bit. */
#include "help.h"

#include <math.h>
#include <string.h>

static const char *const form_name[] = { "auto", "plain", "tiled", "folded",
                                         "grid" };

typedef struct {
    help_source source;
    help_reader reader;
    int n, heads, qk, v;
    real *q, *dy;
    size_t nq, ny, nl;          /* elements of q, of y, of the record's lse */
} problem;

typedef struct {
    real *y, *dq, *g, *dx;
} result;

static void problem_open(problem *p, const help_shape *shape, int n, int heads,
                         int d, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    help_source_open(&p->source, shape, seed);
    p->n = n;
    p->heads = heads;
    p->qk = heads * d;
    p->v = heads * (d + 1);
    p->nq = (size_t)(shape->items * n * p->qk);
    p->ny = (size_t)(shape->items * n * p->v);
    p->nl = (size_t)(shape->items * n * heads);
    help_reader_open(&p->reader, p->source.tokens.c, heads, p->qk, p->v,
                     seed + 100);
    p->q = help_normal(seed + 50, p->nq, 1.5);
    p->dy = help_normal(seed + 51, p->ny, 1);
}

static void problem_close(problem *p)
{
    help_source_close(&p->source);
    pcv_params_free(&p->reader.params);
    pcv_free(p->q);
    pcv_free(p->dy);
}

static void result_free(result *r)
{
    pcv_free(r->y);
    pcv_free(r->dq);
    pcv_free(r->g);
    pcv_free(r->dx);
}

/* An arena of exactly the bytes that were announced. */
static pcv_arena announced(size_t bytes)
{
    pcv_arena a;

    assert_int_equal(pcv_arena_open(&a, bytes), 0);
    memset(a.base, 0xff, a.size);       /* NaN: nobody may count on zeros */
    return a;
}

static void forward(const problem *p, int form, real *y, pcv_read_record *rec)
{
    const pcv_reader *r = &p->reader.reader;
    const pcv_tokens *t = &p->source.tokens;
    pcv_arena a = announced(pcv_read_scratch(r, t, p->n, form, false));

    pcv_read_forward(r, t, p->n, form, p->q, y, rec, &a);
    assert_int_equal(a.used, 0);
    pcv_arena_close(&a);
}

static pcv_arena record(const problem *p, int form, pcv_read_record *rec)
{
    pcv_arena count = {0}, a;

    pcv_read_layout(&p->reader.reader, &p->source.tokens, p->n, form, &count,
                    rec);
    a = announced(count.peak);
    pcv_read_layout(&p->reader.reader, &p->source.tokens, p->n, form, &a, rec);
    return a;
}

/* Forward and backward of one form, gradients from zero. */
static result run(problem *p, int form)
{
    const pcv_reader *r = &p->reader.reader;
    help_source *s = &p->source;
    pcv_params *w = &p->reader.params;
    pcv_read_record rec;
    pcv_arena kept = record(p, form, &rec);
    pcv_arena a = announced(pcv_read_scratch(r, &s->tokens, p->n, form, true));
    result out = { pcv_alloc(p->ny, sizeof(real)),
                   pcv_alloc(p->nq, sizeof(real)),
                   pcv_alloc(w->total, sizeof(real)),
                   pcv_alloc(s->all, sizeof(real)) };

    forward(p, form, out.y, &rec);
    memset(w->g, 0, w->total * sizeof(real));
    memset(s->dcontent, 0, s->all * sizeof(real));
    pcv_read_backward(r, &s->tokens, p->n, form, p->q, out.y, p->dy, &rec,
                      out.dq, &a);
    assert_int_equal(a.used, 0);
    memcpy(out.g, w->g, w->total * sizeof(real));
    memcpy(out.dx, s->dcontent, s->all * sizeof(real));
    pcv_arena_close(&a);
    pcv_arena_close(&kept);
    return out;
}

/* ---- the naive truth ------------------------------------------------- */

/* out = LayerNorm(x) of one row, eps 1e-5. */
static void naive_norm(const pcv_norm *l, const real *x, double *out)
{
    double mean = 0, var = 0;

    for (int k = 0; k < l->n; k++)
        mean += (double)x[k] / l->n;
    for (int k = 0; k < l->n; k++)
        var += ((double)x[k] - mean) * ((double)x[k] - mean) / l->n;
    for (int k = 0; k < l->n; k++)
        out[k] = ((double)x[k] - mean) / sqrt(var + 1e-5) *
                     (double)l->g->w[k] + (double)l->b->w[k];
}

static void naive_linear(const pcv_linear *l, const double *x, double *out)
{
    for (int o = 0; o < l->out; o++) {
        out[o] = (double)l->b->w[o];
        for (int k = 0; k < l->in; k++)
            out[o] += x[k] * (double)l->w->w[o * l->in + k];
    }
}

/* Keys and values of one item: m x qk, m x v. */
static void naive_project(const problem *p, int item, double *key,
                          double *value)
{
    const pcv_tokens *t = &p->source.tokens;
    real *x = pcv_alloc((size_t)t->c, sizeof *x);
    double *xn = pcv_alloc((size_t)t->c, sizeof *xn);

    for (int j = 0; j < t->n; j++) {
        t->tile(t, item, j, 1, x);
        naive_norm(&p->reader.norm, x, xn);
        naive_linear(&p->reader.key, xn, key + j * p->qk);
        naive_linear(&p->reader.value, xn, value + j * p->v);
    }
    pcv_free(x);
    pcv_free(xn);
}

/* One query of one head over m keys: y = softmax(q k / sqrt(d)) v. */
static void naive_query(const problem *p, const unsigned char *mask, int head,
                        const real *q, const double *key, const double *value,
                        double *score, real *y)
{
    int m = p->source.tokens.n, d = p->qk / p->heads, dv = p->v / p->heads;
    double top = -(double)INFINITY, sum = 0;

    for (int j = 0; j < m; j++) {
        score[j] = 0;
        for (int k = head * d; k < (head + 1) * d; k++)
            score[j] += (double)q[k] * key[j * p->qk + k] / sqrt(d);
        if (mask && !mask[j])
            score[j] = -(double)INFINITY;
        top = score[j] > top ? score[j] : top;
    }
    for (int j = 0; j < m; j++)
        sum += score[j] = exp(score[j] - top);
    for (int k = head * dv; k < (head + 1) * dv; k++) {
        double out = 0;

        for (int j = 0; j < m; j++)
            out += score[j] / sum * value[j * p->v + k];
        y[k] = (real)out;
    }
}

static void naive(const problem *p, real *y)
{
    const pcv_tokens *t = &p->source.tokens;
    size_t m = (size_t)t->n;
    double *key = pcv_alloc(m * (size_t)p->qk, sizeof *key);
    double *value = pcv_alloc(m * (size_t)p->v, sizeof *value);
    double *score = pcv_alloc(m, sizeof *score);

    for (int b = 0; b < t->items; b++) {
        naive_project(p, b, key, value);
        for (int i = b * p->n; i < (b + 1) * p->n; i++)
            for (int h = 0; h < p->heads; h++)
                naive_query(p, t->mask ? t->mask + (size_t)b * m : NULL, h,
                            p->q + i * p->qk, key, value, score,
                            y + i * p->v);
    }
    pcv_free(key);
    pcv_free(value);
    pcv_free(score);
}

/* ---- random shapes --------------------------------------------------- */

/* One to three axes with about `want` elements in all. */
static void random_grid(uint64_t stream, int want, int *axes, int len[3])
{
    int left = want;

    *axes = help_int(stream, 1, 1, 3);
    for (int a = 0; a < 3; a++) {
        int most = a + 1 < *axes ? (int)cbrt(left) * 2 + 1 : left;

        len[a] = a + 1 < *axes ? help_int(stream, 2 + (uint64_t)a, 1, most)
                               : left;
        len[a] = len[a] > 0 ? len[a] : 1;
        left /= len[a];
        if (a >= *axes)
            len[a] = 0;
    }
}

static help_shape random_shape(uint64_t seed)
{
    help_shape s = { .items = help_int(seed, 0, 1, 3),
                     .segments = help_int(seed, 1, 1, 3),
                     .mask = help_int(seed, 2, HELP_ALL, HELP_LATE),
                     .learns = help_int(seed, 3, 0, 2) > 0,
                     .extra = help_int(seed, 4, 0, 4) };

    for (int i = 0; i < s.segments; i++) {
        uint64_t u = seed + 1000 * (uint64_t)(i + 1);
        int want = help_int(u, 8, 0, 3) ? help_int(u, 9, 1, 3000)
                                        : help_int(u, 9, 1, 20);

        random_grid(u, want / s.segments + 1, &s.seg[i].axes, s.seg[i].len);
        s.seg[i].c = help_int(u, 10, i > 0 ? 0 : 1, 6);
        s.seg[i].zeros = help_int(u, 11, 0, 3) == 0;
        for (int a = 0; a < s.seg[i].axes; a++)
            s.seg[i].cols[a] = help_int(u, 12 + (uint64_t)a, 1, 9);
    }
    return s;
}

static void random_problem(problem *p, uint64_t seed)
{
    help_shape s = random_shape(seed);

    problem_open(p, &s, help_int(seed, 20, 1, 70), help_int(seed, 21, 1, 4),
                 help_int(seed, 22, 2, 7), seed);
}

/* Shapes at the edges of the tiles. */
static const help_shape edges[] = {
    { 1, 1, HELP_ALL, true, 0, { { 1, { 1 }, { 3 }, 3, true } } },
    { 2, 1, HELP_SOME, true, 0, { { 1, { 1024 }, { 3 }, 3, true } } },
    { 1, 1, HELP_LATE, true, 0, { { 1, { 2049 }, { 5 }, 1, true } } },
    { 2, 1, HELP_SOME, true, 1, { { 2, { 3, 1025 }, { 3, 3 }, 3, true } } },
    { 2, 1, HELP_LATE, true, 2, { { 2, { 3, 700 }, { 3, 3 }, 2, false } } },
    { 1, 1, HELP_ALL, true, 2, { { 2, { 1025, 2 }, { 3, 3 }, 5, false } } },
    { 1, 1, HELP_SOME, true, 0, { { 3, { 5, 7, 31 }, { 3, 5, 7 }, 4, 0 } } },
    { 3, 3, HELP_LATE, true, 1,
      { { 1, { 1500 }, { 7 }, 3, false },
        { 2, { 31, 33 }, { 3, 5 }, 0, true },
        { 3, { 2, 3, 50 }, { 1, 2, 3 }, 5, false } } },
    /* wide rows without a mask: sweeps */
    { 2, 1, HELP_ALL, true, 1, { { 2, { 25, 100 }, { 3, 3 }, 3, true } } },
    { 1, 1, HELP_ALL, false, 0, { { 2, { 3, 1029 }, { 3, 3 }, 1, true } } },
    { 1, 1, HELP_ALL, true, 0, { { 2, { 19, 530 }, { 3, 3 }, 3, true } } },
    { 2, 1, HELP_ALL, true, 1, { { 3, { 3, 5, 300 }, { 3, 1, 3 }, 1, 0 } } },
    { 1, 1, HELP_ALL, true, 2, { { 2, { 1, 2100 }, { 3, 3 }, 3, true } } },
    { 2, 3, HELP_ALL, true, 2,
      { { 1, { 1500 }, { 7 }, 3, false },
        { 2, { 31, 33 }, { 3, 5 }, 3, true },
        { 3, { 2, 3, 65 }, { 1, 2, 3 }, 1, false } } },
};

/* ---- the forms agree ------------------------------------------------- */

static double worst_y, worst_dq, worst_g, worst_dx;

static void worse(double *worst, double e)
{
    *worst = e > *worst ? e : *worst;
}

/* Each parameter's gradient against its own size and the typical size of all
 * of them: the key bias has the gradient zero, up to the rounding of the
 * forms that do not know it. */
static double gradient_error(const pcv_params *p, const real *a, const real *b)
{
    double all = 0, worst = 0;
    size_t at = 0;

    for (size_t i = 0; i < p->total; i++)
        all += (double)b[i] * (double)b[i] / (double)p->total;
    for (int i = 0; i < p->count; at += p->param[i++]->count) {
        double up = 0, down = 0, e, n = (double)p->param[i]->count;

        for (size_t k = at; k < at + p->param[i]->count; k++) {
            up += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
            down += (double)b[k] * (double)b[k];
        }
        e = sqrt(up / (down + all * n));
        worst = e <= worst ? worst : e;         /* a NaN counts as worse */
    }
    return worst;
}

static void compare(problem *p, const result *want, int form, int which)
{
    double tol = HELP_TOL(1e-5, 1e-12);
    result have = run(p, form);
    const char *what = form_name[form];
    double low = 0.1 * help_size(p->dy, p->ny);     /* dq may be zero */
    double y = help_error(have.y, want->y, p->ny, 0);
    double dq = help_error(have.dq, want->dq, p->nq, low);
    double g = gradient_error(&p->reader.params, have.g, want->g);
    size_t at = p->source.count, constants = p->source.all - at;
    double dx = help_error(have.dx, want->dx, at, low);
    double dk = help_error(have.dx + at, want->dx + at, constants, low);

    worse(&worst_y, y);
    worse(&worst_dq, dq);
    worse(&worst_g, g);
    worse(&worst_dx, dx);
    worse(&worst_dx, dk);
    help_below(y, tol, what, which);
    help_below(dq, tol, what, which);
    help_below(g, tol, what, which);
    help_below(dx, tol, what, which);
    help_below(dk, tol, what, which);
    result_free(&have);
}

static void agree(problem *p, int which)
{
    result plain = run(p, PCV_FORM_PLAIN);
    real *truth = pcv_alloc(p->ny, sizeof *truth);

    naive(p, truth);
    help_below(help_error(plain.y, truth, p->ny, 0), HELP_TOL(1e-5, 1e-12),
               "plain against naive", which);
    compare(p, &plain, PCV_FORM_TILED, which);
    compare(p, &plain, PCV_FORM_FOLDED, which);
    compare(p, &plain, PCV_FORM_GRID, which);
    pcv_free(truth);
    result_free(&plain);
}

static void test_edges(void **state)
{
    (void)state;
    for (int i = 0; i < (int)PCV_LEN(edges); i++) {
        problem p;

        problem_open(&p, &edges[i], 2 + 17 * i, 1 + i % 4, 3 + i, 90);
        agree(&p, i);
        problem_close(&p);
    }
}

enum { SHAPES = 48 };

static void test_random(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        problem p;

        random_problem(&p, 300 + (uint64_t)i);
        agree(&p, i);
        problem_close(&p);
    }
    print_message("largest errors: y %.2g dq %.2g parameters %.2g content "
                  "%.2g\n", worst_y, worst_dq, worst_g, worst_dx);
}

/* The record holds the log-sum-exp of the scores with all that they have, also
 * where the softmax does not see it (a block with an extra key does).  The
 * structured form keeps its own. */
static void test_lse(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        problem p;
        pcv_read_record want, have;
        pcv_arena plain, kept;
        real *y;

        random_problem(&p, 500 + (uint64_t)i);
        y = pcv_alloc(p.ny, sizeof *y);
        plain = record(&p, PCV_FORM_PLAIN, &want);
        forward(&p, PCV_FORM_PLAIN, y, &want);
        for (int form = PCV_FORM_TILED; form <= PCV_FORM_GRID; form++) {
            kept = record(&p, form, &have);
            forward(&p, form, y, &have);
            help_below(help_error(have.lse, want.lse, p.nl, 0),
                       HELP_TOL(1e-5, 1e-12), form_name[form], i);
            pcv_arena_close(&kept);
        }
        pcv_arena_close(&plain);
        pcv_free(y);
        problem_close(&p);
    }
}

/* ---- nothing depends on threads, batches or the sizes announced ------ */

static void same_bits(const real *a, const real *b, size_t n, const char *what,
                      int form, int which)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof a[i]))
            fail_msg("%s of %s, case %d, differs at %zu: %.9g, %.9g", what,
                     form_name[form], which, i, (double)a[i], (double)b[i]);
}

static void same_results(const problem *p, const result *a, const result *b,
                         int form, int which)
{
    same_bits(a->y, b->y, p->ny, "y", form, which);
    same_bits(a->dq, b->dq, p->nq, "dq", form, which);
    same_bits(a->g, b->g, p->reader.params.total, "gradient", form, which);
    same_bits(a->dx, b->dx, p->source.all, "dcontent", form, which);
}

static void compare_threads(problem *p, int form, int which)
{
    result one, many;

    assert_int_equal(pcv_threads_set(1), 0);
    one = run(p, form);
    for (int n = 2; n <= 4; n += 2) {
        assert_int_equal(pcv_threads_set(n), 0);
        many = run(p, form);
        same_results(p, &many, &one, form, which);
        result_free(&many);
    }
    assert_int_equal(pcv_threads_set(1), 0);
    result_free(&one);
}

static void test_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        problem p;

        random_problem(&p, 600 + (uint64_t)i);
        for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++)
            compare_threads(&p, form, i);
        problem_close(&p);
    }
}

/* The same problem with item b of it alone. */
static void alone(const problem *p, int b, problem *one)
{
    int items = p->source.tokens.items;

    *one = *p;
    one->source.tokens.items = 1;
    one->source.tokens.segment = one->source.segment;
    for (int i = 0; i < one->source.tokens.segments; i++)
        one->source.segment[i].content +=
            (size_t)b * one->source.segment[i].item_stride;
    if (p->source.mask)
        one->source.tokens.mask = p->source.mask + b * p->source.tokens.n;
    one->nq = p->nq / (size_t)items;
    one->ny = p->ny / (size_t)items;
    one->q = p->q + (size_t)b * one->nq;
}

static void compare_alone(const problem *p, int form, int which)
{
    pcv_read_record rec;
    pcv_arena kept = record(p, form, &rec);
    real *y = pcv_alloc(p->ny, sizeof *y), *z = pcv_alloc(p->ny, sizeof *z);

    forward(p, form, y, &rec);
    for (int b = 0; b < p->source.tokens.items; b++) {
        problem one;

        alone(p, b, &one);
        forward(&one, form, z, &rec);
        same_bits(z, y + (size_t)b * one.ny, one.ny, "item alone", form, which);
    }
    pcv_free(y);
    pcv_free(z);
    pcv_arena_close(&kept);
}

static void test_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        help_shape s = random_shape(700 + (uint64_t)i);
        problem p;

        s.items = 3;
        problem_open(&p, &s, 5 + 9 * i, 1 + i % 4, 4 + i, 40);
        for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++)
            compare_alone(&p, form, i);
        problem_close(&p);
    }
}

/* ---- scores far apart ------------------------------------------------ */

/* The largest scores come late and rise by hundreds: what was summed before
 * has to be scaled, and a sweep made again.  The rounding of scores of that
 * size is the error. */
static void test_far(void **state)
{
    const help_shape s = { 1, 2, HELP_ALL, false, 1,
                           { { 2, { 20, 90 }, { 3, 3 }, 3, true },
                             { 1, { 700 }, { 3 }, 1, true } } };
    problem p;
    result want, have;

    (void)state;
    problem_open(&p, &s, 9, 2, 6, 60);
    for (size_t i = 0; i < p.nq; i++)
        p.q[i] *= 100;
    want = run(&p, PCV_FORM_PLAIN);
    have = run(&p, PCV_FORM_GRID);
    help_below(help_error(have.y, want.y, p.ny, 0), HELP_TOL(2e-3, 1e-10),
               "far apart", 0);
    result_free(&want);
    result_free(&have);
    problem_close(&p);
}

/* ---- a NaN is not lost ----------------------------------------------- */

/* NaN in the content of all rows of the first tile: they have no largest
 * score, and must not be taken for masked ones. */
static void test_nan(void **state)
{
    const help_shape s = { 1, 1, HELP_ALL, true, 0,
                           { { 1, { 1500 }, { 3 }, 3, true } } };
    problem p;

    (void)state;
    problem_open(&p, &s, 5, 1, 4, 50);
    for (int i = 0; i < 1024; i++)
        p.source.content[i] = (real)NAN;
    for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++) {
        result r = run(&p, form);

        for (size_t i = 0; i < p.ny; i++)
            if (!isnan(r.y[i]))
                fail_msg("%s: the NaN got lost", form_name[form]);
        result_free(&r);
    }
    problem_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_lse),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_nan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

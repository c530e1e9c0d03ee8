/* kern_test.c - every vector loop of every instruction set this processor has
 * against libm and plain loops in double, at lengths that leave every kind of
 * remainder; matrix products against three nested loops; NaN comes out where
 * NaN went in; a product has the same bits on any number of threads. */
#include "help.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- every table, every length --------------------------------------- */

static const char *table;       /* of the loop under test, for messages */
static double worst;

static void near(real have, double want, double tol, const char *what, int n,
                 int i)
{
    double e = fabs((double)have - want);

    if (!(e <= tol) && !(isnan(want) && isnan(have)))
        fail_msg("%s, %s, %d of %d: %.9g, want %.9g +- %.2g", table, what, i,
                 n, (double)have, want, tol);
    worst = e > worst ? e : worst;
}

typedef void loop_check(const pcv_rows *k, int n);

/* Lengths 1 to 70, 224 and 1000. */
static void each(loop_check *check)
{
    const pcv_rows *all[4];
    int tables = pcv_rows_all(all);

    assert_true(tables >= 1 && tables <= 4);
    for (int t = 0; t < tables; t++) {
        table = all[t]->name;
        for (int n = 1; n <= 70; n++)
            check(all[t], n);
        check(all[t], 224);
        check(all[t], 1000);
    }
}

static real *normal(int n, uint64_t stream, double std)
{
    return help_normal((uint64_t)n * 100 + stream, (size_t)n, std);
}

static void free3(real *a, real *b, real *c)
{
    pcv_free(a);
    pcv_free(b);
    pcv_free(c);
}

static real *copy(const real *x, int n)
{
    real *y = pcv_alloc((size_t)n, sizeof *y);

    memcpy(y, x, (size_t)n * sizeof *y);
    return y;
}

/* ---- sums and scalings ----------------------------------------------- */

static void check_max(const pcv_rows *k, int n)
{
    real *x = normal(n, 1, 1);
    double want = -(double)INFINITY;

    for (int i = 0; i < n; i++)
        want = fmax(want, (double)x[i]);
    near(k->max(x, n), want, 0, "max", n, 0);
    assert_true(isinf(k->max(x, 0)) && k->max(x, 0) < 0);
    pcv_free(x);
}

/* Arguments as a softmax makes them: differences to the largest, down to
 * where float ends; masked ones; and a NaN. */
static void check_exp(const pcv_rows *k, int n)
{
    real *x = normal(n, 2, 12), *y, top = k->max(x, n), sum;
    double want = 0, tol = HELP_TOL(2e-7, 1e-15);

    if (n > 1)
        x[n / 2] = top == x[n / 2] ? top : -(real)INFINITY;
    y = copy(x, n);
    sum = k->exp_sum(y, n, top);
    for (int i = 0; i < n; i++) {
        double e = exp((double)(x[i] - top));

        near(y[i], e, tol * e + HELP_TOL((double)FLT_MIN, 0), "exp", n, i);
        if (isinf(x[i]))
            assert_true(y[i] == 0);
        want += e;
    }
    near(sum, want, HELP_TOL(1e-6, 1e-14) * want, "sum of exp", n, 0);
    x[n - 1] = (real)NAN;
    assert_true(isnan(k->exp_sum(x, n, top)) && isnan(x[n - 1]));
    pcv_free(x);
    pcv_free(y);
}

static void check_linear(const pcv_rows *k, int n)
{
    real *x = normal(n, 3, 1), *y = normal(n, 4, 1), *z = copy(y, n);
    double eps = HELP_TOL(2e-7, 4e-16), dot = 0, size = 0;

    for (int i = 0; i < n; i++) {
        dot += (double)x[i] * (double)y[i];
        size += fabs((double)x[i] * (double)y[i]);
    }
    near(k->dot(x, y, n), dot, eps * size * 4, "dot", n, 0);
    k->axpy(y, x, n, (real)1.25);
    for (int i = 0; i < n; i++)
        near(y[i], (double)z[i] + 1.25 * (double)x[i], eps * 8, "axpy", n, i);
    memcpy(y, z, (size_t)n * sizeof *y);
    k->add(y, x, n);
    for (int i = 0; i < n; i++)
        near(y[i], (double)(x[i] + z[i]), 0, "add", n, i);
    k->scale(z, n, (real)-0.5);
    k->add(z, y, n);
    for (int i = 0; i < n; i++)
        near(z[i], (double)(y[i] - (y[i] - x[i]) / 2), eps * 8, "scale", n, i);
    y[n / 2] = (real)NAN;
    assert_true(isnan(k->dot(x, y, n)));
    free3(x, y, z);
}

/* ---- layer norm ------------------------------------------------------ */

static void naive_stats(const real *x, int n, double *mean, double *rstd)
{
    double var = 0;

    *mean = 0;
    for (int i = 0; i < n; i++)
        *mean += (double)x[i] / n;
    for (int i = 0; i < n; i++)
        var += ((double)x[i] - *mean) * ((double)x[i] - *mean) / n;
    *rstd = 1 / sqrt(var + 1e-5);
}

static void check_norm(const pcv_rows *k, int n)
{
    real *x = normal(n, 5, 3), *g = normal(n, 6, 1), *b = normal(n, 7, 1);
    real *y = pcv_alloc((size_t)n, sizeof *y), stats[2];
    double mean, rstd, tol = HELP_TOL(2e-6, 1e-14);

    x[0] += 2;
    naive_stats(x, n, &mean, &rstd);
    k->norm(x, n, g, b, y, stats);
    near(stats[0], mean, tol, "mean", n, 0);
    near(stats[1], rstd, tol * rstd, "rstd", n, 0);
    for (int i = 0; i < n; i++)
        near(y[i], ((double)x[i] - mean) * rstd * (double)g[i] + (double)b[i],
             tol * (1 + fabs((double)y[i])), "norm", n, i);
    x[n - 1] = (real)NAN;
    k->norm(x, n, g, b, y, stats);
    for (int i = 0; i < n; i++)
        assert_true(isnan(y[i]));
    free3(x, g, b);
    pcv_free(y);
}

static void check_norm_back(const pcv_rows *k, int n)
{
    real *x = normal(n, 8, 3), *g = normal(n, 9, 1), *dy = normal(n, 10, 1);
    real *dx = normal(n, 11, 1), *was = copy(dx, n), stats[2];
    real *g0 = copy(g, n);
    double mean, rstd, st = 0, sx = 0, tol = HELP_TOL(4e-6, 1e-14);

    naive_stats(x, n, &mean, &rstd);
    stats[0] = (real)mean;
    stats[1] = (real)rstd;
    for (int i = 0; i < n; i++) {
        double t = (double)dy[i] * (double)g[i];

        st += t / n;
        sx += t * ((double)x[i] - mean) * rstd / n;
    }
    k->norm_back(x, n, g, stats, dy, dx);
    for (int i = 0; i < n; i++)
        near(dx[i], (double)was[i] + rstd * ((double)dy[i] * (double)g[i] - st -
                                             ((double)x[i] - mean) * rstd * sx),
             tol * (1 + rstd), "norm_back", n, i);
    k->norm_sums(x, n, stats, dy, g, dx);
    for (int i = 0; i < n; i++)
        near(g[i], (double)g0[i] +
                       (double)dy[i] * (((double)x[i] - mean) * rstd),
             10 * tol, "norm_sums", n, i);
    free3(x, g, dy);
    pcv_free(g0);
    pcv_free(dx);
    pcv_free(was);
}

/* ---- activations ----------------------------------------------------- */

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_slope(double x)
{
    return 0.5 * (1 + erf(x / sqrt(2))) +
           x * exp(-0.5 * x * x) / sqrt(2 * 3.14159265358979323846);
}

static double inner(double x)
{
    return sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(inner(x)));
}

static double gelu_tanh_slope(double x)
{
    double t = tanh(inner(x)), du = sqrt(2 / 3.14159265358979323846) *
                                    (1 + 3 * 0.044715 * x * x);

    return 0.5 * (1 + t + x * (1 - t * t) * du);
}

typedef void forward(const real *x, int n, real *y);
typedef void backward(const real *x, int n, const real *dy, real *dx);

/* Also in place, with large arguments, infinity and NaN. */
static void check_act(forward *f, backward *b, double (*value)(double),
                      double (*slope)(double), int n)
{
    real *x = normal(n, 12, 3), *y = copy(x, n), *dx = normal(n, 13, 1);
    real *dy = copy(dx, n);
    double tol = HELP_TOL(2e-7, 1e-15);

    if (n > 3)
        x[1] = 30, x[2] = -30, x[3] = 0;
    f(x, n, y);
    b(x, n, dx, dx);
    for (int i = 0; i < n; i++) {
        double v = (double)x[i], s = slope(v) * (double)dy[i];

        near(y[i], value(v), tol * fmax(1, fabs(v)), "activation", n, i);
        near(dx[i], s, 4 * tol * fmax(1, fabs((double)dy[i])), "its slope", n,
             i);
    }
    x[n - 1] = (real)NAN;
    f(x, n, x);
    b(x, n, dx, dx);
    assert_true(isnan(x[n - 1]) && isnan(dx[n - 1]));
    assert_true(n == 1 || !isnan(x[n - 2]));
    free3(x, y, dx);
    pcv_free(dy);
}

static void check_gelu(const pcv_rows *k, int n)
{
    check_act(k->gelu, k->gelu_back, gelu, gelu_slope, n);
    check_act(k->gelu_tanh, k->gelu_tanh_back, gelu_tanh, gelu_tanh_slope, n);
}

/* A fine grid: the polynomials have their seams at |x| = sqrt 2 and 4. */
static void test_gelu_fine(void **state)
{
    enum { N = 40001 };
    const pcv_rows *all[4];
    real *x = pcv_alloc(N, sizeof *x), *y = pcv_alloc(N, sizeof *y);
    double most = 0;

    (void)state;
    for (int t = pcv_rows_all(all) - 1; t >= 0; t--) {
        for (int i = 0; i < N; i++)
            x[i] = (real)(-10 + 20.0 * i / (N - 1));
        all[t]->gelu(x, N, y);
        for (int i = 0; i < N; i++) {
            double v = (double)x[i], e = fabs((double)y[i] - gelu(v));

            most = fmax(most, e / fmax(1, fabs(v)));
        }
        help_below(most, HELP_TOL(2e-7, 1e-15), "gelu", t);
    }
    print_message("gelu: %.2g\n", most);
    pcv_free(x);
    pcv_free(y);
}

/* exp from its largest argument to where it ends. */
static void test_exp_fine(void **state)
{
    enum { N = 40001 };
    const pcv_rows *all[4];
    real *x = pcv_alloc(N, sizeof *x), *y = pcv_alloc(N, sizeof *y);
    double most = 0;

    (void)state;
    for (int t = pcv_rows_all(all) - 1; t >= 0; t--) {
        for (int i = 0; i < N; i++)
            y[i] = x[i] = (real)(-87 + 175.0 * i / (N - 1));
        all[t]->exp_sum(y, N, 0);
        for (int i = 0; i < N; i++) {
            double e = exp((double)x[i]);

            most = fmax(most, fabs((double)y[i] - e) / e);
        }
        help_below(most, HELP_TOL(2e-7, 1e-15), "exp", t);
        y[0] = -(real)INFINITY;
        assert_true(all[t]->exp_sum(y, 1, 0) == 0 && y[0] == 0);
        y[0] = -88;
        assert_true(all[t]->exp_sum(y, 1, 0) < (real)1e-37);
    }
    print_message("exp: %.2g\n", most);
    pcv_free(x);
    pcv_free(y);
}

/* ---- attention and the optimiser ------------------------------------- */

static void check_soft(const pcv_rows *k, int n)
{
    real *s = normal(n, 14, 3), *dp = normal(n, 15, 1), *s0 = copy(s, n);
    real *dp0 = copy(dp, n), lse = 4, d = (real)0.3;
    double tol = HELP_TOL(3e-7, 1e-15);

    s[0] = s0[0] = -(real)INFINITY;
    k->soft_back(s, dp, n, lse, d);
    for (int i = 0; i < n; i++) {
        double p = exp((double)(s0[i] - lse));

        near(s[i], p, tol * p, "p", n, i);
        near(dp[i], p * (double)(dp0[i] - d), tol * 8 * p, "ds", n, i);
    }
    assert_true(s[0] == 0 && dp[0] == 0);
    s[0] = (real)NAN;
    k->soft_back(s, dp, n, lse, d);
    assert_true(isnan(s[0]) && isnan(dp[0]));
    free3(s, dp, s0);
    pcv_free(dp0);
}

static void check_adam(const pcv_rows *k, int n)
{
    const real b1 = (real)0.9, b2 = (real)0.99, c1 = 5, c2 = 50;
    const real eps = (real)1e-3, wd = (real)0.1, scale = (real)0.5;
    real *g = normal(n, 16, 1), *m = normal(n, 17, 1), *v = normal(n, 18, 1);
    real *w = normal(n, 19, 1), *u = copy(w, n), *m0 = copy(m, n), *v0;
    double tol = HELP_TOL(2e-6, 1e-14);

    for (int i = 0; i < n; i++)
        v[i] *= v[i];
    v0 = copy(v, n);
    k->adam(g, n, scale, m, v, b1, b2, c1, c2, eps, wd, w, u);
    for (int i = 0; i < n; i++) {
        double gi = (double)g[i] * 0.5;
        double mi = 0.9 * (double)m0[i] + 0.1 * gi;
        double vi = 0.99 * (double)v0[i] + 0.01 * gi * gi;
        double ui = mi * 5 / (sqrt(vi * 50) + 1e-3) + 0.1 * (double)w[i];

        near(m[i], mi, tol, "m", n, i);
        near(v[i], vi, tol * (1 + vi), "v", n, i);
        near(u[i], ui, tol * (1 + fabs(ui)) / sqrt(vi), "u", n, i);
    }
    g[n - 1] = (real)NAN;
    k->adam(g, n, scale, m, v, b1, b2, c1, c2, eps, wd, w, u);
    assert_true(isnan(m[n - 1]) && isnan(v[n - 1]) && isnan(u[n - 1]));
    free3(g, m, v);
    free3(w, u, m0);
    pcv_free(v0);
}

/* ---- the structured attend ------------------------------------------- */

enum { SERIES = 10 };

/* A run of n elements with c content channels, and one fold. */
typedef struct {
    real *mem[SERIES];
    pcv_run run;
    pcv_fold fold;
} stretch;

static void stretch_open(stretch *t, int n, int c, bool dots, bool masked)
{
    for (int i = 0; i < SERIES; i++)
        t->mem[i] = normal(n, 20 + (uint64_t)i, 1);
    for (int i = 0; i < n; i++) {
        t->mem[4][i] = 1 + (real)fabs((double)t->mem[4][i]);
        t->mem[5][i] = t->mem[5][i] > 1 ? -(real)INFINITY : 0;
    }
    t->run = (pcv_run){ n, c, { NULL }, t->mem[4], masked ? t->mem[5] : NULL };
    t->fold = (pcv_fold){ .content = { (real)0.5, (real)-1.5, 2 },
                          .base = (real)0.7, .table = t->mem[6] };
    for (int i = 0; i < c; i++)
        t->run.content[i] = t->mem[i];
    t->fold.dots = dots ? t->mem[7] : NULL;
}

static void stretch_close(stretch *t)
{
    for (int i = 0; i < SERIES; i++)
        pcv_free(t->mem[i]);
}

static double naive_score(const stretch *t, int i, bool mask)
{
    double s = (double)t->fold.base + (double)t->fold.table[i];

    for (int k = 0; k < t->run.c; k++)
        s += (double)t->fold.content[k] * (double)t->run.content[k][i];
    if (t->fold.dots)
        s += (double)t->fold.dots[i];
    s *= (double)t->run.rstd[i];
    return mask && t->run.bias ? s + (double)t->run.bias[i] : s;
}

static void near_sums(const pcv_sums *have, const pcv_sums *want, double n)
{
    double tol = HELP_TOL(2e-6, 1e-14) * n;

    near((real)have->p, want->p, tol, "sum p", (int)n, 0);
    near((real)have->w, want->w, tol, "sum w", (int)n, 0);
    for (int k = 0; k < 3; k++)
        near((real)have->content[k], want->content[k], tol, "sum w x", (int)n,
             k);
}

static void add_sums(pcv_sums *s, const stretch *t, int i, double p, double w)
{
    s->p += p;
    s->w += w;
    for (int k = 0; k < t->run.c; k++)
        s->content[k] += w * (double)t->run.content[k][i];
}

static void check_score(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 40, 1), top = k->grid_score(&t->run, &t->fold, s);

    for (int i = 0; i < n; i++) {
        double want = naive_score(t, i, true);

        if (isinf(want))
            assert_true(isinf(s[i]) && s[i] < 0);
        else
            near(s[i], want, HELP_TOL(4e-6, 1e-14), "score", n, i);
    }
    near(top, (double)k->max(s, n), isinf(top) ? (double)INFINITY : 0, "top", n,
         0);
    pcv_free(s);
}

static void check_weigh(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 41, 1), *s0;
    pcv_sums have = { 1, 2, { 4, 5, 6 } }, want = have;
    double tol = HELP_TOL(2e-6, 1e-14);

    s[n / 2] = -(real)INFINITY;
    s0 = copy(s, n);
    k->grid_weigh(&t->run, s, (real)0.5, &have);
    for (int i = 0; i < n; i++) {
        double p = exp2((double)s0[i] - 0.5), w = p * (double)t->run.rstd[i];

        near(s[i], w, tol * (1 + w), "w", n, i);
        add_sums(&want, t, i, p, w);
    }
    assert_true(s[n / 2] == 0);
    near_sums(&have, &want, n);
    s[n - 1] = (real)NAN;
    k->grid_weigh(&t->run, s, 0, &have);
    assert_true(isnan(s[n - 1]) && isnan(have.p) && isnan(have.w));
    pcv_free(s);
    pcv_free(s0);
}

static void check_back(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 43, 1), *p = normal(n, 44, 1), *dp = copy(p, n);
    real *w = copy(p, n);
    pcv_sums have = { 0, 2, { 4, 5, 6 } }, want = have;
    double tol = HELP_TOL(4e-6, 1e-14);

    s[n / 2] = -(real)INFINITY;
    k->grid_back(&t->run, &t->fold, 2, (real)0.3, s, p, dp, w, &have);
    for (int i = 0; i < n; i++) {
        double pi = exp((double)s[i] - 2), di = naive_score(t, i, false);
        double wi = pi * (di - (double)(real)0.3) * (double)t->run.rstd[i];

        near(p[i], pi, tol * pi, "p", n, i);
        near(dp[i], di, tol, "dp", n, i);
        near(w[i], wi, tol * (1 + fabs(wi)), "ds r", n, i);
        add_sums(&want, t, i, 0, wi);
    }
    assert_true(p[n / 2] == 0 && w[n / 2] == 0);
    near_sums(&have, &want, n);
    free3(s, p, dp);
    pcv_free(w);
}

/* n elements as rows of 3 or 1 and a rest of their own. */
static void check_outer(const pcv_rows *k, int n)
{
    int rows = n % 3 ? 1 : 3, cols = n / rows;
    real *x = normal(n, 46, 1), *base = normal(rows, 47, 1);
    real *columns = normal(cols, 48, 1), *out = normal(n, 49, 1);
    real *row = normal(rows, 50, 1), *column = normal(cols, 51, 1);
    real *column0 = copy(column, cols);
    double tol = (cols + 10) * HELP_TOL(1e-7, 1e-15);

    k->outer_add(columns, base, rows, cols, out);
    k->outer_sum(x, rows, cols, row, column);
    for (int r = 0; r < rows; r++) {
        double sum = 0;

        for (int i = 0; i < cols; i++) {
            assert_true(out[r * cols + i] == columns[i] + base[r]);
            sum += (double)x[r * cols + i];
        }
        near(row[r], sum, tol, "row sum", n, r);
    }
    for (int i = 0; i < cols; i++) {
        double sum = (double)column0[i];

        for (int r = 0; r < rows; r++)
            sum += (double)x[r * cols + i];
        near(column[i], sum, tol, "column sum", n, i);
    }
    free3(x, base, columns);
    free3(out, row, column);
    pcv_free(column0);
}

static void check_grid(const pcv_rows *k, int n)
{
    static const struct { int c; bool dots; } kind[] = {
        { 0, false }, { 0, true }, { 1, false }, { 3, false },
    };

    for (size_t i = 0; i < 2 * PCV_LEN(kind); i++) {
        stretch t;

        stretch_open(&t, n, kind[i / 2].c, kind[i / 2].dots, i & 1);
        check_score(k, n, &t);
        check_weigh(k, n, &t);
        check_back(k, n, &t);
        stretch_close(&t);
    }
}

/* Three rows of a third of the elements each, or one. */
static void check_sweep_of(const pcv_rows *k, int n, int c)
{
    int rows = n % 3 ? 1 : 3, cols = n / rows;
    real *x[3], *r = normal(n, 60, 1), *along = normal(cols, 61, 1);
    real *base = normal(rows, 62, 1), *row = normal(rows, 63, 1);
    real *column = normal(cols, 64, 1), *column0 = copy(column, cols);
    pcv_sweep t = { rows, cols, c, { NULL }, r, { 1, (real)-0.5, (real)0.7 },
                    base, along, -126 };
    pcv_sums have = { 1, 2, { 3, 4, 5 } }, want = have;
    double top = -(double)INFINITY, tol = HELP_TOL(4e-6, 1e-13) * n;
    real found;

    for (int i = 0; i < 3; i++)
        t.content[i] = x[i] = normal(n, 65 + (uint64_t)i, 1);
    found = k->grid_sweep(&t, (real)0.3, column, row, &have);
    for (int i = 0; i < rows; i++) {
        double sum = 0;

        for (int e = i * cols; e < (i + 1) * cols; e++) {
            double s = (double)base[i] + (double)along[e - i * cols], p, w;

            for (int a = 0; a < c; a++)
                s += (double)t.u[a] * (double)x[a][e];
            s = s * (double)r[e] - (double)(real)0.3;
            p = exp2(s);
            w = p * (double)r[e];
            top = fmax(top, s);
            want.p += p;
            want.w += w;
            for (int a = 0; a < c; a++)
                want.content[a] += w * (double)x[a][e];
            column0[e - i * cols] += (real)w;
            sum += w;
        }
        near(row[i], sum, tol * (1 + fabs(sum)), "row", n, i);
    }
    for (int i = 0; i < cols; i++)
        near(column[i], (double)column0[i], tol * (1 + fabs((double)
             column0[i])), "column", n, i);
    near(found, top, HELP_TOL(1e-5, 1e-14) * (1 + fabs(top)), "top", n, c);
    near_sums(&have, &want, n * (2 + fabs(want.p)));
    for (int i = 0; i < 3; i++)
        pcv_free(x[i]);
    free3(r, along, base);
    free3(row, column, column0);
}

static void check_sweep(const pcv_rows *k, int n)
{
    check_sweep_of(k, n, 1);
    check_sweep_of(k, n, 3);
}

/* Statistics from sums, against those of the whole rows. */
static void check_stats(const pcv_rows *k, int n)
{
    enum { C = 5, REST = 4 };
    size_t plane = (size_t)n + 2;
    real *x = help_normal(46, plane * C, 2), *mean = normal(n, 47, 1);
    real *rstd = normal(n, 48, 1);
    double *sum = pcv_alloc((size_t)n, sizeof *sum);
    double *square = pcv_alloc((size_t)n, sizeof *square);

    for (int c = 0; c <= C; c++) {
        for (int i = 0; i < n; i++) {
            sum[i] = 0.01 * i;
            square[i] = 1 + 0.02 * i;
        }
        k->grid_stats(x, plane, c, n, sum, square, 0.5, 2, c + REST, mean,
                      rstd);
        for (int i = 0; i < n; i++) {
            double s = sum[i] + 0.5, q = square[i] + 2, m;

            for (int j = 0; j < c; j++) {
                double v = (double)x[(size_t)j * plane + (size_t)i];

                s += v;
                q += v * v;
            }
            m = s / (c + REST);
            q = fmax(q / (c + REST) - m * m, 0);
            near(mean[i], m, HELP_TOL(1e-6, 1e-14), "mean", n, i);
            near(rstd[i], 1 / sqrt(q + 1e-5), HELP_TOL(1e-4, 1e-11), "rstd", n,
                 i);
        }
    }
    free3(x, mean, rstd);
    pcv_free(sum);
    pcv_free(square);
}

static void test_max(void **state)
{
    (void)state;
    each(check_max);
}

static void test_exp(void **state)
{
    (void)state;
    each(check_exp);
}

static void test_linear(void **state)
{
    (void)state;
    each(check_linear);
}

static void test_norm(void **state)
{
    (void)state;
    each(check_norm);
    each(check_norm_back);
}

static void test_gelu(void **state)
{
    (void)state;
    each(check_gelu);
}

static void test_soft(void **state)
{
    (void)state;
    each(check_soft);
}

static void test_adam(void **state)
{
    (void)state;
    each(check_adam);
}

static void test_grid(void **state)
{
    (void)state;
    each(check_grid);
    each(check_sweep);
    each(check_outer);
    each(check_stats);
}

/* ---- matrix products ------------------------------------------------- */

typedef struct {
    bool ta, tb;
    int m, n, k, pad;
    real beta;
    real *a, *b, *c;
    int lda, ldb, ldc;
    size_t size;                /* of c */
} product;

/* Strides are `pad` wider than the matrices; the padding holds NaN, and that
 * of c must stay as it is. */
static real *matrix(uint64_t stream, int rows, int cols, int pad, int *ld)
{
    real *x;

    *ld = cols + pad;
    x = help_normal(stream, (size_t)(rows * *ld), 1);
    for (int i = 0; i < rows; i++)
        for (int k = cols; k < *ld; k++)
            x[i * *ld + k] = (real)NAN;
    return x;
}

static void product_open(product *p, int which)
{
    uint64_t u = 1000 + (uint64_t)which;

    p->ta = which & 1;
    p->tb = which & 2;
    p->pad = which & 4 ? 3 : 0;
    p->beta = (real)(which % 3) / 2;
    p->m = which % 5 ? help_int(u, 1, 1, 90) : help_int(u, 1, 257, 600);
    p->n = which % 7 ? help_int(u, 2, 1, 90) : help_int(u, 2, 257, 1100);
    p->k = help_int(u, 3, 1, 70);
    p->a = matrix(u, p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->pad, &p->lda);
    p->b = matrix(u + 1, p->tb ? p->n : p->k, p->tb ? p->k : p->n, p->pad,
                  &p->ldb);
    p->c = matrix(u + 2, p->m, p->n, p->pad, &p->ldc);
    p->size = (size_t)p->m * (size_t)p->ldc;
}

static double naive_element(const product *p, int i, int j)
{
    double sum = 0;

    for (int k = 0; k < p->k; k++)
        sum += (double)p->a[p->ta ? k * p->lda + i : i * p->lda + k] *
               (double)p->b[p->tb ? j * p->ldb + k : k * p->ldb + j];
    return 1.5 * sum + (double)p->beta * (double)p->c[i * p->ldc + j];
}

typedef void multiply(bool ta, bool tb, int m, int n, int k, real alpha,
                      const real *a, int lda, const real *b, int ldb, real beta,
                      real *c, int ldc);

static real *call(const product *p, multiply *f)
{
    real *c = pcv_alloc(p->size, sizeof *c);

    memcpy(c, p->c, p->size * sizeof *c);
    f(p->ta, p->tb, p->m, p->n, p->k, (real)1.5, p->a, p->lda, p->b, p->ldb,
      p->beta, c, p->ldc);
    return c;
}

static void check_product(const product *p, multiply *f, int which)
{
    real *c = call(p, f);

    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->ldc; j++) {
            real have = c[i * p->ldc + j];

            if (j < p->n)
                near(have, naive_element(p, i, j), HELP_TOL(4e-5, 1e-13),
                     "product", which, i * p->n + j);
            else
                assert_true(isnan(have));
        }
    pcv_free(c);
}

static void test_product(void **state)
{
    (void)state;
    table = pcv_blas_name();
    for (int i = 0; i < 70; i++) {
        product p;

        product_open(&p, i);
        check_product(&p, pcv_gemm, i);
        check_product(&p, pcv_matmul, i);
        free3(p.a, p.b, p.c);
    }
}

static void test_product_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        product p;
        real *one, *many;

        product_open(&p, i);
        one = call(&p, pcv_matmul);
        for (int n = 2; n <= 4; n += 2) {
            assert_int_equal(pcv_threads_set(n), 0);
            many = call(&p, pcv_matmul);
            assert_memory_equal(one, many, p.size * sizeof *one);
            pcv_free(many);
        }
        assert_int_equal(pcv_threads_set(1), 0);
        pcv_free(one);
        free3(p.a, p.b, p.c);
    }
}

/* A NaN in a reaches its row of c and nothing else; c with beta 0 may hold
 * anything; an empty product touches nothing. */
static void test_product_nan(void **state)
{
    real a[6] = { 1, (real)NAN, 3, 4, 5, 6 }, b[6] = { 0 };
    real c[4] = { (real)NAN, (real)NAN, (real)NAN, (real)NAN };

    (void)state;
    pcv_matmul(false, false, 2, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    assert_true(isnan(c[0]) && isnan(c[1]) && c[2] == 0 && c[3] == 0);
    pcv_matmul(false, false, 0, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    pcv_matmul(false, false, 2, 0, 3, 1, a, 3, b, 2, 0, c, 2);
    assert_true(isnan(c[0]) && c[3] == 0);
}

/* ---- the choice of a table ------------------------------------------- */

static void test_tables(void **state)
{
    const pcv_rows *all[4];
    int n = pcv_rows_all(all);
    bool listed = false;

    (void)state;
    assert_string_equal(all[0]->name, "base");
    for (int i = 0; i < n; i++)
        listed |= all[i] == pcv_rows_get();
    assert_true(listed);
    print_message("tables: %d, in use: %s; %s\n", n, pcv_rows_get()->name,
                  pcv_blas_name());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_max),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_exp_fine),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_gelu_fine),
        cmocka_unit_test(test_soft),
        cmocka_unit_test(test_adam),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_product_threads),
        cmocka_unit_test(test_product_nan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

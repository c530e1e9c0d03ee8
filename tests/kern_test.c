/* kern_test.c - every vector loop of every instruction set this processor has
 * against libm and plain loops in double, at lengths that leave every kind of
 * remainder; NaN comes out where NaN went in.  It speaks TAP by itself, because
 * `make arm-check` builds it where there is no library but libc. */
#include "../lib/kern/kern.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PCV_DOUBLE
#define TOL(of_float, of_double) (of_double)
#else
#define TOL(of_float, of_double) (of_float)
#endif

/* ---- what went wrong in the test that runs --------------------------- */

static int wrong;

#define HOLD(what) hold(what, #what, __LINE__)

static void hold(bool holds, const char *what, int line)
{
    if (!holds && !wrong++)
        printf("# kern_test.c:%d: %s does not hold\n", line, what);
}

/* Only the first is told: what follows is mostly the same again. */
static void near(real have, double want, double tol, const char *what, int n,
                 int i)
{
    double e = fabs((double)have - want);

    if (!(e <= tol) && !(isnan(want) && isnan(have)) && !wrong++)
        printf("# %s, %d of %d: %.9g, want %.9g +- %.2g\n", what, i, n,
               (double)have, want, tol);
}

static real *normal(int n, uint64_t stream, double std)
{
    real *x = pcv_alloc((size_t)n, sizeof *x);

    for (int i = 0; i < n; i++)
        x[i] = (real)(std * pcv_normal(7, (uint64_t)n * 100 + stream,
                                       (uint64_t)i));
    return x;
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
    HOLD(isinf(k->max(x, 0)) && k->max(x, 0) < 0);
    pcv_free(x);
}

/* Arguments as a softmax makes them: differences to the largest, down to
 * where float ends; masked ones; and a NaN. */
static void check_exp_sum(const pcv_rows *k, int n)
{
    real *x = normal(n, 2, 12), *y, top = k->max(x, n), sum;
    double want = 0, tol = TOL(2e-7, 1e-15);

    if (n > 1)
        x[n / 2] = top == x[n / 2] ? top : -(real)INFINITY;
    y = copy(x, n);
    sum = k->exp_sum(y, n, top);
    for (int i = 0; i < n; i++) {
        double e = exp((double)(x[i] - top));

        near(y[i], e, tol * e + TOL((double)FLT_MIN, 0), "exp", n, i);
        if (isinf(x[i]))
            HOLD(y[i] == 0);
        want += e;
    }
    near(sum, want, TOL(1e-6, 1e-14) * want, "sum of exp", n, 0);
    x[n - 1] = (real)NAN;
    HOLD(isnan(k->exp_sum(x, n, top)) && isnan(x[n - 1]));
    pcv_free(x);
    pcv_free(y);
}

static const double linear_tol = TOL(2e-7, 4e-16);

static void check_scale(const pcv_rows *k, int n)
{
    real *x = normal(n, 3, 1), *y = copy(x, n);

    k->scale(y, n, (real)-0.3);
    for (int i = 0; i < n; i++)
        near(y[i], (double)((real)-0.3 * x[i]), 0, "scale", n, i);
    free3(x, y, NULL);
}

static void check_axpy(const pcv_rows *k, int n)
{
    real *x = normal(n, 3, 1), *y = normal(n, 4, 1), *z = copy(y, n);

    k->axpy(y, x, n, (real)1.25);
    for (int i = 0; i < n; i++)
        near(y[i], (double)z[i] + 1.25 * (double)x[i], linear_tol * 8, "axpy",
             n, i);
    free3(x, y, z);
}

static void check_add(const pcv_rows *k, int n)
{
    real *x = normal(n, 3, 1), *y = normal(n, 4, 1), *z = copy(y, n);

    k->add(y, x, n);
    for (int i = 0; i < n; i++)
        near(y[i], (double)(x[i] + z[i]), 0, "add", n, i);
    free3(x, y, z);
}

static void check_dot(const pcv_rows *k, int n)
{
    real *x = normal(n, 3, 1), *y = normal(n, 4, 1);
    double dot = 0, size = 0;

    for (int i = 0; i < n; i++) {
        dot += (double)x[i] * (double)y[i];
        size += fabs((double)x[i] * (double)y[i]);
    }
    near(k->dot(x, y, n), dot, linear_tol * size * 4, "dot", n, 0);
    y[n / 2] = (real)NAN;
    HOLD(isnan(k->dot(x, y, n)));
    free3(x, y, NULL);
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
    double mean, rstd, tol = TOL(2e-6, 1e-14);

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
        HOLD(isnan(y[i]));
    free3(x, g, b);
    pcv_free(y);
}

static void check_norm_back(const pcv_rows *k, int n)
{
    real *x = normal(n, 8, 3), *g = normal(n, 9, 1), *dy = normal(n, 10, 1);
    real *dx = normal(n, 11, 1), *was = copy(dx, n), stats[2];
    double mean, rstd, st = 0, sx = 0, tol = TOL(4e-6, 1e-14);

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
    free3(x, g, dy);
    free3(dx, was, NULL);
}

static void check_norm_sums(const pcv_rows *k, int n)
{
    real *x = normal(n, 8, 3), *dy = normal(n, 10, 1), stats[2];
    real *dg = normal(n, 9, 1), *dg0 = copy(dg, n);
    real *db = normal(n, 11, 1), *db0 = copy(db, n);
    double mean, rstd, tol = TOL(4e-5, 1e-13);

    naive_stats(x, n, &mean, &rstd);
    stats[0] = (real)mean;
    stats[1] = (real)rstd;
    k->norm_sums(x, n, stats, dy, dg, db);
    for (int i = 0; i < n; i++) {
        double t = (double)dy[i] * (((double)x[i] - mean) * rstd);

        near(dg[i], (double)dg0[i] + t, tol, "dg", n, i);
        near(db[i], (double)(db0[i] + dy[i]), 0, "db", n, i);
    }
    free3(x, dy, NULL);
    free3(dg, dg0, NULL);
    free3(db, db0, NULL);
}

/* ---- activations ----------------------------------------------------- */

static const double act_tol = TOL(2e-7, 1e-15);

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

/* With large arguments, zero and NaN; also in place. */
static real *arguments(int n)
{
    real *x = normal(n, 12, 3);

    if (n > 3)
        x[1] = 30, x[2] = -30, x[3] = 0;
    return x;
}

static void check_act(forward *f, double (*value)(double), int n)
{
    real *x = arguments(n), *y = copy(x, n);

    f(x, n, y);
    for (int i = 0; i < n; i++) {
        double v = (double)x[i];

        near(y[i], value(v), act_tol * fmax(1, fabs(v)), "activation", n, i);
    }
    x[n - 1] = (real)NAN;
    f(x, n, x);
    HOLD(isnan(x[n - 1]));
    HOLD(n == 1 || x[n - 2] == y[n - 2]);
    free3(x, y, NULL);
}

static void check_slope(backward *b, double (*slope)(double), int n)
{
    real *x = arguments(n), *dx = normal(n, 13, 1), *dy = copy(dx, n);

    b(x, n, dx, dx);
    for (int i = 0; i < n; i++)
        near(dx[i], slope((double)x[i]) * (double)dy[i],
             4 * act_tol * fmax(1, fabs((double)dy[i])), "slope", n, i);
    x[n - 1] = (real)NAN;
    b(x, n, dx, dx);
    HOLD(isnan(dx[n - 1]));
    HOLD(n == 1 || !isnan(dx[n - 2]));
    free3(x, dx, dy);
}

static void check_gelu(const pcv_rows *k, int n)
{
    check_act(k->gelu, gelu, n);
}

static void check_gelu_back(const pcv_rows *k, int n)
{
    check_slope(k->gelu_back, gelu_slope, n);
}

static void check_gelu_tanh(const pcv_rows *k, int n)
{
    check_act(k->gelu_tanh, gelu_tanh, n);
}

static void check_gelu_tanh_back(const pcv_rows *k, int n)
{
    check_slope(k->gelu_tanh_back, gelu_tanh_slope, n);
}

/* A fine grid: the polynomials have their seams at |x| = sqrt 2 and 4. */
static void fine_gelu(const pcv_rows *k)
{
    enum { N = 40001 };
    real *x = pcv_alloc(N, sizeof *x), *y = pcv_alloc(N, sizeof *y);

    for (int i = 0; i < N; i++)
        x[i] = (real)(-10 + 20.0 * i / (N - 1));
    k->gelu(x, N, y);
    for (int i = 0; i < N; i++)
        near(y[i], gelu((double)x[i]), act_tol * fmax(1, fabs((double)x[i])),
             "gelu", N, i);
    free3(x, y, NULL);
}

/* exp from its largest argument to where it ends. */
static void fine_exp(const pcv_rows *k)
{
    enum { N = 40001 };
    real *x = pcv_alloc(N, sizeof *x), *y = pcv_alloc(N, sizeof *y);

    for (int i = 0; i < N; i++)
        y[i] = x[i] = (real)(-87 + 175.0 * i / (N - 1));
    k->exp_sum(y, N, 0);
    for (int i = 0; i < N; i++) {
        double e = exp((double)x[i]);

        near(y[i], e, act_tol * e, "exp", N, i);
    }
    y[0] = -(real)INFINITY;
    HOLD(k->exp_sum(y, 1, 0) == 0 && y[0] == 0);
    y[0] = -88;
    HOLD(k->exp_sum(y, 1, 0) < (real)1e-37);
    free3(x, y, NULL);
}

/* ---- attention and the optimiser ------------------------------------- */

static void check_soft_back(const pcv_rows *k, int n)
{
    real *s = normal(n, 14, 3), *dp = normal(n, 15, 1), *s0 = copy(s, n);
    real *dp0 = copy(dp, n), lse = 4, d = (real)0.3;
    double tol = TOL(3e-7, 1e-15);

    s[0] = s0[0] = -(real)INFINITY;
    k->soft_back(s, dp, n, lse, d);
    for (int i = 0; i < n; i++) {
        double p = exp((double)(s0[i] - lse));

        near(s[i], p, tol * p, "p", n, i);
        near(dp[i], p * (double)(dp0[i] - d), tol * 8 * p, "ds", n, i);
    }
    HOLD(s[0] == 0 && dp[0] == 0);
    s[0] = (real)NAN;
    k->soft_back(s, dp, n, lse, d);
    HOLD(isnan(s[0]) && isnan(dp[0]));
    free3(s, dp, s0);
    pcv_free(dp0);
}

static void check_adam(const pcv_rows *k, int n)
{
    const real b1 = (real)0.9, b2 = (real)0.99, c1 = 5, c2 = 50;
    const real eps = (real)1e-3, wd = (real)0.1, scale = (real)0.5;
    real *g = normal(n, 16, 1), *m = normal(n, 17, 1), *v = normal(n, 18, 1);
    real *w = normal(n, 19, 1), *u = copy(w, n), *m0 = copy(m, n), *v0;
    double tol = TOL(2e-6, 1e-14);

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
    HOLD(isnan(m[n - 1]) && isnan(v[n - 1]) && isnan(u[n - 1]));
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
    double tol = TOL(2e-6, 1e-14) * n;

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

static void score_of(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 40, 1), top = k->grid_score(&t->run, &t->fold, s);

    for (int i = 0; i < n; i++) {
        double want = naive_score(t, i, true);

        if (isinf(want))
            HOLD(isinf(s[i]) && s[i] < 0);
        else
            near(s[i], want, TOL(4e-6, 1e-14), "score", n, i);
    }
    near(top, (double)k->max(s, n), isinf(top) ? (double)INFINITY : 0, "top", n,
         0);
    pcv_free(s);
}

static void weigh_of(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 41, 1), *s0;
    pcv_sums have = { 1, 2, { 4, 5, 6 } }, want = have;
    double tol = TOL(2e-6, 1e-14);

    s[n / 2] = -(real)INFINITY;
    s0 = copy(s, n);
    k->grid_weigh(&t->run, s, (real)0.5, &have);
    for (int i = 0; i < n; i++) {
        double p = exp2((double)s0[i] - 0.5), w = p * (double)t->run.rstd[i];

        near(s[i], w, tol * (1 + w), "w", n, i);
        add_sums(&want, t, i, p, w);
    }
    HOLD(s[n / 2] == 0);
    near_sums(&have, &want, n);
    s[n - 1] = (real)NAN;
    k->grid_weigh(&t->run, s, 0, &have);
    HOLD(isnan(s[n - 1]) && isnan(have.p) && isnan(have.w));
    pcv_free(s);
    pcv_free(s0);
}

static void back_of(const pcv_rows *k, int n, stretch *t)
{
    real *s = normal(n, 43, 1), *p = normal(n, 44, 1), *dp = copy(p, n);
    real *w = copy(p, n);
    pcv_sums have = { 0, 2, { 4, 5, 6 } }, want = have;
    double tol = TOL(4e-6, 1e-14);

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
    HOLD(p[n / 2] == 0 && w[n / 2] == 0);
    near_sums(&have, &want, n);
    free3(s, p, dp);
    pcv_free(w);
}

/* Every kind of content, without and with a mask. */
static void each_stretch(const pcv_rows *k, int n,
                         void (*check)(const pcv_rows *, int, stretch *))
{
    static const struct { int c; bool dots; } kind[] = {
        { 0, false }, { 0, true }, { 1, false }, { 3, false },
    };

    for (size_t i = 0; i < 2 * PCV_LEN(kind); i++) {
        stretch t;

        stretch_open(&t, n, kind[i / 2].c, kind[i / 2].dots, i & 1);
        check(k, n, &t);
        stretch_close(&t);
    }
}

static void check_grid_score(const pcv_rows *k, int n)
{
    each_stretch(k, n, score_of);
}

static void check_grid_weigh(const pcv_rows *k, int n)
{
    each_stretch(k, n, weigh_of);
}

static void check_grid_back(const pcv_rows *k, int n)
{
    each_stretch(k, n, back_of);
}

static void check_center(const pcv_rows *k, int n)
{
    real *x = normal(n, 70, 1), *g = normal(n, 71, 1), *y = normal(n, 72, 1);

    for (int gain = 0; gain < 2; gain++) {
        double mean = 0;

        for (int i = 0; i < n; i++)
            mean += (double)x[i] * 3 * (gain ? (double)g[i] : 1) / n;
        k->center(x, n, gain ? g : NULL, 3, y);
        for (int i = 0; i < n; i++)
            near(y[i], (double)x[i] * 3 * (gain ? (double)g[i] : 1) - mean,
                 TOL(2e-6, 1e-14), "center", n, i);
    }
    free3(x, g, y);
}

/* n elements as rows of 3, or 1 where that leaves a rest. */
static void check_outer_add(const pcv_rows *k, int n)
{
    int rows = n % 3 ? 1 : 3, cols = n / rows;
    real *base = normal(rows, 47, 1), *columns = normal(cols, 48, 1);
    real *out = normal(n, 49, 1);

    k->outer_add(columns, base, rows, cols, out);
    for (int i = 0; i < n; i++)
        near(out[i], (double)(columns[i % cols] + base[i / cols]), 0,
             "outer_add", n, i);
    free3(base, columns, out);
}

static void check_outer_sum(const pcv_rows *k, int n)
{
    int rows = n % 3 ? 1 : 3, cols = n / rows;
    real *x = normal(n, 46, 1), *row = normal(rows, 50, 1);
    real *column = normal(cols, 51, 1), *column0 = copy(column, cols);
    double tol = (cols + 10) * TOL(1e-7, 1e-15);

    k->outer_sum(x, rows, cols, row, column);
    for (int r = 0; r < rows; r++) {
        double sum = 0;

        for (int i = 0; i < cols; i++)
            sum += (double)x[r * cols + i];
        near(row[r], sum, tol, "row sum", n, r);
    }
    for (int i = 0; i < cols; i++) {
        double sum = (double)column0[i];

        for (int r = 0; r < rows; r++)
            sum += (double)x[r * cols + i];
        near(column[i], sum, tol, "column sum", n, i);
    }
    free3(x, row, column);
    pcv_free(column0);
}

/* Three rows of a third of the elements each, or one. */
static void sweep_of(const pcv_rows *k, int n, int c)
{
    int rows = n % 3 ? 1 : 3, cols = n / rows, apart = cols + 5;
    real *x[3], *r = normal(n, 60, 1), *along = normal(cols, 61, 1);
    real *base = normal(rows, 62, 1), *row = normal(rows, 63, 1);
    real *column = normal(cols, 64, 1), *column0 = copy(column, cols);
    pcv_sweep t = { rows, cols, c, { NULL }, apart, r,
                    { 1, (real)-0.5, (real)0.7 },
                    base, along, -126 };
    pcv_sums have = { 1, 2, { 3, 4, 5 } }, want = have;
    double top = -(double)INFINITY, tol = TOL(2e-6, 1e-13);
    double *size = pcv_alloc((size_t)cols, sizeof *size);
    real found;

    for (int i = 0; i < 3; i++)
        t.content[i] = x[i] = normal(rows * apart, 65 + (uint64_t)i, 1);
    found = k->grid_sweep(&t, (real)0.3, column, row, &have);
    for (int i = 0; i < rows; i++) {
        double sum = 0, most = 0;

        for (int e = i * cols; e < (i + 1) * cols; e++) {
            double s = (double)base[i] + (double)along[e - i * cols], p, w;

            for (int a = 0; a < c; a++)
                s += (double)t.u[a] * (double)x[a][i * apart + e - i * cols];
            s = s * (double)r[e] - (double)(real)0.3;
            p = exp2(s);
            w = p * (double)r[e];
            top = fmax(top, s);
            want.p += p;
            want.w += w;
            for (int a = 0; a < c; a++)
                want.content[a] += w * (double)x[a][i * apart + e - i * cols];
            column0[e - i * cols] += (real)w;
            sum += w;
            most += fabs(w);
            size[e - i * cols] += fabs(w);
        }
        near(row[i], sum, tol * (1 + most), "row", n, i);
    }
    for (int i = 0; i < cols; i++)
        near(column[i], (double)column0[i], tol * (3 + size[i]), "column", n,
             i);
    near(found, top, TOL(1e-5, 1e-14) * (1 + fabs(top)), "top", n, c);
    near_sums(&have, &want, n * (2 + fabs(want.p)));
    for (int i = 0; i < 3; i++)
        pcv_free(x[i]);
    free3(r, along, base);
    free3(row, column, column0);
    pcv_free(size);
}

static void check_grid_sweep(const pcv_rows *k, int n)
{
    sweep_of(k, n, 1);
    sweep_of(k, n, 3);
}

/* One to three tables; the largest, and a NaN that stays where it is. */
static void check_ask_score(const pcv_rows *k, int n)
{
    real *t[3], *bias = normal(n, 83, 1);
    const real *table[3];

    for (int i = 0; i < 3; i++)
        table[i] = t[i] = normal(n, 80 + (uint64_t)i, 1);
    for (int tables = 1; tables <= 3; tables++) {
        real *s = normal(n, 84, 1), *s0 = copy(s, n);
        real top = k->ask_score(s, n, (real)1.5, table, tables, bias);

        for (int i = 0; i < n; i++) {
            double sum = (double)s0[i];

            for (int a = 0; a < tables; a++)
                sum += (double)t[a][i];
            near(s[i], 1.5 * sum + (double)bias[i], TOL(4e-6, 1e-14), "score",
                 n, i);
        }
        near(top, (double)k->max(s, n), 0, "top", n, tables);
        s[n / 2] = (real)NAN;
        k->ask_score(s, n, 1, table, tables, bias);
        near(s[n / 2], (double)NAN, 0, "NaN", n, tables);
        pcv_free(s);
        pcv_free(s0);
    }
    free3(t[0], t[1], t[2]);
    pcv_free(bias);
}

/* ---- 16 and 8 bits --------------------------------------------------- */

static void check_peak(const pcv_rows *k, int n)
{
    real *x = normal(n, 90, 1);
    double most = 0;

    for (int i = 0; i < n; i++)
        most = fmax(most, fabs((double)(float)x[i]));
    near((real)k->peak(x, n), most, 0, "peak", n, 0);
    x[n / 2] = (real)NAN;
    HOLD(isnan(k->peak(x, n)));
    x[n / 2] = -(real)INFINITY;
    HOLD(isnan(k->peak(x, n)));
    pcv_free(x);
}

static void check_quant(const pcv_rows *k, int n)
{
    real *x = normal(n, 91, 1);
    uint8_t *q = pcv_alloc((size_t)n, sizeof *q);
    float a = 127 / k->peak(x, n);

    k->quant(x, n, a, q);
    for (int i = 0; i < n; i++)
        near((real)q[i], 128 + (double)x[i] * (double)a, 0.5001, "quant", n, i);
    pcv_free(x);
    pcv_free(q);
}

static void check_dequant(const pcv_rows *k, int n)
{
    int32_t *x = pcv_alloc((size_t)n, 2 * sizeof *x), *shift = x + n;
    float *scale = pcv_alloc((size_t)n, sizeof *scale);
    real *b = normal(n, 92, 1), *y = normal(n, 93, 1);

    for (int i = 0; i < n; i++) {
        x[i] = 1000 * i - 77777;
        shift[i] = 13 * i;
        scale[i] = 0.01f * (float)(i + 1);
    }
    for (int with = 0; with < 2; with++) {
        k->dequant(x, shift, scale, 0.25f, with ? b : NULL, n, y);
        for (int i = 0; i < n; i++) {
            double d = (x[i] - shift[i]) * (double)scale[i] * 0.25;

            near(y[i], d + (with ? (double)b[i] : 0), 3e-7 * fabs(d) + 1e-6,
                 "dequant", n, i);
        }
    }
    free3(b, y, NULL);
    pcv_free(x);
    pcv_free(scale);
}

/* The value of a bfloat16: the upper half of a float. */
static double value_of(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float f;

    memcpy(&f, &wide, sizeof f);
    return (double)f;
}

/* Nearest: no neighbour is nearer, and of two the even one. */
static void near_bf16(uint16_t have, double want, int n, int i)
{
    double e = fabs(value_of(have) - want);
    double up = fabs(value_of((uint16_t)(have + 1)) - want);
    double down = fabs(value_of((uint16_t)(have - 1)) - want);

    if ((e > up || e > down || ((have & 1) && (e >= up || e >= down))) &&
        !wrong++)
        printf("# narrow, %d of %d: %.9g, want %.9g\n", i, n, value_of(have),
               want);
}

static void check_narrow(const pcv_rows *k, int n)
{
    real *x = normal(n, 94, 1);
    uint16_t *y = pcv_alloc((size_t)n, sizeof *y);

    x[n / 3] = (real)1.00390625;        /* between two: the even one is 1 */
    k->narrow(x, n, 1, y);
    for (int i = 0; i < n; i++)
        near_bf16(y[i], (double)(float)x[i], n, i);
    k->narrow(x, n, 2, y);
    near_bf16(y[n / 2], 2 * (double)(float)x[n / 2], n, n / 2);
    x[n / 2] = (real)NAN;
    x[0] = n > 1 ? (real)INFINITY : x[0];
    k->narrow(x, n, 1, y);
    HOLD(y[n / 2] == 0x7fc0 && (n == 1 || y[0] == 0x7f80));
    pcv_free(x);
    pcv_free(y);
}

static void check_exp_narrow(const pcv_rows *k, int n)
{
    real *x = normal(n, 95, 1), sum;
    float *s = pcv_alloc((size_t)n, sizeof *s);
    uint16_t *y = pcv_alloc((size_t)n, sizeof *y);
    double want = 0;

    for (int i = 0; i < n; i++)
        s[i] = (float)x[i];
    sum = k->exp_narrow(s, n, 1, y);
    for (int i = 0; i < n; i++) {
        double e = exp((double)s[i] - 1);

        near((real)value_of(y[i]), e, 1.001 / 256 * e, "exp", n, i);
        want += e;
    }
    near(sum, want, 1e-5 * want, "sum", n, 0);
    pcv_free(x);
    pcv_free(s);
    pcv_free(y);
}

/* ---- statistics ------------------------------------------------------ */

/* Statistics from sums, against those of the whole rows. */
static void check_grid_stats(const pcv_rows *k, int n)
{
    enum { C = 5, REST = 4 };
    size_t plane = (size_t)n + 2;
    real *x = normal((int)plane * C, 46, 2), *mean = normal(n, 47, 1);
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
            near(mean[i], m, TOL(1e-6, 1e-14), "mean", n, i);
            near(rstd[i], 1 / sqrt(q + 1e-5), TOL(1e-4, 1e-11), "rstd", n,
                 i);
        }
    }
    free3(x, mean, rstd);
    pcv_free(sum);
    pcv_free(square);
}

/* ---- every table, every loop, every length --------------------------- */

/* Each check in the slot of its loop: the loop that nobody wrote a check for
 * leaves a hole, and that fails. */
#define SLOT(loop) (offsetof(pcv_rows, loop) / sizeof(void (*)(void)) - 1)
#define LOOP(loop) [SLOT(loop)] = { #loop, check_##loop }

enum { LOOPS = sizeof(pcv_rows) / sizeof(void (*)(void)) - 1 };

static const struct {
    const char *name;
    void (*check)(const pcv_rows *k, int n);
} loops[LOOPS] = {
    LOOP(max), LOOP(exp_sum), LOOP(scale), LOOP(axpy), LOOP(add), LOOP(dot),
    LOOP(center), LOOP(norm), LOOP(norm_back), LOOP(norm_sums), LOOP(gelu),
    LOOP(gelu_back), LOOP(gelu_tanh), LOOP(gelu_tanh_back), LOOP(soft_back), LOOP(adam),
    LOOP(grid_score), LOOP(grid_weigh), LOOP(grid_sweep), LOOP(grid_back),
    LOOP(ask_score), LOOP(outer_add), LOOP(outer_sum), LOOP(peak),
    LOOP(quant), LOOP(dequant), LOOP(narrow), LOOP(exp_narrow),
    LOOP(grid_stats),
};

static int number, failed;

static void report(const char *table, const char *name)
{
    failed += wrong > 0;
    printf("%s %d - %s: %s\n", wrong ? "not ok" : "ok", ++number, table, name);
    wrong = 0;
}

/* Lengths 1 to 70, 224 and 1000. */
static void test_loop(const pcv_rows *k, int slot)
{
    if (!loops[slot].check) {
        printf("# loop %d of pcv_rows has no check in kern_test.c\n", slot + 1);
        wrong++;
        report(k->name, "unknown");
        return;
    }
    for (int n = 1; n <= 70; n++)
        loops[slot].check(k, n);
    loops[slot].check(k, 224);
    loops[slot].check(k, 1000);
    report(k->name, loops[slot].name);
}

/* The best table is in use, or the one that PCV_CPU names. */
static void test_choice(const pcv_rows *const *all, int n)
{
    const char *want = getenv("PCV_CPU");
    const pcv_rows *used = pcv_rows_get();
    bool listed = false;

    HOLD(!strcmp(all[0]->name, "base"));
    for (int i = 0; i < n; i++) {
        listed |= all[i] == used;
        HOLD(!want || strcmp(want, all[i]->name) || used == all[i]);
    }
    HOLD(listed && (want || used == all[n - 1]));
    report(used->name, "the table in use");
}

int main(void)
{
    const pcv_rows *all[4];
    int n = pcv_rows_all(all);

    test_choice(all, n);
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < LOOPS; i++)
            test_loop(all[t], i);
        fine_exp(all[t]);
        report(all[t]->name, "exp on a fine grid");
        fine_gelu(all[t]);
        report(all[t]->name, "gelu on a fine grid");
    }
    printf("1..%d\n", number);
    return failed > 0;
}

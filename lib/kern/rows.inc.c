/* rows.inc.c - every vector loop of the library, in plain C.  rows_base.c,
 * rows_avx2.c, rows_avx512.c and rows_neon.c each define ROWS_NAME and
 * ROWS_TABLE and include this file, and the Makefile compiles each for its
 * instruction set.  The base is what every processor of a kind has (SSE2, or
 * NEON) without fused multiply-add; the others have that.
 *
 * Three rules keep the loops both vector code and honest about NaN: clamps
 * are written x < lo ? lo : x (a NaN passes, fmaxf would not vectorise);
 * sums are declared reductions, so that no -ffast-math is needed; nothing is
 * called inside a loop but the static functions here. */
#include "kern.h"

#include <math.h>
#include <string.h>

#define SIMD _Pragma("omp simd")
#define SUM(...) SIMD_(omp simd reduction(+ : __VA_ARGS__))
#define SIMD_(x) _Pragma(#x)
#define MAX_OF(v) SIMD_(omp simd reduction(max : v))

#define R(x) ((real)(x))

/* clang leaves a maximum (and libm's calls in double) scalar and says so. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

/* ---- exp and erf ----------------------------------------------------------
 * float: exp(x) = 2^n e^r with |r| <= ln 2 / 2 and a polynomial of degree 6
 * for e^r (relative error 3e-9 before rounding); erf from an odd polynomial
 * below 1 and 1 - exp(q(x)) above (1e-7 absolute).  The coefficients are
 * Chebyshev fits.  double: libm, which is slower and exact. */
#ifdef PCV_DOUBLE
static inline real exp1(real x)
{
    return exp(x);
}

static inline real power2(real x)
{
    return exp2(x);
}

static inline real power2_near(real x)
{
    return exp2(x);
}

static inline real erf1(real x)
{
    return erf(x);
}
#else
/* 2^x for -126 <= x < 127: the exponent is added to the bits of a polynomial
 * of degree 5 (relative error 1.5e-7). */
static inline real power2_near(real x)
{
    union { float f; uint32_t i; } two, e;
    float n, r;

    two.f = x + 12582912.0f;
    n = two.f - 12582912.0f;
    r = x - n;
    e.f = 1.327647198e-3f;
    e.f = e.f * r + 9.675541334e-3f;
    e.f = e.f * r + 5.550713274e-2f;
    e.f = e.f * r + 2.402211972e-1f;
    e.f = e.f * r + 6.931469671e-1f;
    e.f = e.f * r + 1.0f;
    e.i += two.i << 23;
    return e.f;
}

static inline real power2(real x)
{
    float c = x > 126.0f ? 126.0f : x < -126.0f ? -126.0f : x;

    return x < -126.0f ? 0.0f : power2_near(c); /* exactly 0 where masked */
}

static inline real exp1(real x)
{
    /* adding 1.5 * 2^23 leaves the nearest integer in the lowest bits */
    union { float f; uint32_t i; } two;
    float c = x > 88.0f ? 88.0f : x < -87.0f ? -87.0f : x, n;
    float r, e = 1.394858082e-3f;

    two.f = c * 1.44269504f + 12582912.0f;
    n = two.f - 12582912.0f;
    r = (c - n * 0.693145752f) - n * 1.42860677e-6f;
    e = e * r + 8.375128890e-3f;
    e = e * r + 4.166621827e-2f;
    e = e * r + 1.666641548e-1f;
    e = e * r + 5.000000108e-1f;
    e = e * r + 1.000000038f;
    e = e * r + 1.0f;
    two.i = (two.i + 127) << 23;
    e *= two.f;
    return x < -87.0f ? 0.0f : e;       /* exactly 0 where masked */
}

static inline real erf1(real x)
{
    float a = x < 0.0f ? -x : x, t = a > 4.0f ? 4.0f : a, s = a * a;
    float p = 7.882497113e-5f, q = -1.330939039e-5f, y;

    p = p * s - 8.018854993e-4f;
    p = p * s + 5.189311943e-3f;
    p = p * s - 2.685432880e-2f;
    p = p * s + 1.128359746e-1f;
    p = p * s - 3.761262690e-1f;
    p = p * s + 1.128379166f;
    q = q * t + 3.175720346e-4f;
    q = q * t - 3.436867598e-3f;
    q = q * t + 2.262198592e-2f;
    q = q * t - 1.033189800e-1f;
    q = q * t - 6.390933195e-1f;
    q = q * t - 1.125925949f;
    q = q * t - 7.569686265e-4f;
    y = a < 1.0f ? p * a : 1.0f - exp1(q);
    return x < 0.0f ? -y : y;
}
#endif

/* ---- sums and scalings ----------------------------------------------- */

static real rows_max(const real *x, int n)
{
    real m = -(real)INFINITY;

    MAX_OF(m)
    for (int i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

static real rows_exp_sum(real *x, int n, real shift)
{
    real s = 0;

    SUM(s)
    for (int i = 0; i < n; i++) {
        real e = exp1(x[i] - shift);

        x[i] = e;
        s += e;
    }
    return s;
}

static void rows_scale(real *x, int n, real a)
{
    SIMD
    for (int i = 0; i < n; i++)
        x[i] *= a;
}

static void rows_axpy(real *restrict y, const real *restrict x, int n, real a)
{
    SIMD
    for (int i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void rows_add(real *restrict y, const real *restrict x, int n)
{
    SIMD
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}

static real rows_dot(const real *x, const real *y, int n)
{
    real s = 0;

    SUM(s)
    for (int i = 0; i < n; i++)
        s += x[i] * y[i];
    return s;
}

/* The square root of a loop that is to become vector code. */
static inline real root(real x)
{
#ifdef PCV_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* ---- layer norm (eps 1e-5, as every published checkpoint) ------------ */

static void rows_norm(const real *x, int n, const real *g, const real *b,
                      real *y, real *stats)
{
    real sum = 0, var = 0, mean, rstd;

    SUM(sum)
    for (int i = 0; i < n; i++)
        sum += x[i];
    mean = sum / R(n);
    SUM(var)
    for (int i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean);
    rstd = R(1.0 / sqrt((double)(var / R(n)) + 1e-5));
    SIMD
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd * g[i] + b[i];
    stats[0] = mean;
    stats[1] = rstd;
}

/* With xh = (x - mean) rstd and t = dy g:
 * dx = rstd (t - mean(t) - xh mean(t xh)). */
static void rows_norm_back(const real *x, int n, const real *g,
                           const real *stats, const real *dy,
                           real *restrict dx)
{
    real mean = stats[0], rstd = stats[1], st = 0, sx = 0;

    SUM(st, sx)
    for (int i = 0; i < n; i++) {
        real t = dy[i] * g[i];

        st += t;
        sx += t * ((x[i] - mean) * rstd);
    }
    st /= R(n);
    sx /= R(n);
    SIMD
    for (int i = 0; i < n; i++)
        dx[i] += rstd * (dy[i] * g[i] - st - (x[i] - mean) * rstd * sx);
}

static void rows_norm_sums(const real *x, int n, const real *stats,
                           const real *dy, real *restrict dg,
                           real *restrict db)
{
    real mean = stats[0], rstd = stats[1];

    SIMD
    for (int i = 0; i < n; i++) {
        dg[i] += dy[i] * ((x[i] - mean) * rstd);
        db[i] += dy[i];
    }
}

/* ---- activations ----------------------------------------------------- */

static void rows_gelu(const real *x, int n, real *y)
{
    SIMD
    for (int i = 0; i < n; i++)
        y[i] = R(0.5) * x[i] * (1 + erf1(x[i] * R(0.70710678118654752)));
}

/* d/dx = Phi(x) + x phi(x) */
static void rows_gelu_back(const real *x, int n, const real *dy, real *dx)
{
    SIMD
    for (int i = 0; i < n; i++) {
        real v = x[i];
        real cdf = R(0.5) * (1 + erf1(v * R(0.70710678118654752)));
        real pdf = R(0.39894228040143268) * exp1(R(-0.5) * v * v);

        dx[i] = dy[i] * (cdf + v * pdf);
    }
}

/* The tanh form, by (1 + tanh u) / 2 = 1 / (1 + e) with e = exp(-2u), which
 * keeps its digits where the tanh is close to -1.  Clamped, so that e and
 * what is made of it stay finite. */
static inline real tanh_e(real v)
{
    real u = R(0.79788456080286536) * (v + R(0.044715) * v * v * v);

    return exp1(-2 * (u > 40 ? 40 : u < -40 ? -40 : u));
}

static void rows_gelu_tanh(const real *x, int n, real *y)
{
    SIMD
    for (int i = 0; i < n; i++)
        y[i] = x[i] / (1 + tanh_e(x[i]));
}

/* With s = 1 / (1 + e): d/dx = s + x s (1 - s) 2u', and 1 - s = e s. */
static void rows_gelu_tanh_back(const real *x, int n, const real *dy, real *dx)
{
    SIMD
    for (int i = 0; i < n; i++) {
        real v = x[i], e = tanh_e(v), s = 1 / (1 + e);
        real du = R(0.79788456080286536) * (1 + R(3 * 0.044715) * v * v);

        dx[i] = dy[i] * (s + 2 * v * s * (e * s) * du);
    }
}

/* ---- attention and the optimiser ------------------------------------- */

static void rows_soft_back(real *restrict s, real *restrict dp, int n, real lse,
                           real d)
{
    SIMD
    for (int i = 0; i < n; i++) {
        real p = exp1(s[i] - lse);

        s[i] = p;
        dp[i] = p * (dp[i] - d);
    }
}

static void rows_adam(const real *g, int n, real gscale, real *restrict m,
                      real *restrict v, real b1, real b2, real c1, real c2,
                      real eps, real wd, const real *w, real *restrict u)
{
    SIMD
    for (int i = 0; i < n; i++) {
        real gi = g[i] * gscale;
        real mi = b1 * m[i] + (1 - b1) * gi;
        real vi = b2 * v[i] + (1 - b2) * gi * gi;

        m[i] = mi;
        v[i] = vi;
        u[i] = mi * c1 / (root(vi * c2) + eps) + wd * w[i];
    }
}

/* ---- the structured attend ------------------------------------------- */

/* s = base + table + content . u, the product with r last.  The body is a
 * macro because the number of content channels must be a constant of each loop
 * for it to become vector code. */
#define SCORE(DOTS)                                                          \
    SIMD                                                                     \
    for (int i = 0; i < n; i++)                                              \
        s[i] = q[i] * (base + t[i] + (DOTS));

static void score(const pcv_run *r, const pcv_fold *u, real *restrict s)
{
    const int n = r->n;
    const real *q = r->rstd, *t = u->table, *d = u->dots;
    const real *x = r->content[0], *y = r->content[1], *z = r->content[2];
    const real a = u->content[0], b = u->content[1], c = u->content[2];
    const real base = u->base;

    if (r->c == 1)
        SCORE(a * x[i])
    else if (r->c == 3)
        SCORE(a * x[i] + b * y[i] + c * z[i])
    else if (d)
        SCORE(d[i])
    else
        SCORE(0)
    if (r->bias)
        rows_add(s, r->bias, n);
}

static real rows_grid_score(const pcv_run *r, const pcv_fold *u, real *s)
{
    score(r, u, s);
    return rows_max(s, r->n);
}

/* The weights of one element: p for the softmax's sum, w = p r (in backward
 * ds r) for everything else.  `c` must be a constant of each call: the body is
 * compiled once per number of content channels. */
#define WEIGH(C, P, W)                                                       \
    SUM(sp, sw, a, b, c)                                                     \
    for (int i = 0; i < n; i++) {                                            \
        real p_ = (P), w_ = (W);                                             \
                                                                             \
        sp += p_;                                                            \
        sw += w_;                                                            \
        if ((C) > 0)                                                         \
            a += w_ * x[i];                                                  \
        if ((C) > 2) {                                                       \
            b += w_ * y[i];                                                  \
            c += w_ * z[i];                                                  \
        }                                                                    \
        out[i] = w_;                                                         \
        KEEP                                                                 \
    }

#define WEIGH_ALL(P, W)                                                      \
    if (r->c == 1) {                                                         \
        WEIGH(1, P, W)                                                       \
    } else if (r->c == 3) {                                                  \
        WEIGH(3, P, W)                                                       \
    } else {                                                                 \
        WEIGH(0, P, W)                                                       \
    }                                                                        \
    sums->w += (double)sw;                                                   \
    sums->content[0] += (double)a;                                           \
    sums->content[1] += (double)b;                                           \
    sums->content[2] += (double)c;

static void rows_grid_weigh(const pcv_run *r, real *restrict out, real top,
                            pcv_sums *sums)
{
    const int n = r->n;
    const real *q = r->rstd;
    const real *x = r->content[0], *y = r->content[1], *z = r->content[2];
    real sp = 0, sw = 0, a = 0, b = 0, c = 0;

#define KEEP
    WEIGH_ALL(power2(out[i] - top), p_ * q[i])
#undef KEEP
    sums->p += (double)sp;
}

static void rows_grid_back(const pcv_run *r, const pcv_fold *dz, real lse,
                           real d, const real *s, real *restrict p,
                           real *restrict dp, real *restrict out,
                           pcv_sums *sums)
{
    const int n = r->n;
    const real *q = r->rstd;
    const real *x = r->content[0], *y = r->content[1], *z = r->content[2];
    pcv_run free = *r;
    real sp = 0, sw = 0, a = 0, b = 0, c = 0;

    free.bias = NULL;           /* a mask moves scores, not their gradient */
    score(&free, dz, dp);
#define KEEP p[i] = p_;
    WEIGH_ALL(exp1(s[i] - lse), p_ * (dp[i] - d) * q[i])
#undef KEEP
    (void)sp;                   /* p sums to one by now */
}

/* One element of a sweep in lane l: sums stay in lanes until the tile ends, so
 * that a short row costs one horizontal sum and not six. */
#define SWEEP_ONE(C)                                                         \
    {                                                                        \
        const real r_ = r[i + l];                                            \
        real u_ = tab[i + l] + base, p_, w_;                                 \
                                                                             \
        u_ += u0 * x[i + l];                                                 \
        if ((C) > 1)                                                         \
            u_ += u1 * y[i + l] + u2 * z[i + l];                             \
        u_ = r_ * u_ - shift;                                                \
        top[l] = u_ > top[l] ? u_ : top[l];                                  \
        u_ = u_ < least ? least : u_;                                        \
        p_ = power2_near(u_);                                                \
        w_ = p_ * r_;                                                        \
        sp[l] += p_;                                                         \
        sw[l] += w_;                                                         \
        s0[l] += w_ * x[i + l];                                              \
        if ((C) > 1) {                                                       \
            s1[l] += w_ * y[i + l];                                          \
            s2[l] += w_ * z[i + l];                                          \
        }                                                                    \
        column[i + l] += w_;                                                 \
    }

#define SWEEP(C)                                                             \
    for (int k = 0; k < t->rows; k++) {                                      \
        real sw[LANES] = {0}, base = t->base[k];                             \
        int i = 0;                                                           \
                                                                             \
        for (; i + LANES <= n; i += LANES)                                   \
            SIMD                                                             \
            for (int l = 0; l < LANES; l++)                                  \
                SWEEP_ONE(C)                                                 \
        SIMD                                                                 \
        for (int l = 0; l < n - i; l++)                                      \
            SWEEP_ONE(C)                                                     \
        row[k] = lanes_sum(sw);                                              \
        r += n;                                                              \
        x += t->stride;                                                      \
        y += (C) > 1 ? t->stride : 0;                                        \
        z += (C) > 1 ? t->stride : 0;                                        \
    }

enum { LANES = 16 };

/* Halves upon halves: a sum that vectors can make. */
static inline real lanes_sum(real *x)
{
    SIMD
    for (int l = 0; l < 8; l++)
        x[l] += x[l + 8];
    SIMD
    for (int l = 0; l < 4; l++)
        x[l] += x[l + 4];
    return (x[0] + x[2]) + (x[1] + x[3]);
}

/* Rows are short here, tens of channels: the sum stays in lanes, since a
 * reduction in double would take longer than the rest. */
static void rows_center(const real *x, int n, const real *g, real a, real *y)
{
    real lane[LANES] = {0}, mean;
    int i = 0;

    SIMD
    for (int k = 0; k < n; k++)
        y[k] = x[k] * a;
    if (g)
        SIMD
        for (int k = 0; k < n; k++)
            y[k] *= g[k];
    for (; i + LANES <= n; i += LANES)
        SIMD
        for (int l = 0; l < LANES; l++)
            lane[l] += y[i + l];
    for (int l = 0; l < n - i; l++)
        lane[l] += y[i + l];
    mean = lanes_sum(lane) / (real)n;
    SIMD
    for (int k = 0; k < n; k++)
        y[k] -= mean;
}

static real rows_grid_sweep(const pcv_sweep *t, real shift,
                            real *restrict column, real *restrict row,
                            pcv_sums *sums)
{
    const int n = t->n;
    const real *r = t->rstd, *tab = t->table;
    const real *x = t->content[0], *y = t->content[1], *z = t->content[2];
    const real u0 = t->u[0], u1 = t->u[1], u2 = t->u[2], least = t->least;
    real sp[LANES] = {0}, s0[LANES] = {0}, s1[LANES] = {0}, s2[LANES] = {0};
    real top[LANES];

    for (int l = 0; l < LANES; l++)
        top[l] = -(real)INFINITY;
    if (t->c == 1)
        SWEEP(1)
    else
        SWEEP(3)
    sums->p += (double)lanes_sum(sp);
    sums->content[0] += (double)lanes_sum(s0);
    sums->content[1] += (double)lanes_sum(s1);
    sums->content[2] += (double)lanes_sum(s2);
    for (int k = 0; k < t->rows; k++)
        sums->w += (double)row[k];
    return rows_max(top, LANES);
}

#define ASK(TABLES)                                                          \
    MAX_OF(top)                                                              \
    for (int i = 0; i < n; i++) {                                            \
        s[i] = rstd * (s[i] + (TABLES)) + bias[i];                           \
        top = s[i] > top ? s[i] : top;                                       \
    }

static real rows_ask_score(real *restrict s, int n, real rstd,
                           const real *const *table, int tables,
                           const real *bias)
{
    const real *x = table[0], *y = table[1], *z = table[2];
    real top = -(real)INFINITY;

    if (tables == 1)
        ASK(x[i])
    else if (tables == 2)
        ASK(x[i] + y[i])
    else
        ASK(x[i] + y[i] + z[i])
    return top;
}

static inline void add_block(const real *x, real b, real *out)
{
    SIMD
    for (int l = 0; l < LANES; l++)
        out[l] = x[l] + b;
}

/* The rest of a row is a block that ends with it, some of it for the second
 * time: see rows_outer_sum. */
static void rows_outer_add(const real *table, const real *base, int rows,
                           int n, real *restrict out)
{
    for (int r = 0; r < rows; r++, out += n) {
        int i = 0;

        for (; i + LANES <= n; i += LANES)
            add_block(table + i, base[r], out + i);
        if (i < n && i)
            add_block(table + n - LANES, base[r], out + n - LANES);
        for (; n < LANES && i < n; i++)
            out[i] = table[i] + base[r];
    }
}

/* A block of columns over some rows: `share` of each element to its column and
 * to the lanes of its row.  The columns stay in registers. */
static inline void outer_block(const real *x, int rows, int n,
                               const real *share, real (*lane)[LANES],
                               real *column)
{
    real sum[LANES] = {0};

    for (int r = 0; r < rows; r++, x += n)
        SIMD
        for (int l = 0; l < LANES; l++) {
            real v = x[l] * share[l];

            sum[l] += v;
            lane[r][l] += v;
        }
    for (int l = 0; l < LANES; l++)
        column[l] += sum[l];
}

/* What is left of the rows after whole blocks is a block that ends with them,
 * of which only the new elements count: a loop over the rest would be scalar,
 * and rows of a small picture are shorter than two blocks. */
static void rows_outer_sum(const real *x, int rows, int n, real *restrict row,
                           real *restrict column)
{
    enum { AT_ONCE = 32 };
    const int rest = n % LANES, whole = n - rest;
    real all[LANES], new[LANES], lane[AT_ONCE][LANES];

    for (int l = 0; l < LANES; l++) {
        all[l] = 1;
        new[l] = l >= LANES - rest;
    }
    for (int from = 0; from < rows; from += AT_ONCE, x += AT_ONCE * (size_t)n) {
        int some = rows - from < AT_ONCE ? rows - from : AT_ONCE;

        memset(lane, 0, (size_t)some * sizeof lane[0]);
        for (int i = 0; i < whole; i += LANES)
            outer_block(x + i, some, n, all, lane, column + i);
        if (rest && whole)
            outer_block(x + n - LANES, some, n, new, lane, column + n - LANES);
        for (int r = 0; !whole && r < some; r++)
            for (int i = 0; i < rest; i++) {
                lane[r][i] += x[(size_t)r * (size_t)n + (size_t)i];
                column[i] += x[(size_t)r * (size_t)n + (size_t)i];
            }
        for (int r = 0; r < some; r++)
            row[from + r] = lanes_sum(lane[r]);
    }
}

/* Mean and variance without the array: the variance as E x^2 - m^2 is safe in
 * double, and more so because sines and cosines dominate: their mean is small
 * beside their spread. */
static void rows_grid_stats(const real *content, size_t plane, int c, int n,
                            const double *sum, const double *square,
                            double sum0, double square0, int channels,
                            real *mean, real *rstd)
{
    double s[256], q[256], inv = 1.0 / channels;

    for (int at = 0; at < n; at += 256) {
        int len = n - at < 256 ? n - at : 256;

        SIMD
        for (int i = 0; i < len; i++) {
            s[i] = sum[at + i] + sum0;
            q[i] = square[at + i] + square0;
        }
        for (int k = 0; k < c; k++) {
            const real *x = content + (size_t)k * plane + at;

            SIMD
            for (int i = 0; i < len; i++) {
                s[i] += (double)x[i];
                q[i] += (double)x[i] * (double)x[i];
            }
        }
        SIMD
        for (int i = 0; i < len; i++) {
            double m = s[i] * inv, v = q[i] * inv - m * m;

            mean[at + i] = (real)m;
            rstd[at + i] = (real)((v < 0 ? 0 : v) + 1e-5);
        }
        SIMD
        for (int i = 0; i < len; i++)
            rstd[at + i] = 1 / root(rstd[at + i]);
    }
}

/* ---- 8 and 16 bits (lowp.c) ------------------------------------------- */

/* x - x is 0, or NaN where x is NaN or infinite: added up it tells. */
static float rows_peak(const real *x, int n)
{
    real m = 0, bad = 0;

    MAX_OF(m)
    for (int i = 0; i < n; i++) {
        real a = x[i] < 0 ? -x[i] : x[i];

        m = a > m ? a : m;
    }
    SUM(bad)
    for (int i = 0; i < n; i++)
        bad += x[i] - x[i];
    return (float)(m + bad);
}

/* Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the lowest
 * bits; of a NaN there are some bits. */
static void rows_quant(const real *x, int n, float a, uint8_t *restrict q)
{
    SIMD
    for (int i = 0; i < n; i++) {
        union { float f; uint32_t i; } u;
        float v = (float)x[i] * a;

        u.f = v + 12582912.0f;
        q[i] = (uint8_t)(u.i + 128);
    }
}

static void rows_dequant(const int32_t *x, const int32_t *shift,
                         const float *scale, float a, const real *b, int n,
                         real *restrict y)
{
    if (!b) {
        SIMD
        for (int i = 0; i < n; i++)
            y[i] = R((float)(x[i] - shift[i]) * (scale[i] * a));
        return;
    }
    SIMD
    for (int i = 0; i < n; i++)
        y[i] = R((float)(x[i] - shift[i]) * (scale[i] * a)) + b[i];
}

/* The upper half after adding a half of the last place, or one less where the
 * last bit that stays is 0; a carry moves the exponent as it should. */
static inline uint16_t bf16_of(float x)
{
    union { float f; uint32_t i; } u = { x };
    uint32_t r = (u.i + 0x7fff + (u.i >> 16 & 1)) >> 16;

    return (uint16_t)((u.i & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : r);
}

static void rows_narrow(const real *x, int n, real a, uint16_t *restrict y)
{
    SIMD
    for (int i = 0; i < n; i++)
        y[i] = bf16_of((float)(x[i] * a));
}

static real rows_exp_narrow(const float *x, int n, real shift,
                            uint16_t *restrict y)
{
    real s = 0;

    SUM(s)
    for (int i = 0; i < n; i++) {
        real e = exp1(R(x[i]) - shift);

        y[i] = bf16_of((float)e);
        s += e;
    }
    return s;
}

extern const pcv_rows ROWS_TABLE;
const pcv_rows ROWS_TABLE = {
    ROWS_NAME, rows_max, rows_exp_sum, rows_scale, rows_axpy, rows_add,
    rows_dot, rows_center, rows_norm, rows_norm_back, rows_norm_sums,
    rows_gelu, rows_gelu_back, rows_gelu_tanh, rows_gelu_tanh_back,
    rows_soft_back, rows_adam, rows_grid_score, rows_grid_weigh,
    rows_grid_sweep, rows_grid_back, rows_ask_score, rows_outer_add,
    rows_outer_sum, rows_peak, rows_quant, rows_dequant, rows_narrow,
    rows_exp_narrow, rows_grid_stats,
};

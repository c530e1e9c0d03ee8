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

#include "rows_grid.inc.c"

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

/* rows_grid.inc.c - the loops of the structured attend; part of rows.inc.c,
 * whose macros and helpers it uses. */

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

/* resize.c - Pillow's bicubic resizing, integer for integer: checkpoints were
 * trained on its pixels.
 *
 * Each axis on its own, rows first, each pass rounded to 8 bits.  An axis of
 * n samples becomes m: scale = n / m, wide = max(scale, 1); output i looks at
 *
 *     centre = (i + 1/2) scale,   lo = max([centre - 2 wide + 1/2], 0),
 *                                 hi = min([centre + 2 wide + 1/2], n)
 *     weight(x) = cubic((x - centre + 1/2) / wide),  lo <= x < hi,
 *
 * divided by their sum in double, then rounded to 22 bits of fraction.  Pillow
 * 13 may take the columns first; of a square it makes the same square. */
#include "data.h"

#include <math.h>
#include <string.h>

#define FRACTION 22

/* The weights of one axis: output i is the sum of weight[i * taps + k] times
 * sample first[i] + k, for k < count[i]. */
typedef struct {
    int m, taps;
    int *first, *count;         /* m each */
    int32_t *weight;            /* m x taps */
} axis;

/* Keys' cubic with a = -1/2. */
static double cubic(double t)
{
    const double a = -0.5;

    t = fabs(t);
    if (t < 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2)
        return (((t - 5) * t + 8) * t - 4) * a;
    return 0;
}

static void axis_close(axis *a)
{
    pcv_free(a->first);
    pcv_free(a->count);
    pcv_free(a->weight);
}

/* The order of these operations is Pillow's: it decides the last bit of a
 * weight, and that a pixel.  work has room for taps weights. */
static void weigh(axis *a, int i, int n, double *work)
{
    const double scale = (double)n / a->m, wide = scale < 1 ? 1 : scale;
    const double centre = (i + 0.5) * scale, support = 2 * wide;
    const double narrow = 1 / wide;
    const int lo = centre - support + 0.5 < 0 ? 0
                   : (int)(centre - support + 0.5);
    const int hi = centre + support + 0.5 > n ? n
                   : (int)(centre + support + 0.5);
    int32_t *weight = a->weight + (size_t)i * (size_t)a->taps;
    double sum = 0;

    for (int k = 0; k < hi - lo; k++) {
        work[k] = cubic((k + lo - centre + 0.5) * narrow);
        sum += work[k];
    }
    for (int k = 0; k < hi - lo; k++) {
        const double w = (sum != 0 ? work[k] / sum : work[k]) *
                         (1 << FRACTION);

        weight[k] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
    a->first[i] = lo;
    a->count[i] = hi - lo;
}

static int axis_open(axis *a, int n, int m)
{
    const double scale = (double)n / m;
    double *work;
    size_t weights;

    *a = (axis){.m = m, .taps = (int)ceil(scale < 1 ? 2 : 2 * scale) * 2 + 1};
    if (!pcv_mul((size_t)m, (size_t)a->taps, &weights))
        return pcv_fail(EX_OSERR, "resizing %d to %d samples is too large", n,
                        m);
    a->first = pcv_alloc((size_t)m, sizeof *a->first);
    a->count = pcv_alloc((size_t)m, sizeof *a->count);
    a->weight = pcv_alloc(weights, sizeof *a->weight);
    work = pcv_alloc((size_t)a->taps, sizeof *work);
    if (!a->first || !a->count || !a->weight || !work) {
        pcv_free(work);
        axis_close(a);
        return -1;
    }
    for (int i = 0; i < m; i++)
        weigh(a, i, n, work);
    pcv_free(work);
    return 0;
}

static uint8_t clip(int32_t sum)
{
    sum >>= FRACTION;           /* arithmetic: rounds down */
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One row of c channels; c is a constant where this is called, so that the
 * sums are registers. */
static inline void row_across(const axis *a, const uint8_t *in, uint8_t *out,
                              const int c)
{
    for (int i = 0; i < a->m; i++, out += c) {
        const int32_t *weight = a->weight + (size_t)i * (size_t)a->taps;
        const uint8_t *p = in + (size_t)a->first[i] * (size_t)c;
        int32_t sum[4] = {1 << (FRACTION - 1), 1 << (FRACTION - 1),
                          1 << (FRACTION - 1), 1 << (FRACTION - 1)};

        for (int k = 0; k < a->count[i]; k++, p += c)
            for (int ch = 0; ch < c; ch++)
                sum[ch] += weight[k] * p[ch];
        for (int ch = 0; ch < c; ch++)
            out[ch] = clip(sum[ch]);
    }
}

static void pass_across(const axis *a, const uint8_t *in, int h, int w, int c,
                        uint8_t *out)
{
    const size_t from = (size_t)w * (size_t)c, to = (size_t)a->m * (size_t)c;

    for (int y = 0; y < h; y++, in += from, out += to)
        if (c == 1)
            row_across(a, in, out, 1);
        else if (c == 3)
            row_across(a, in, out, 3);
        else
            row_across(a, in, out, c);
}

/* Rows of n bytes; sum has room for n.  Whole rows are added up, which is
 * the order in which they lie in memory. */
static void pass_down(const axis *a, const uint8_t *in, size_t n, int32_t *sum,
                      uint8_t *out)
{
    for (int i = 0; i < a->m; i++, out += n) {
        const int32_t *weight = a->weight + (size_t)i * (size_t)a->taps;
        const uint8_t *row = in + (size_t)a->first[i] * n;

        for (size_t x = 0; x < n; x++)
            sum[x] = 1 << (FRACTION - 1);
        for (int k = 0; k < a->count[i]; k++, row += n)
            for (size_t x = 0; x < n; x++)
                sum[x] += weight[k] * row[x];
        for (size_t x = 0; x < n; x++)
            out[x] = clip(sum[x]);
    }
}

static int resize(const axis *across, const axis *down, const uint8_t *in,
                  int h, int w, int c, uint8_t *out)
{
    const size_t n = (size_t)across->m * (size_t)c;
    uint8_t *middle = pcv_alloc((size_t)h, n);
    int32_t *sum = pcv_alloc(n, sizeof *sum);

    if (middle && sum) {
        pass_across(across, in, h, w, c, middle);
        pass_down(down, middle, n, sum, out);
    }
    pcv_free(sum);
    pcv_free(middle);
    return middle && sum ? 0 : -1;
}

static bool is_size(int n)
{
    return n >= 1 && n <= 65535;
}

int pcv_resize(const uint8_t *in, int h, int w, int c, uint8_t *out, int oh,
               int ow)
{
    axis across, down;
    int result;

    if (!is_size(h) || !is_size(w) || !is_size(oh) || !is_size(ow) || c < 1 ||
        c > 4)
        return pcv_fail(EX_USAGE, "resizing %d x %d pixels of %d channels to "
                        "%d x %d: want sizes of 1 to 65535 and 1 to 4 "
                        "channels", w, h, c, ow, oh);
    if (axis_open(&across, w, ow) != 0)
        return -1;
    if (axis_open(&down, h, oh) != 0) {
        axis_close(&across);
        return -1;
    }
    result = resize(&across, &down, in, h, w, c, out);
    axis_close(&down);
    axis_close(&across);
    return result;
}

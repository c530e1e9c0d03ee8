/* resample.c - a grid of vectors -> a grid of another size, by cubic
 * convolution (R. Keys, 1981) along both axes: how a learned table of
 * positions is stretched to pictures that it was not made for.
 *
 * Place i of m looks at s = (i + 1/2) n / m - 1/2 of n, f = [s], t = s - f:
 *
 *     out(i) = k(t + 1) in(f - 1) + k(t) in(f) + k(1 - t) in(f + 1)
 *              + k(2 - t) in(f + 2)
 *     k(t) = (a + 2) t^3 - (a + 3) t^2 + 1        0 <= t <= 1
 *            a (t^3 - 5 t^2 + 8 t - 4)            1 <= t <= 2
 *
 * with places outside the grid replaced by its edge.  a = -3/4 and no wider
 * kernel for fewer places, as PyTorch's interpolate(mode="bicubic") has it
 * and unlike the pictures' resizing (data/resize.c), which is Pillow's.  The
 * four weights add up to 1; at the same size three of them are 0, so a table
 * comes out as it went in. */
#include "kern.h"

#include <math.h>
#include <string.h>

#define TAPS 4

typedef struct {
    int at[TAPS];
    double weight[TAPS];
} taps;

static double cubic(double t)
{
    const double a = -0.75;

    return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1
                  : a * (((t - 5) * t + 8) * t - 4);
}

static taps look(int i, int n, int m)
{
    const double s = (i + 0.5) * ((double)n / m) - 0.5, f = floor(s);
    taps l;

    for (int k = 0; k < TAPS; k++) {
        const int at = (int)f + k - 1;

        l.at[k] = at < 0 ? 0 : at < n ? at : n - 1;
        l.weight[k] = cubic(fabs(s - f + 1 - k));
    }
    return l;
}

/* out: c numbers, the weighted sum of 16 vectors of the grid. */
static void gather(const real *in, int w, int c, const taps *down,
                   const taps *across, real *out)
{
    const pcv_rows *rows = pcv_rows_get();

    memset(out, 0, (size_t)c * sizeof *out);
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) {
            const size_t place = (size_t)down->at[i] * (size_t)w +
                                 (size_t)across->at[j];

            rows->axpy(out, in + place * (size_t)c, c,
                       (real)(down->weight[i] * across->weight[j]));
        }
}

void pcv_bicubic_grid(const real *in, int h, int w, int c, real *out, int oh,
                      int ow)
{
    for (int y = 0; y < oh; y++) {
        const taps down = look(y, h, oh);

        for (int x = 0; x < ow; x++, out += c) {
            const taps across = look(x, w, ow);

            gather(in, w, c, &down, &across, out);
        }
    }
}

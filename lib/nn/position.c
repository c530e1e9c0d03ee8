/* position.c - Fourier position features (Perceiver 3.2; the channel order is
 * that of the published code: all raw positions, all sines, all cosines).
 *
 *   x_j = linspace(-1, 1, n)            f_k = linspace(1, max_res / 2, K)
 *   [x | sin(pi f_0 x) .. | cos(pi f_0 x) ..]
 *
 * Computed in double and rounded once: arguments reach 48,000 radians for
 * sound, where a float product would be wrong in the third digit. */
#include "nn.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

double pcv_grid_position(int i, int n)
{
    return n > 1 ? -1 + 2 * (double)i / (n - 1) : -1;
}

static double frequency(int kind, int k, int bands, double max_res)
{
    if (kind == PCV_POS_NERF)
        return ldexp(1, k);
    return bands > 1 ? 1 + (max_res / 2 - 1) * k / (bands - 1) : 1;
}

void pcv_fourier_axis(int kind, int bands, double max_res, const double *x,
                      int n, real *out)
{
    for (int i = 0; i < n; i++, out += 2 * bands + 1) {
        out[0] = (real)x[i];
        for (int k = 0; k < bands; k++) {
            double arg = pi * (x[i] * frequency(kind, k, bands, max_res));

            out[1 + k] = (real)sin(arg);
            out[1 + bands + k] = (real)cos(arg);
        }
    }
}

int pcv_fourier_channel(int d, int bands, int a, int col)
{
    if (col == 0)
        return a;
    if (col <= bands)
        return d + a * bands + (col - 1);
    return d + d * bands + a * bands + (col - 1 - bands);
}

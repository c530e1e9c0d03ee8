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

/* ---- a long axis, row by row ------------------------------------------ */

/* Sine and cosine of band k at x. */
static void turn_of(const pcv_line *l, int k, double x, double *sine,
                    double *cosine)
{
    double arg = pi * (x * frequency(l->kind, k, l->bands, l->max_res));

    *sine = sin(arg);
    *cosine = cos(arg);
}

void pcv_line_turns(const pcv_line *l, double *turn)
{
    for (int i = 0; i < PCV_LINE; i++)
        for (int k = 0; k < l->bands; k++, turn += 2)
            turn_of(l, k, l->n > 1 ? 2 * (double)i / (l->n - 1) : 0, turn,
                    turn + 1);
}

/* Bands k .. k+n of `rows` rows, the first of which is row i behind `start`:
 * sin(a + d) = sin a cos d + cos a sin d, cos(a + d) likewise. */
static void piece(const pcv_line *l, int start, int i, int rows, int k, int n,
                  real *sine, real *cosine, int ld)
{
    double s[PCV_LINE], c[PCV_LINE];

    for (int e = 0; e < n; e++)
        turn_of(l, k + e, pcv_grid_position(start, l->n), &s[e], &c[e]);
    for (int j = 0; j < rows; j++, sine += ld, cosine += ld) {
        const double *t = l->turn + 2 * ((size_t)(i + j) * (size_t)l->bands +
                                         (size_t)k);

        for (int e = 0; e < n; e++) {
            sine[k + e] = (real)(s[e] * t[2 * e + 1] + c[e] * t[2 * e]);
            cosine[k + e] = (real)(c[e] * t[2 * e + 1] - s[e] * t[2 * e]);
        }
    }
}

void pcv_line_rows(const pcv_line *l, int at, int n, real *x, real *sine,
                   real *cosine, int ld)
{
    int end = at + n;

    while (at < end) {
        int i = at % PCV_LINE;
        int rows = end - at < PCV_LINE - i ? end - at : PCV_LINE - i;

        for (int k = 0; k < l->bands; k += PCV_LINE)
            piece(l, at - i, i, rows, k,
                  l->bands - k < PCV_LINE ? l->bands - k : PCV_LINE, sine,
                  cosine, ld);
        for (int j = 0; j < rows; j++)
            x[(size_t)j * (size_t)ld] = (real)pcv_grid_position(at + j, l->n);
        x += (size_t)rows * (size_t)ld;
        sine += (size_t)rows * (size_t)ld;
        cosine += (size_t)rows * (size_t)ld;
        at += rows;
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

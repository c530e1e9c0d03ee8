/* loss.c - what training makes small.  Sums in double. */
#include "nn.h"

#include <math.h>
#include <string.h>

void pcv_softmax(double *p, size_t k)
{
    double top = -(double)INFINITY, sum = 0;

    for (size_t i = 0; i < k; i++)
        top = p[i] > top ? p[i] : top;
    for (size_t i = 0; i < k; i++)
        sum += p[i] = exp(p[i] - top);
    for (size_t i = 0; i < k; i++)
        p[i] /= sum;
}

int pcv_largest(const real *x, int k)
{
    int best = 0;

    for (int i = 1; i < k; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* One row: its loss; dy (NULL or k) is set. */
typedef double row_loss(const real *y, const real *t, int k, double scale,
                        real *dy);

static double over_rows(row_loss *loss, const real *y, const real *t, int rows,
                        int k, double scale, real *dy)
{
    double sum = 0;

    for (int r = 0; r < rows; r++, y += k, t += k) {
        if (!isnan(*t))
            sum += loss(y, t, k, scale, dy);
        else if (dy)
            memset(dy, 0, (size_t)k * sizeof *dy);
        dy = dy ? dy + k : NULL;
    }
    return sum;
}

/* sum t (lse - y) with lse = log sum exp y; t sums to one, so that
 * dy = softmax(y) - t. */
static double cross_entropy_row(const real *y, const real *t, int k,
                                double scale, real *dy)
{
    double top = (double)y[pcv_largest(y, k)], sum = 0, lse, loss = 0;

    for (int i = 0; i < k; i++)
        sum += exp((double)y[i] - top);
    lse = top + log(sum);
    for (int i = 0; i < k; i++) {
        loss += (double)t[i] * (lse - (double)y[i]);
        if (dy)
            dy[i] = (real)(scale * (exp((double)y[i] - lse) - (double)t[i]));
    }
    return loss;
}

double pcv_cross_entropy(const real *y, const real *t, int rows, int k,
                         double scale, real *dy)
{
    return over_rows(cross_entropy_row, y, t, rows, k, scale, dy);
}

/* log(1 + e^y) - t y, whose exponential is of what is not positive;
 * dy = s - t. */
static double binary_row(const real *y, const real *t, int k, double scale,
                         real *dy)
{
    double loss = 0;

    for (int i = 0; i < k; i++) {
        double v = (double)y[i], e = exp(-fabs(v));
        double s = (v >= 0 ? 1 : e) / (1 + e);

        loss += log1p(e) + (v > 0 ? v : 0) - (double)t[i] * v;
        if (dy)
            dy[i] = (real)(scale / k * (s - (double)t[i]));
    }
    return loss / k;
}

double pcv_binary_cross_entropy(const real *y, const real *t, int rows, int k,
                                double scale, real *dy)
{
    return over_rows(binary_row, y, t, rows, k, scale, dy);
}

static double squared_row(const real *y, const real *t, int k, double scale,
                          real *dy)
{
    double loss = 0;

    for (int i = 0; i < k; i++) {
        double e = (double)y[i] - (double)t[i];

        loss += e * e;
        if (dy)
            dy[i] = (real)(2 * scale / k * e);
    }
    return loss / k;
}

double pcv_squared_error(const real *y, const real *t, int rows, int k,
                         double scale, real *dy)
{
    return over_rows(squared_row, y, t, rows, k, scale, dy);
}

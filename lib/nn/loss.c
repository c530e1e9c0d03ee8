/* loss.c - what training makes small.  Sums in double. */
#include "nn.h"

#include <math.h>

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

/* log sum exp and the place of the largest */
static double lse_row(const real *x, int k, int *best)
{
    double top = -(double)INFINITY, sum = 0;

    *best = 0;
    for (int i = 0; i < k; i++)
        if ((double)x[i] > top) {
            top = (double)x[i];
            *best = i;
        }
    for (int i = 0; i < k; i++)
        sum += exp((double)x[i] - top);
    return top + log(sum);
}

/* loss = lse - sum_i t_i x_i with t summing to one;
 * dloss/dx = softmax(x) - t. */
double pcv_cross_entropy(const real *logits, const int *label, int rows, int k,
                         double smooth, real *dlogits, int *right)
{
    double loss = 0, low = smooth / k;

    *right = 0;
    for (int r = 0; r < rows; r++) {
        const real *x = logits + (size_t)r * (size_t)k;
        int best;
        double lse = lse_row(x, k, &best), mean = 0;

        for (int i = 0; i < k; i++)
            mean += (double)x[i] * low;
        loss += lse - (1 - smooth) * (double)x[label[r]] - mean;
        *right += best == label[r];
        for (int i = 0; dlogits && i < k; i++) {
            double t = low + (i == label[r] ? 1 - smooth : 0);

            dlogits[(size_t)r * (size_t)k + (size_t)i] =
                (real)((exp((double)x[i] - lse) - t) / rows);
        }
    }
    return loss / rows;
}

double pcv_squared_error(const real *y, const real *target, size_t n, real *dy)
{
    double loss = 0;

    for (size_t i = 0; i < n; i++) {
        double e = (double)y[i] - (double)target[i];

        loss += e * e;
        if (dy)
            dy[i] = (real)(2 * e / (double)n);
    }
    return loss / (double)n;
}

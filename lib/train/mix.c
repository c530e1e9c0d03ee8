/* mix.c - two examples as one: with l drawn from Beta(alpha, alpha)
 *
 *     MixUp (Zhang 2017)   a = l a + (1 - l) b
 *     CutMix (Yun 2019)    a rectangle of a of the same shape as the whole,
 *                          of 1 - l of its area, is b's; what is outside the
 *                          picture is cut off
 *
 * and a's share of the target is what is left of a.
 *
 * Beta is made of two gammas, X / (X + Y).  For the small alphas that are
 * usual these underflow, so they are kept as logarithms:
 * log Gamma(alpha) = log Gamma(alpha + 1) + log(u) / alpha. */
#include "augment.h"

#include <math.h>

enum { BOX = 2048 };            /* numbers behind those of draw_beta */

/* Logarithm of a gamma variable of shape alpha: Marsaglia and Tsang's method
 * for alpha + 1, which takes 95 % and more of what it draws.  Try k has
 * numbers first + 4k and the three behind it. */
static double log_gamma(const pcv_change *c, uint64_t first, double alpha)
{
    const double d = alpha + 2.0 / 3, w = 1 / sqrt(9 * d);

    for (uint64_t at = first;; at += 4) {
        const double x = pcv_normal(c->seed, c->stream, at / 2);
        const double v = (1 + w * x) * (1 + w * x) * (1 + w * x);

        if (v > 0 && log(1 - pcv_draw(c, at + 2)) <
                         x * x / 2 + d - d * v + d * log(v))
            return log(d * v) + log(1 - pcv_draw(c, at + 3)) / alpha;
    }
}

double pcv_draw_beta(const pcv_change *c, double alpha)
{
    const double x = log_gamma(c, 0, alpha);

    return 1 / (1 + exp(log_gamma(c, BOX / 2, alpha) - x));
}

double pcv_mix_up(const pcv_change *c, pcv_array *a, const pcv_array *b)
{
    const float share = (float)pcv_draw_beta(c, c->run->mixup);
    const size_t n = pcv_array_count(a);
    const float *from = b->data;
    float *v = a->data;

    for (size_t i = 0; i < n; i++)
        v[i] = share * v[i] + (1 - share) * from[i];
    return (double)share;
}

/* The pixels lo .. hi of n that a stretch of `side` about a random centre
 * covers. */
static void stretch(const pcv_change *c, uint64_t at, int n, double side,
                    int *lo, int *hi)
{
    const int size = (int)(n * side);

    *lo = pcv_draw_int(c, at, 0, n - 1) - size / 2;
    *hi = *lo + size;
    *lo = *lo < 0 ? 0 : *lo;
    *hi = *hi > n ? n : *hi;
}

double pcv_cut_mix(const pcv_change *c, pcv_array *a, const pcv_array *b)
{
    const double side = sqrt(1 - pcv_draw_beta(c, c->run->cutmix));
    const pcv_planes p = pcv_planes_of(a), q = pcv_planes_of(b);
    int top, bottom, left, right;

    stretch(c, BOX, p.h, side, &top, &bottom);
    stretch(c, BOX + 1, p.w, side, &left, &right);
    for (int k = 0; k < p.planes; k++)
        for (int i = top; i < bottom; i++)
            for (int e = left; e < right; e++) {
                const size_t at = ((size_t)k * (size_t)p.h + (size_t)i) *
                                      (size_t)p.w + (size_t)e;

                p.v[at] = q.v[at];
            }
    return 1 - (double)(bottom - top) * (right - left) / p.h / p.w;
}

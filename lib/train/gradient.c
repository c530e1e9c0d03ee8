/* gradient.c - is the gradient that backward makes the one that forward has?
 *
 * For each tensor w with gradient g the loss L is taken at four points along a
 * direction d of length 1: g itself, g without a random half of its elements
 * (twice), its largest element alone, and random signs, which g knows nothing
 * of.  By Richardson's extrapolation
 *
 *     [8 (L(w + hd/2) - L(w - hd/2)) - (L(w + hd) - L(w - hd))] / 3
 *
 * is 2h d.g but for terms of h^5, and the same sum of g . (what w really moved
 * by) takes the rounding of w + hd out of the comparison.  h is such that L
 * changes by a small part of itself, so that the rounding of L stands back;
 * where that would move w far, h is smaller, and a derivative that drowns in
 * the rounding then is held to no more than that. */
#include "train.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SHORTER = 3 };
enum { WHOLE, HALF, OTHER_HALF, LARGEST, SIGNS, DIRECTIONS };

static const bool in_double = sizeof(real) == sizeof(double);

typedef struct {
    const pcv_gradient_how *how;
    pcv_param *p;
    const real *kept;           /* the weights as they were */
    real *d;                    /* direction, of length 1 */
    double loss;                /* where they are */
    uint64_t seed;
} line;

double pcv_gradient_bound(void)
{
    return in_double ? 1e-6 : 1e-2;
}

/* ---- directions ------------------------------------------------------ */

static size_t largest(const pcv_param *p)
{
    size_t at = 0;

    for (size_t i = 1; i < p->count; i++)
        if (fabs((double)p->g[i]) > fabs((double)p->g[at]))
            at = i;
    return at;
}

static double length(const real *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static double component(const line *l, int which, size_t i, size_t one)
{
    bool toss = pcv_uniform(l->seed, (uint64_t)which, i) < 0.5;
    double g = (double)l->p->g[i];

    return which == SIGNS ? toss ? 1 : -1
           : which == WHOLE || (which == LARGEST ? i == one : toss) ? g : 0;
}

/* False: the gradient has no such direction. */
static bool choose(const line *l, int which)
{
    size_t n = l->p->count, one = largest(l->p);
    double norm;

    for (size_t i = 0; i < n; i++)
        l->d[i] = (real)component(l, which, i, one);
    norm = length(l->d, n);
    for (size_t i = 0; i < n; i++)
        l->d[i] = norm > 0 ? (real)((double)l->d[i] / norm) : 0;
    return norm > 0;
}

/* ---- along one ------------------------------------------------------- */

/* Along d; at least what is to be expected of a random direction. */
static double slope_of(const line *l)
{
    const pcv_param *p = l->p;
    double slope = 0;

    for (size_t i = 0; i < p->count; i++)
        slope += (double)p->g[i] * (double)l->d[i];
    return fmax(fabs(slope), length(p->g, p->count) / sqrt((double)p->count));
}

static double step_of(const line *l, double slope)
{
    double root = sqrt((double)l->p->count);
    double change = (in_double ? 1e-3 : 2e-2) * l->loss;
    double most = 0.05 * fmax(length(l->kept, l->p->count), 0.02 * root);

    return slope * most > change ? change / slope : most;
}

/* Loss at w + hd; *moved: g . what w moved by. */
static double at(const line *l, double h, double *moved)
{
    pcv_param *p = l->p;
    double loss;

    *moved = 0;
    for (size_t i = 0; i < p->count; i++) {
        p->w[i] = (real)((double)l->kept[i] + h * (double)l->d[i]);
        *moved += (double)p->g[i] * ((double)p->w[i] - (double)l->kept[i]);
    }
    loss = l->how->loss(l->how->arg);
    memcpy(p->w, l->kept, p->count * sizeof *p->w);
    return loss;
}

/* Both derivatives times 2h. */
static void differences(const line *l, double h, double *by_loss,
                        double *by_gradient)
{
    double up, down, far_up, far_down;
    double loss = 8 * (at(l, h / 2, &up) - at(l, -h / 2, &down)) -
                  (at(l, h, &far_up) - at(l, -h, &far_down));

    *by_loss = loss / 3;
    *by_gradient = (8 * (up - down) - (far_up - far_down)) / 3;
}

/* The least difference that is no rounding, by which errors are kept within the
 * bound. */
static double told(const line *l)
{
    return 8 * (in_double ? DBL_EPSILON : (double)FLT_EPSILON) * l->loss /
           pcv_gradient_bound();
}

static double error_at(const line *l, double h, double slope, double *off)
{
    double by_loss, by_gradient, size;

    differences(l, h, &by_loss, &by_gradient);
    size = fmax(fmax(fabs(by_loss), fabs(by_gradient)), 2 * h * slope);
    *off = fabs(by_loss - by_gradient);
    return *off / fmax(size, told(l));
}

/* Relative to the derivative, or to what can be told from rounding.  Where the
 * loss is so curved that the steps are too long they are shortened: what a
 * wrong gradient is off by goes down with h, what the steps do faster by far.
 * That counts where the derivative itself can no longer be told (*small). */
static double error_along(const line *l, bool *small)
{
    double slope = slope_of(l), h = step_of(l, slope), off, before;
    double error = error_at(l, h, slope, &off);

    *small = 2 * h * slope < told(l);
    while (error > pcv_gradient_bound() / 10 &&
           2 * h * slope >= told(l) / 10) {
        bool tells = 2 * (h / SHORTER) * slope >= told(l);
        double e;

        before = off;
        e = error_at(l, h /= SHORTER, slope, &off);
        if (!tells && off > before / (2 * SHORTER))
            break;
        error = e < error ? e : error;
        *small |= !tells;
    }
    return error;
}

/* ---- all tensors ----------------------------------------------------- */

static void check_tensor(const line *l, pcv_gradient_row *row)
{
    *row = (pcv_gradient_row){ .name = l->p->name, .count = l->p->count,
                               .norm = length(l->p->g, l->p->count),
                               .small = true };
    for (int k = 0; k < DIRECTIONS; k++) {
        bool small;
        double e = choose(l, k) ? error_along(l, &small) : (small = true, 0);

        row->small &= small;
        if (!(e <= row->error))         /* or NaN */
            row->error = e;
    }
}

int pcv_gradient_check(pcv_params *p, const pcv_gradient_how *how)
{
    real *kept = pcv_alloc(p->total, sizeof *kept);
    real *d = pcv_alloc(p->total, sizeof *d);
    int bad = 0;

    for (int i = 0; kept && d && i < p->count; i++) {
        line l = { how, p->param[i], kept, d, how->loss(how->arg),
                   how->seed + (uint64_t)i };
        pcv_gradient_row row;

        if (!l.p->g)
            continue;
        memcpy(kept, l.p->w, l.p->count * sizeof *kept);
        check_tensor(&l, &row);
        bad |= !(row.error <= pcv_gradient_bound());
        how->tell(how->to, &row);
    }
    bad = kept && d ? bad : -1;
    pcv_free(kept);
    pcv_free(d);
    return bad;
}

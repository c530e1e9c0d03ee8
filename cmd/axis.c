/* axis.c - round numbers along an axis, see curves.h. */
#include "curves.h"

#include <math.h>

static const double ratios_from = 50;   /* highest over lowest value */

/* The round number (1, 2 or 5 times a power of ten) of at least v > 0. */
static double round_up(double v)
{
    double power = pow(10, floor(log10(v)));
    static const double digit[] = { 1, 2, 5, 10 };
    int k = 0;

    while (k < 3 && digit[k] * power < v * (1 - 1e-9))
        k++;
    return digit[k] * power;
}

static void add_tick(axis *a, double v)
{
    if (a->ticks < AXIS_TICKS)
        a->tick[a->ticks++] = v;
}

static void even(axis *a, double lo, double hi, int most)
{
    double step, first;

    if (!(hi - lo > 1e-9 * fmax(fabs(hi), fabs(lo)))) {     /* one value */
        double room = fabs(hi) > 0 ? fabs(hi) / 10 : 1;

        lo -= room;
        hi += room;
    }
    step = round_up((hi - lo) / (most > 2 ? most - 1 : 1));
    first = floor(lo / step + 1e-9);
    a->ticks = 0;
    for (double k = first; (k - 1) * step < hi - 1e-9 * step; k++)
        add_tick(a, k * step);
    a->from = a->tick[0];
    a->to = a->tick[a->ticks - 1];
}

/* Powers of ten; where they are few, 2 and 5 times as well. */
static void by_ratios(axis *a, double lo, double hi, int most)
{
    static const double digit[] = { 1, 2, 5 };
    double decades = log10(hi / lo);
    int each = decades < 3 && most >= 5 ? 3 : 1;
    int power = (int)floor(log10(lo) + 1e-9);
    int leap = 1 + (int)(decades / (most > 2 ? most : 2));

    a->log = true;
    a->ticks = 0;
    for (int k = 0; a->ticks == 0 || a->tick[a->ticks - 1] < hi * (1 - 1e-9);
         k++) {
        double tick = digit[k % each] * pow(10, power + k / each * leap);
        double next = digit[(k + 1) % each] *
                      pow(10, power + (k + 1) / each * leap);

        if (a->ticks == AXIS_TICKS)
            break;
        if (a->ticks || next > lo * (1 + 1e-9))
            add_tick(a, tick);
    }
    a->from = a->tick[0];
    a->to = fmax(hi, a->tick[a->ticks - 1]);
}

void axis_around(axis *a, double lo, double hi, int most, bool ratios)
{
    *a = (axis){0};
    most = most > AXIS_TICKS - 3 ? AXIS_TICKS - 3 : most;
    if (ratios && lo > 0 && hi / lo > ratios_from)
        by_ratios(a, lo, hi, most);
    else
        even(a, lo, hi, most);
}

void axis_upto(axis *a, double to, int most)
{
    *a = (axis){ .to = to > 0 ? to : 1 };
    even(a, 0, a->to, most > AXIS_TICKS - 3 ? AXIS_TICKS - 3 : most);
    a->to = to > 0 ? to : 1;
    while (a->ticks > 1 && a->tick[a->ticks - 1] > a->to * (1 + 1e-9))
        a->ticks--;
}

double axis_place(const axis *a, double v)
{
    if (a->log)
        return log(v / a->from) / log(a->to / a->from);
    return (v - a->from) / (a->to - a->from);
}

/* ---- words ----------------------------------------------------------- */

/* Digits behind the point that tell the ticks apart. */
static int digits_of(const axis *a)
{
    double step = a->ticks > 1 ? a->tick[1] - a->tick[0] : 1;
    int n = (int)ceil(-log10(step) - 1e-9);

    return n < 0 ? 0 : n;
}

void axis_label(const axis *a, double v, pcv_bytes *b)
{
    double large = fmax(fabs(a->from), fabs(a->to));
    int digits = digits_of(a);

    if (!a->log && large >= 1e6 && large < 1e12)
        pcv_bytes_printf(b, "%gM", v / 1e6);
    else if (a->log || digits > 4 || large >= 1e6)
        pcv_bytes_printf(b, "%g", v);
    else
        pcv_bytes_printf(b, "%.*f", digits, v + 0.0);
}

/* ---- of a curve ------------------------------------------------------ */

static void reach(const history_bin *bins, size_t n, double *lo, double *hi)
{
    for (size_t i = 0; i < n; i++) {
        double v = bins[i].count ? history_mean(&bins[i]) : (double)NAN;

        *lo = v < *lo ? v : *lo;
        *hi = v > *hi ? v : *hi;
    }
}

void axis_of(axis *a, const history *h, int kind, int most)
{
    double lo = (double)INFINITY, hi = -(double)INFINITY;

    reach(h->trained[kind], h->columns, &lo, &hi);
    reach(h->heldout[kind], h->columns, &lo, &hi);
    axis_around(a, lo, hi, most, kind == HISTORY_LOSS);
}

/* schedule.c - the learning rate of a step. */
#include "train.h"

#include <math.h>

/* The first Perceiver's steps: divided by 10 at 70, 85 and 95 % of the run
 * (epochs 84, 102, 114 of 120). */
static double stairs(double t)
{
    return t < 0.7 ? 1 : t < 0.85 ? 0.1 : t < 0.95 ? 0.01 : 0.001;
}

double pcv_learning_rate(const pcv_run_spec *r, uint64_t step, uint64_t steps)
{
    uint64_t warm = (uint64_t)r->warmup;
    double t;

    if (step < warm)
        return r->lr * (double)(step + 1) / (double)warm;
    t = steps > warm ? (double)(step - warm) / (double)(steps - warm) : 1;
    t = t > 1 ? 1 : t;
    if (r->schedule == PCV_STEP)
        return r->lr * stairs(t);
    if (r->schedule == PCV_CONSTANT)
        return r->lr;
    return r->lr * (r->final + (1 - r->final) *
                    0.5 * (1 + cos(3.14159265358979323846 * t)));
}

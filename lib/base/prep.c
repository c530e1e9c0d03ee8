/* prep.c - what follows from how a file is prepared: the network is built for
 * it, and the data are made so. */
#include "base.h"

#include <math.h>

static size_t samples_of(const pcv_prep *p, double ms)
{
    return (size_t)lround(ms * p->rate / 1000);
}

size_t pcv_prep_window(const pcv_prep *p)
{
    return samples_of(p, p->mel_window);
}

size_t pcv_prep_step(const pcv_prep *p)
{
    return samples_of(p, p->mel_step);
}

size_t pcv_prep_frames(const pcv_prep *p, size_t n)
{
    const size_t window = pcv_prep_window(p), step = pcv_prep_step(p);

    return n <= window ? 1 : 1 + (n - window + step - 1) / step;
}

/* sounds.c - augmentation of sound in place: F32 [samples], or log-mel F32
 * [frames][bands], of which SpecAugment (Park 2019) blanks stretches of time
 * and of frequency with the mean of the array. */
#include "augment.h"

#include <math.h>

/* Silence comes in. */
int pcv_delay_sound(const pcv_change *c, pcv_array *x)
{
    const int n = (int)x->dim[0];
    const int d = pcv_draw_int(c, 0, -c->run->delay, c->run->delay);
    float *out = pcv_alloc((size_t)n, sizeof *out);
    const float *in = x->data;

    if (!out)
        return -1;
    for (int i = 0; i < n; i++)
        out[i] = i - d >= 0 && i - d < n ? in[i - d] : 0;
    pcv_free(x->data);
    x->data = out;
    return 0;
}

int pcv_gain_sound(const pcv_change *c, pcv_array *x)
{
    const double most = c->run->gain;
    const float g = (float)pow(10, pcv_draw_in(c, 0, -most, most) / 20);
    float *v = x->data;

    for (size_t i = 0; i < x->dim[0]; i++)
        v[i] *= g;
    return 0;
}

static float mean_of(const pcv_array *x)
{
    const size_t n = pcv_array_count(x);
    const float *v = x->data;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i];
    return n ? (float)(sum / (double)n) : 0;
}

/* `masks` stretches along an axis, each of 0 to `most` of its n elements;
 * numbers 2k and 2k + 1 are the length and the place of stretch k. */
static void mask(const pcv_change *c, pcv_array *x, int axis, int masks,
                 int most)
{
    const int n = (int)x->dim[axis];
    const size_t bands = x->dim[1];
    const float fill = mean_of(x);
    float *v = x->data;

    for (int k = 0; k < masks; k++) {
        const uint64_t at = 2 * (uint64_t)k;
        const int size = pcv_draw_int(c, at, 0, most < n ? most : n);
        const size_t from = (size_t)pcv_draw_int(c, at + 1, 0, n - size);
        const size_t to = from + (size_t)size;
        const size_t first[2] = { axis == 0 ? from : 0, axis == 1 ? from : 0 };

        for (size_t i = first[0]; i < (axis == 0 ? to : x->dim[0]); i++)
            for (size_t e = first[1]; e < (axis == 1 ? to : bands); e++)
                v[i * bands + e] = fill;
    }
}

int pcv_mask_time(const pcv_change *c, pcv_array *x)
{
    mask(c, x, 0, c->run->time_masks, c->run->time_mask);
    return 0;
}

int pcv_mask_frequency(const pcv_change *c, pcv_array *x)
{
    mask(c, x, 1, c->run->frequency_masks, c->run->frequency_mask);
    return 0;
}

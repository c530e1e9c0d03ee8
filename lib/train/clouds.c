/* clouds.c - augmentation of point sets in place: F32 [n][channels], of which
 * the first three are coordinates (tokens/points.c).  What is in the others,
 * such as normals, is left as it is. */
#include "augment.h"

#include <math.h>
#include <string.h>

enum { AXES = 3 };

/* A share of the points, rounded down, goes; the others keep their order and
 * one is always left (the share is below 1).  Selection sampling: of `left`
 * points still to come `keep` are taken, each with the same chance. */
int pcv_drop_points(const pcv_change *c, pcv_array *x)
{
    const size_t n = x->dim[0], columns = x->dim[1];
    size_t keep = n - (size_t)(c->run->drop_points * (double)n), at = 0;
    float *v = x->data;

    x->dim[0] = keep;
    for (size_t i = 0; i < n && keep > 0; i++) {
        if (pcv_draw(c, i) * (double)(n - i) >= (double)keep)
            continue;
        memmove(v + at++ * columns, v + i * columns, columns * sizeof *v);
        keep--;
    }
    return 0;
}

int pcv_scale_points(const pcv_change *c, pcv_array *x)
{
    const double most = c->run->scale;
    const float factor = (float)pcv_draw_in(c, 0, 1 - most, 1 + most);
    float *v = x->data;

    for (size_t i = 0; i < x->dim[0]; i++, v += x->dim[1])
        for (int a = 0; a < AXES; a++)
            v[a] *= factor;
    return 0;
}

/* About the third axis, which stands for up. */
int pcv_rotate_points(const pcv_change *c, pcv_array *x)
{
    const double most = c->run->rotate * 3.14159265358979323846 / 180;
    const double a = pcv_draw_in(c, 0, -most, most);
    const double cosine = cos(a), sine = sin(a);
    float *v = x->data;

    for (size_t i = 0; i < x->dim[0]; i++, v += x->dim[1]) {
        const double p = (double)v[0], q = (double)v[1];

        v[0] = (float)(cosine * p - sine * q);
        v[1] = (float)(sine * p + cosine * q);
    }
    return 0;
}

int pcv_jitter_points(const pcv_change *c, pcv_array *x)
{
    float *v = x->data;
    uint64_t at = 0;

    for (size_t i = 0; i < x->dim[0]; i++, v += x->dim[1])
        for (int a = 0; a < AXES; a++)
            v[a] += (float)(c->run->jitter *
                            pcv_normal(c->seed, c->stream, at++));
    return 0;
}

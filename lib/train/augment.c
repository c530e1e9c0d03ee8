/* augment.c - examples as they might have been. */
#include "train.h"

#include <math.h>

typedef struct {
    const pcv_run_spec *r;
    uint64_t stream;
} augment_job;

/* Uniform in -most .. most. */
static int offset(const augment_job *j, uint64_t which, int most)
{
    double u = pcv_uniform((uint64_t)j->r->seed + 7919,
                           j->stream, which);

    return (int)(u * (2 * most + 1)) - most;
}

static int clamp(int v, int n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

/* Moves a picture; what comes in from outside repeats the edge. */
static int shift_image(pcv_array *x, int dy, int dx)
{
    int c = (int)x->dim[0], h = (int)x->dim[1], w = (int)x->dim[2];
    float *out = pcv_alloc(pcv_array_count(x), sizeof *out);
    const float *in = x->data;

    if (!out)
        return -1;
    for (int k = 0; k < c; k++)
        for (int i = 0; i < h; i++)
            for (int e = 0; e < w; e++)
                out[(k * h + i) * w + e] =
                    in[(k * h + clamp(i - dy, h)) * w + clamp(e - dx, w)];
    pcv_free(x->data);
    x->data = out;
    return 0;
}

/* Moves sound; silence comes in. */
static int shift_sound(pcv_array *x, int d)
{
    int n = (int)x->dim[0];
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

static void add_noise(const augment_job *j, pcv_array *x)
{
    float *v = x->data;
    size_t n = pcv_array_count(x);
    uint64_t stream = j->stream * 2 + 1;

    for (size_t i = 0; i < n; i++)
        v[i] += (float)(j->r->noise *
                        pcv_normal((uint64_t)j->r->seed + 104729, stream, i));
}

int pcv_augment(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
                pcv_array *x)
{
    const augment_job job = { r, stream }, *j = &job;
    int modality = prep->modality;

    if (x->dtype != PCV_F32)
        return 0;
    if (r->shift && modality == PCV_IMAGE &&
        shift_image(x, offset(j, 0, r->shift),
                    offset(j, 1, r->shift)) < 0)
        return -1;
    if (r->shift && modality == PCV_SOUND &&
        shift_sound(x, offset(j, 0, r->shift)) < 0)
        return -1;
    if (r->gain > 0 && modality == PCV_SOUND) {
        double u = pcv_uniform((uint64_t)r->seed + 7919,
                               stream, 2);
        float g = (float)pow(10, (2 * u - 1) * r->gain / 20);
        float *v = x->data;

        for (size_t i = 0; i < x->dim[0]; i++)
            v[i] *= g;
    }
    if (r->noise > 0)
        add_noise(j, x);
    return 0;
}

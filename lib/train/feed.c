/* feed.c - examples of a batch, prepared in parallel and augmented from the
 * counter generator: which example a step sees, and how it is moved, is a
 * function of (seed, step, place in the batch). */
#include "train.h"

#include <math.h>
#include <string.h>

typedef struct {
    const pcv_split *s;
    const pcv_prep *prep;
    const uint32_t *order;
    const pcv_run_spec *r;
    uint64_t step;
    pcv_array *x;
    int *label;
    char **what;                /* message of each example that failed */
    int *code;
} feed_job;

/* Uniform in -most .. most. */
static int offset(const feed_job *j, int item, uint64_t which, int most)
{
    double u = pcv_uniform((uint64_t)j->r->seed + 7919,
                           j->step * 65536 + (uint64_t)item, which);

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

static void add_noise(const feed_job *j, int item, pcv_array *x)
{
    float *v = x->data;
    size_t n = pcv_array_count(x);
    uint64_t stream = (j->step * 65536 + (uint64_t)item) * 2 + 1;

    for (size_t i = 0; i < n; i++)
        v[i] += (float)(j->r->noise *
                        pcv_normal((uint64_t)j->r->seed + 104729, stream, i));
}

static int augment(const feed_job *j, int item, pcv_array *x)
{
    const pcv_run_spec *r = j->r;
    int modality = j->prep->modality;

    if (x->dtype != PCV_F32)
        return 0;
    if (r->shift && modality == PCV_IMAGE &&
        shift_image(x, offset(j, item, 0, r->shift),
                    offset(j, item, 1, r->shift)) < 0)
        return -1;
    if (r->shift && modality == PCV_SOUND &&
        shift_sound(x, offset(j, item, 0, r->shift)) < 0)
        return -1;
    if (r->gain > 0 && modality == PCV_SOUND) {
        double u = pcv_uniform((uint64_t)r->seed + 7919,
                               j->step * 65536 + (uint64_t)item, 2);
        float g = (float)pow(10, (2 * u - 1) * r->gain / 20);
        float *v = x->data;

        for (size_t i = 0; i < x->dim[0]; i++)
            v[i] *= g;
    }
    if (r->noise > 0)
        add_noise(j, item, x);
    return 0;
}

static int make(const feed_job *j, int i)
{
    pcv_dataset *d = j->s->data;
    size_t k = j->s->which[j->order[i]];
    const pcv_media *m = pcv_dataset_get(d, k);

    if (!m || pcv_prepare(j->prep, m, pcv_dataset_name(d, k), &j->x[i]) < 0)
        return -1;
    j->label[i] = pcv_dataset_class(d, k);
    return j->r ? augment(j, i, &j->x[i]) : 0;
}

/* Messages are kept per thread, so a failing example carries its own. */
static void make_one(void *arg, int i)
{
    const feed_job *j = arg;

    if (make(j, i) == 0)
        return;
    j->code[i] = pcv_error_code();
    j->what[i] = pcv_strdup(pcv_error());
    pcv_error_clear();
}

int pcv_feed(const pcv_split *s, const pcv_prep *prep, const uint32_t *order,
             int items, const pcv_run_spec *r, uint64_t step, pcv_array *x,
             int *label)
{
    feed_job j = { s, prep, order, r, step, x, label, NULL, NULL };
    int bad = 0;

    memset(x, 0, (size_t)items * sizeof *x);
    j.what = pcv_alloc((size_t)items, sizeof *j.what);
    j.code = pcv_alloc((size_t)items, sizeof *j.code);
    if (!j.what || !j.code) {
        pcv_free(j.what);
        pcv_free(j.code);
        return -1;
    }
    pcv_parallel(items, make_one, &j);
    for (int i = 0; i < items; i++) {
        if (j.code[i]) {
            pcv_fail(j.code[i], "%s", j.what[i] ? j.what[i] : "out of memory");
            bad = -1;
        }
        pcv_free(j.what[i]);
    }
    pcv_free(j.what);
    pcv_free(j.code);
    for (int i = 0; bad && i < items; i++)
        pcv_array_free(&x[i]);
    return bad;
}

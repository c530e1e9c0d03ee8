/* feed.c - examples of a batch, prepared in parallel and augmented from the
 * counter generator: which example a step sees, and how it is moved, is a
 * function of (seed, step, place in the batch). */
#include "train.h"

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

static int make(const feed_job *j, int i)
{
    pcv_dataset *d = j->s->data;
    size_t k = j->s->which[j->order[i]];
    const pcv_media *m = pcv_dataset_get(d, k);

    if (!m || pcv_prepare(j->prep, m, pcv_dataset_name(d, k), &j->x[i]) < 0)
        return -1;
    j->label[i] = pcv_dataset_class(d, k);
    return j->r ? pcv_augment(j->r, j->prep, j->step * 65536 + (uint64_t)i,
                              &j->x[i])
                : 0;
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

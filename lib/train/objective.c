/* objective.c - what the outputs should have been: a class each, or the input
 * at the points that were asked for. */
#include "train.h"

#include <math.h>
#include <string.h>

/* Channel k of element q of a prepared input (0 past the end of sound). */
static real value_at(const pcv_spec *s, const pcv_array *x, size_t q, size_t k)
{
    const float *v = x->data;
    size_t i;

    if (s->prep.modality == PCV_IMAGE)
        return (real)v[k * x->dim[1] * x->dim[2] + q];
    i = q * (size_t)s->outputs + k;
    return i < pcv_array_count(x) ? (real)v[i] : 0;
}

void pcv_target_values(const pcv_net *n, const pcv_array *x, int items,
                       pcv_target *t)
{
    size_t k = (size_t)n->spec.outputs, asked = (size_t)t->asked;

    for (size_t b = 0; b < (size_t)items; b++)
        for (size_t q = 0; q < asked; q++)
            for (size_t c = 0; c < k; c++)
                t->target[(b * asked + q) * k + c] =
                    value_at(&n->spec, &x[b],
                             t->index ? (size_t)t->index[q] : q, c);
}

double pcv_objective(pcv_session *s, const pcv_target *t, double smoothing,
                     bool gradient, int *right)
{
    const pcv_spec *spec = &s->net->spec;
    real *dout = gradient ? s->dout : NULL;

    *right = 0;
    if (spec->task == PCV_CLASSIFY)
        return pcv_cross_entropy(s->out, t->label, s->items, spec->outputs,
                                 smoothing, dout, right);
    return pcv_squared_error(s->out, t->target, (size_t)s->items *
                             (size_t)t->asked * (size_t)spec->outputs, dout);
}

/* ---- a whole split --------------------------------------------------- */

enum { BATCH = 64, QUERIES = 65536 };   /* at once, at most */

typedef struct {
    pcv_session s;
    pcv_array x[BATCH];
    int label[BATCH];
    uint32_t order[BATCH];
    pcv_target t;
    double loss;
    long right;
} evaluation;

static int evaluate_batch(evaluation *e, const pcv_split *s, uint32_t at,
                          int n)
{
    const pcv_net *net = e->s.net;
    const pcv_pass pass = {0};
    const pcv_array *x[BATCH];
    int right, r;

    for (int i = 0; i < n; i++) {
        e->order[i] = at + (uint32_t)i;
        x[i] = &e->x[i];
    }
    if (pcv_feed(s, &net->spec.prep, e->order, n, NULL, 0, e->x, e->label) < 0)
        return -1;
    r = pcv_session_bind(&e->s, x, n);
    if (r == 0) {
        pcv_session_encode(&e->s, &pass);
        pcv_session_decode(&e->s, &pass, 0, NULL, e->t.asked);
        if (e->t.target)
            pcv_target_values(net, e->x, n, &e->t);
        e->loss += n * pcv_objective(&e->s, &e->t, 0, false, &right);
        e->right += right;
    }
    for (int i = 0; i < n; i++)
        pcv_array_free(&e->x[i]);
    return r;
}

/* Items at a time: answers to all queries of many pictures are large. */
static uint32_t batch_of(int asked)
{
    int n = QUERIES / asked;

    return (uint32_t)(n < 1 ? 1 : n > BATCH ? BATCH : n);
}

int pcv_training_evaluate(const pcv_net *n, const pcv_split *s, double *loss,
                          double *accuracy)
{
    evaluation *e = pcv_alloc(1, sizeof *e);
    uint32_t most;
    int r = 0;

    if (!e)
        return -1;
    e->t.asked = n->answer[0].n;
    most = batch_of(e->t.asked);
    e->t.label = e->label;
    if (n->spec.task == PCV_RECONSTRUCT &&
        !(e->t.target = pcv_alloc((size_t)most * (size_t)e->t.asked,
                                  (size_t)n->spec.outputs * sizeof(real))))
        r = -1;
    pcv_session_open(&e->s, n, false, e->t.asked);
    for (uint32_t at = 0, len; r == 0 && at < s->count; at += len) {
        len = s->count - at < most ? s->count - at : most;
        r = evaluate_batch(e, s, at, (int)len);
    }
    *loss = s->count ? e->loss / s->count : (double)NAN;
    *accuracy = n->spec.task == PCV_CLASSIFY && s->count
                    ? (double)e->right / s->count : (double)NAN;
    pcv_session_close(&e->s);
    pcv_free(e->t.target);
    pcv_free(e);
    return r;
}

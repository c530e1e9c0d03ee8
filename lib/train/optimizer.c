/* optimizer.c - AdamW (Loshchilov & Hutter) and LAMB (You et al.), one loop.
 *
 *   m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
 *   u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + wd w
 *   AdamW  w -= lr u
 *   LAMB   w -= lr |w| / |u| u       (1 where either norm is 0), per tensor
 *
 * Decay leaves biases and norms alone; latents and position tables are
 * decayed, as in Perceiver IO's code. */
#include "train.h"

#include <math.h>

int pcv_moments_open(pcv_moments *o, const pcv_params *p)
{
    *o = (pcv_moments){0};
    o->m = pcv_alloc(p->total, sizeof(real));
    o->v = pcv_alloc(p->total, sizeof(real));
    o->u = pcv_alloc(p->total, sizeof(real));
    if (o->m && o->v && o->u)
        return 0;
    pcv_moments_close(o);
    return -1;
}

void pcv_moments_close(pcv_moments *o)
{
    pcv_free(o->m);
    pcv_free(o->v);
    pcv_free(o->u);
    *o = (pcv_moments){0};
}

static double norm(const real *x, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += (double)x[i] * (double)x[i];
    return sqrt(s);
}

double pcv_gradient_norm(const pcv_params *p)
{
    return norm(p->g, p->total);
}

typedef struct {
    pcv_moments *o;
    const pcv_run_spec *r;
    pcv_params *p;
    double lr, gscale, c1, c2;
} update_job;

static double trust(const real *w, const real *u, size_t n)
{
    double a = norm(w, n), b = norm(u, n);

    return a > 0 && b > 0 ? a / b : 1;
}

static void update(void *arg, int i)
{
    const update_job *j = arg;
    const pcv_run_spec *r = j->r;
    const pcv_param *q = j->p->param[i];
    const pcv_rows *k = pcv_rows_get();
    size_t at = (size_t)(q->w - j->p->w);
    real *u = j->o->u + at;
    int n = (int)q->count;
    double rate = j->lr;

    if (!q->g)                  /* frozen */
        return;
    k->adam(q->g, n, (real)j->gscale, j->o->m + at, j->o->v + at,
            (real)r->beta1, (real)r->beta2, (real)j->c1, (real)j->c2,
            (real)r->eps, q->decay ? (real)r->weight_decay : 0, q->w, u);
    if (r->optimizer == PCV_LAMB)
        rate *= trust(q->w, u, q->count);
    k->axpy(q->w, u, n, (real)-rate);
}

void pcv_optimize(pcv_moments *o, const pcv_run_spec *r, pcv_params *p,
                  uint64_t step, double lr, double gscale)
{
    update_job j = { o, r, p, lr, gscale,
                     1 / (1 - pow(r->beta1, (double)step)),
                     1 / (1 - pow(r->beta2, (double)step)) };

    pcv_parallel(p->count, update, &j);
}

/* param.c - the parameters of a model: names, shapes, one slab of values and
 * one of gradients.  Layers hold pointers to their parameters; the store owns
 * them.  A parameter used by several blocks of the plan is simply used
 * several times: its gradient adds up. */
#include "nn.h"

#include <string.h>

static pcv_param dummy;

static int grow(pcv_params *p)
{
    int cap = p->cap ? 2 * p->cap : 64;
    pcv_param **more = pcv_alloc((size_t)cap, sizeof *more);

    if (!more)
        return -1;
    if (p->count)
        memcpy(more, p->param, (size_t)p->count * sizeof *more);
    pcv_free(p->param);
    p->param = more;
    p->cap = cap;
    return 0;
}

pcv_param *pcv_param_add(pcv_params *p, const char *path, const char *name,
                         size_t dim1, size_t dim2, real mean, real std,
                         bool decay)
{
    pcv_buf full = {0};
    pcv_param *q;

    if (p->failed || (p->count == p->cap && grow(p) < 0) ||
        !(q = pcv_alloc(1, sizeof *q))) {
        p->failed = true;
        return &dummy;
    }
    pcv_buf_puts(&full, path);
    if (*path && *name)
        pcv_buf_puts(&full, ".");
    pcv_buf_puts(&full, name);
    p->failed = full.failed;
    q->name = full.data;
    q->rank = dim2 ? 2 : 1;
    q->dim[0] = dim1;
    q->dim[1] = dim2;
    q->count = dim2 ? dim1 * dim2 : dim1;
    q->mean = mean;
    q->std = std;
    q->decay = decay;
    p->param[p->count++] = q;
    p->total += q->count;
    return q;
}

int pcv_params_weights(pcv_params *p)
{
    size_t at = 0;

    if (p->failed)
        return pcv_fail(EX_OSERR, "out of memory for the parameter table");
    if (!(p->w = pcv_alloc(p->total, sizeof *p->w)))
        return -1;
    for (int i = 0; i < p->count; at += p->param[i++]->count)
        p->param[i]->w = p->w + at;
    return 0;
}

int pcv_params_grads(pcv_params *p)
{
    size_t at = 0;

    if (!(p->g = pcv_alloc(p->total, sizeof *p->g)))
        return -1;
    for (int i = 0; i < p->count; at += p->param[i++]->count)
        p->param[i]->g = p->g + at;
    return 0;
}

/* A normal cut at two deviations, by drawing again: index k of parameter i
 * tries the counters 64 k, 64 k + 1, .. */
static double truncated(uint64_t seed, uint64_t stream, uint64_t k)
{
    for (uint64_t t = 0; t < 64; t++) {
        double z = pcv_normal(seed, stream, 64 * k + t);

        if (z >= -2 && z <= 2)
            return z;
    }
    return 0;
}

void pcv_params_init(pcv_params *p, uint64_t seed)
{
    for (int i = 0; i < p->count; i++) {
        pcv_param *q = p->param[i];

        for (size_t k = 0; k < q->count; k++) {
            q->w[k] = q->mean;
            if (q->std > 0)
                q->w[k] += q->std *
                           (real)truncated(seed, (uint64_t)i + 1000, k);
        }
    }
}

pcv_param *pcv_params_find(const pcv_params *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->param[i]->name, name))
            return p->param[i];
    return NULL;
}

void pcv_params_free(pcv_params *p)
{
    for (int i = 0; i < p->count; i++) {
        pcv_free(p->param[i]->name);
        pcv_free(p->param[i]);
    }
    pcv_free(p->param);
    pcv_free(p->w);
    pcv_free(p->g);
    *p = (pcv_params){0};
}

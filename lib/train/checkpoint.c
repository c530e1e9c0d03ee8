/* checkpoint.c - a run in one file, DIR/checkpoint.safetensors: parameters
 * ("model.NAME"), both moments ("opt.m.NAME", "opt.v.NAME") and, as metadata,
 * where the run stands.  One file, written beside its name and renamed, so
 * that it is whole or the old one. */
#include "train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *path_of(const char *dir)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s/checkpoint.safetensors", dir);
    if (b.failed)
        pcv_fail(EX_OSERR, "out of memory");
    return b.failed ? NULL : b.data;
}

enum { SETS = 3 };
static const char *const prefix[SETS] = { "model.", "opt.m.", "opt.v." };

/* The slab that set k of the file comes from. */
static real *slab(const pcv_net *n, const pcv_moments *o, int k)
{
    return k == 0 ? n->params.w : k == 1 ? o->m : o->v;
}

static int rows_of(const pcv_net *n, const pcv_moments *o, pcv_tensor_out *t)
{
    const pcv_params *p = &n->params;

    for (int k = 0; k < SETS; k++)
        for (int i = 0; i < p->count; i++, t++) {
            pcv_buf name = {0};
            const pcv_param *q = p->param[i];

            pcv_buf_printf(&name, "%s%s", prefix[k], q->name);
            t->name = name.data;
            t->dtype = PCV_REAL;
            t->rank = q->rank;
            memcpy(t->dim, q->dim, sizeof q->dim);
            t->data = slab(n, o, k) + (q->w - p->w);
            if (name.failed)
                return pcv_fail(EX_OSERR, "out of memory");
        }
    return 0;
}

static int write_rows(const char *path, const pcv_tensor_out *t, size_t count,
                      const pcv_state *s, const char *settings)
{
    char step[32], best[40], sums[160];
    const char *key[] = { "pcv.kind", "pcv.step", "pcv.best", "pcv.sums",
                          "pcv.settings" };
    const char *value[] = { "checkpoint", step, best, sums, settings };

    snprintf(step, sizeof step, "%" PRIu64, s->step);
    snprintf(best, sizeof best, "%a", s->best);
    snprintf(sums, sizeof sums, "%a %a %a %a", s->loss_sum, s->seen_sum,
             s->right_sum, s->asked_sum);
    return pcv_tensors_save(path, t, count, key, value, PCV_LEN(key));
}

int pcv_checkpoint_save(const char *dir, const pcv_net *n,
                        const pcv_moments *o, const pcv_state *s,
                        const char *settings)
{
    size_t count = SETS * (size_t)n->params.count;
    pcv_tensor_out *t = pcv_alloc(count, sizeof *t);
    char *path = path_of(dir);
    int r = -1;

    if (t && path && rows_of(n, o, t) == 0)
        r = write_rows(path, t, count, s, settings);
    for (size_t i = 0; t && i < count; i++)
        pcv_free((char *)t[i].name);
    pcv_free(t);
    pcv_free(path);
    return r;
}

/* One set of the file into its slab. */
static int read_set(pcv_net *n, const pcv_moments *o, int k,
                    const pcv_tensors *t, const char *path)
{
    pcv_params *p = &n->params;

    for (int i = 0; i < p->count; i++) {
        const pcv_param *q = p->param[i];
        pcv_buf name = {0};
        const pcv_tensor *found;

        pcv_buf_printf(&name, "%s%s", prefix[k], q->name);
        found = name.failed ? NULL : pcv_tensors_find(t, name.data);
        pcv_buf_free(&name);
        if (!found || found->dtype != PCV_REAL ||
            found->bytes != q->count * sizeof(real))
            return pcv_fail(EX_DATAERR, "%s: no tensor %s%s of %zu elements",
                            path, prefix[k], q->name, q->count);
        memcpy(slab(n, o, k) + (q->w - p->w), found->data, found->bytes);
    }
    return 0;
}

static int read_state(const pcv_tensors *t, pcv_state *s, const char *settings,
                      const char *path)
{
    const char *step = pcv_tensors_meta(t, "pcv.step");
    const char *best = pcv_tensors_meta(t, "pcv.best");
    const char *sums = pcv_tensors_meta(t, "pcv.sums");
    const char *made = pcv_tensors_meta(t, "pcv.settings");
    char *end;

    if (!step || !best || !sums || !made)
        return pcv_fail(EX_DATAERR, "%s: not a checkpoint of a run", path);
    if (strcmp(made, settings))
        return pcv_fail(EX_DATAERR, "%s: was made with other settings; resume "
                        "with the same ones, or train into a new directory",
                        path);
    s->step = strtoull(step, NULL, 10);
    s->best = strtod(best, NULL);
    s->loss_sum = strtod(sums, &end);
    s->seen_sum = strtod(end, &end);
    s->right_sum = strtod(end, &end);
    s->asked_sum = strtod(end, NULL);
    return 0;
}

int pcv_checkpoint_load(const char *dir, pcv_net *n, pcv_moments *o,
                        pcv_state *s, const char *settings)
{
    char *path = path_of(dir);
    pcv_tensors t;
    int r;

    if (!path || pcv_tensors_open(&t, path) < 0) {
        pcv_free(path);
        return -1;
    }
    r = read_state(&t, s, settings, path);
    for (int k = 0; r == 0 && k < SETS; k++)
        r = read_set(n, o, k, &t, path);
    pcv_tensors_close(&t);
    pcv_free(path);
    return r;
}

/* checkpoint.c - a run in one file, DIR/checkpoint.safetensors: parameters
 * ("model.NAME"), both moments ("opt.m.NAME", "opt.v.NAME") and, as metadata,
 * where the run stands, with a checksum of all of it.  It is written beside
 * its name and renamed, so that it is whole or the old one; the one before it
 * stays as checkpoint.previous.safetensors, for the day on which the disk gives
 * back something else than was written.
 *
 * The generator of random numbers has no state but the counter (seed, step),
 * and the place in the data follows from it too. */
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAST, PREVIOUS, FILES };
static const char *const names[FILES] = {
    "checkpoint.safetensors", "checkpoint.previous.safetensors",
};

static char *path_of(const char *dir, int which)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s/%s", dir, names[which]);
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

/* The first checkpoint of a run replaces those of another one: that must not
 * come back when this one is damaged. */
static int write_rows(const char *path, const char *previous,
                      const pcv_tensor_out *t, size_t count,
                      const pcv_state *s, const pcv_origin *from)
{
    char step[32], best[40], sums[160];
    const char *key[] = { "pcv.kind", "pcv.step", "pcv.best", "pcv.sums",
                          "pcv.data", "pcv.settings" };
    const char *value[] = { "checkpoint", step, best, sums, from->data,
                            from->settings };

    snprintf(step, sizeof step, "%" PRIu64, s->step);
    snprintf(best, sizeof best, "%a", s->best);
    snprintf(sums, sizeof sums, "%a %a %a %a", s->loss_sum, s->seen_sum,
             s->right_sum, s->asked_sum);
    if (s->step == 0 && unlink(previous) < 0 && errno != ENOENT)
        return pcv_fail(EX_CANTCREAT, "%s: %s", previous, strerror(errno));
    return pcv_tensors_save_checked(path, s->step ? previous : NULL, t, count,
                                    key, value, PCV_LEN(key));
}

int pcv_checkpoint_save(const char *dir, const pcv_net *n,
                        const pcv_moments *o, const pcv_state *s,
                        const pcv_origin *from)
{
    size_t count = SETS * (size_t)n->params.count;
    pcv_tensor_out *t = pcv_alloc(count, sizeof *t);
    char *path = path_of(dir, LAST), *previous = path_of(dir, PREVIOUS);
    int r = -1;

    if (t && path && previous && rows_of(n, o, t) == 0)
        r = write_rows(path, previous, t, count, s, from);
    for (size_t i = 0; t && i < count; i++)
        pcv_free((char *)(uintptr_t)t[i].name);
    pcv_free(t);
    pcv_free(path);
    pcv_free(previous);
    return r;
}

/* ---- the newest that is whole ---------------------------------------- */

/* 1 open, 0 not there, 2 damaged (the message is in `why`), -1. */
static int open_one(const char *path, pcv_tensors *t, pcv_buf *why)
{
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (pcv_tensors_open_checked(t, path) == 0)
        return 1;
    if (pcv_error_code() != EX_DATAERR)
        return -1;
    pcv_buf_puts(why, why->len ? "; " : "");
    pcv_buf_puts(why, pcv_error());
    pcv_error_clear();
    return 2;
}

static void say_which(const char *const *path, const pcv_buf *why)
{
    if (why->len)
        pcv_remark("%s; going on from %s", why->data, path[PREVIOUS]);
    else
        pcv_remark("%s is not there; going on from %s", path[LAST],
                   path[PREVIOUS]);
}

/* 1 and which it is, 0 there is none, -1: none that is whole. */
static int open_among(const char *const *path, pcv_tensors *t, int *which)
{
    pcv_buf why = {0};
    int r = 0;

    for (*which = LAST; r != 1 && r != -1 && *which < FILES; ++*which)
        r = open_one(path[*which], t, &why);
    --*which;
    if (r == 1 && *which == PREVIOUS)
        say_which(path, &why);
    if (r != 1 && r != -1)
        r = !why.len ? 0 : pcv_fail(EX_DATAERR, "%s; there is no other that is "
                                    "whole: put a copy of %s there, or train "
                                    "anew", why.data, names[LAST]);
    pcv_buf_free(&why);
    return r;
}

static int open_newest(const char *dir, pcv_tensors *t, char *path[FILES],
                       int *which)
{
    for (int k = 0; k < FILES; k++)
        path[k] = path_of(dir, k);
    if (!path[LAST] || !path[PREVIOUS])
        return -1;
    return open_among((const char *const *)path, t, which);
}

static void free_paths(char *path[FILES])
{
    for (int k = 0; k < FILES; k++)
        pcv_free(path[k]);
}

int pcv_checkpoint_settings(const char *dir, pcv_buf *settings)
{
    char *path[FILES];
    pcv_tensors t;
    int which, r = open_newest(dir, &t, path, &which);

    if (r > 0) {
        const char *made = pcv_tensors_meta(&t, "pcv.settings");

        if (made)
            pcv_buf_puts(settings, made);
        else
            r = pcv_fail(EX_DATAERR, "%s: not a checkpoint of a run",
                         path[which]);
        pcv_tensors_close(&t);
    }
    free_paths(path);
    return r > 0 && settings->failed ? pcv_fail(EX_OSERR, "out of memory") : r;
}

/* ---- reading --------------------------------------------------------- */

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

static int check_origin(const pcv_tensors *t, const pcv_origin *from,
                        const char *path)
{
    const char *settings = pcv_tensors_meta(t, "pcv.settings");
    const char *data = pcv_tensors_meta(t, "pcv.data");

    if (!settings || !data)
        return pcv_fail(EX_DATAERR, "%s: not a checkpoint of a run", path);
    if (strcmp(settings, from->settings))
        return pcv_fail(EX_DATAERR, "%s: was made with other settings; resume "
                        "with the same ones, or train into a new directory",
                        path);
    if (strcmp(data, from->data))
        return pcv_fail(EX_DATAERR, "%s: was made with other data (examples "
                        "and a checksum of names and labels: %s), these are "
                        "%s; resume with the same, or train into a new "
                        "directory", path, data, from->data);
    return 0;
}

static int read_state(const pcv_tensors *t, pcv_state *s, const char *path)
{
    const char *step = pcv_tensors_meta(t, "pcv.step");
    const char *best = pcv_tensors_meta(t, "pcv.best");
    const char *sums = pcv_tensors_meta(t, "pcv.sums");
    char *end;

    if (!step || !best || !sums)
        return pcv_fail(EX_DATAERR, "%s: not a checkpoint of a run", path);
    s->step = strtoull(step, NULL, 10);
    s->best = strtod(best, NULL);
    s->loss_sum = strtod(sums, &end);
    s->seen_sum = strtod(end, &end);
    s->right_sum = strtod(end, &end);
    s->asked_sum = strtod(end, NULL);
    return 0;
}

static int read_all(pcv_net *n, pcv_moments *o, pcv_state *s,
                    const pcv_origin *from, const pcv_tensors *t,
                    const char *path)
{
    if (check_origin(t, from, path) < 0 || read_state(t, s, path) < 0)
        return -1;
    for (int k = 0; k < SETS; k++)
        if (read_set(n, o, k, t, path) < 0)
            return -1;
    return 0;
}

/* The one before the last becomes the last: it must not be replaced by what
 * is damaged when the next is saved. */
int pcv_checkpoint_load(const char *dir, pcv_net *n, pcv_moments *o,
                        pcv_state *s, const pcv_origin *from)
{
    char *path[FILES];
    pcv_tensors t;
    int which, r = open_newest(dir, &t, path, &which);

    if (r == 0)
        r = pcv_fail(EX_NOINPUT, "%s: no checkpoint to resume from",
                     path[LAST]);
    if (r > 0) {
        r = read_all(n, o, s, from, &t, path[which]);
        pcv_tensors_close(&t);
        if (r == 0 && which == PREVIOUS &&
            rename(path[PREVIOUS], path[LAST]) < 0)
            r = pcv_fail(EX_CANTCREAT, "%s: %s", path[LAST], strerror(errno));
    }
    free_paths(path);
    return r;
}

/* ---- keeping what a run has so far ----------------------------------- */

int pcv_keeper_diverged(const pcv_keeper *k, uint64_t step, const char *what)
{
    if (!k->dir)                /* a rehearsal has none */
        return pcv_fail(EX_DATAERR, "step %" PRIu64 ": %s", step, what);
    return pcv_fail(EX_DATAERR, "step %" PRIu64 ": %s; %s/%s, of step %" PRIu64
                    ", is good: train anew with a lower learning rate",
                    step, what, k->dir, names[LAST], k->saved);
}

/* A checkpoint of numbers that are none would replace a good one. */
static int check_finite(const pcv_keeper *k)
{
    const pcv_params *p = &k->net->params;

    for (int i = 0; i < p->count; i++) {
        const pcv_param *q = p->param[i];
        pcv_buf what = {0};
        double sum = 0;

        for (size_t j = 0; j < q->count; j++)
            sum += fabs((double)q->w[j]);
        if (isfinite(sum))
            continue;
        pcv_buf_printf(&what, "%s is not finite", q->name);
        pcv_keeper_diverged(k, k->state->step, what.data ? what.data : "");
        pcv_buf_free(&what);
        return -1;
    }
    return 0;
}

/* For as long as it could not be written. */
static int set_aside(pcv_keeper *k)
{
    const pcv_params *p = &k->net->params;

    if (!k->best && !(k->best = pcv_alloc(p->total, sizeof *k->best)))
        return -1;
    memcpy(k->best, p->w, p->total * sizeof *p->w);
    return 0;
}

static void swap(real *a, real *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real t = a[i];

        a[i] = b[i];
        b[i] = t;
    }
}

/* A full disk may have room again; what is wrong with the run stays wrong. */
static int failed(pcv_keeper *k)
{
    k->behind = true;
    return pcv_error_code() == EX_IOERR || pcv_error_code() == EX_CANTCREAT
               ? 1 : -1;
}

static void forget_best(pcv_keeper *k)
{
    pcv_free(k->best);
    k->best = NULL;
}

int pcv_keeper_model(pcv_keeper *k)
{
    if (k->asleep)
        return 0;
    if (pcv_net_save(k->net, k->dir) == 0) {
        forget_best(k);
        return 0;
    }
    return set_aside(k) < 0 ? -1 : failed(k);
}

/* The model that was set aside comes first: a checkpoint that knows of it
 * would never have it written again. */
int pcv_keeper_save(pcv_keeper *k)
{
    pcv_params *p = &k->net->params;
    int r = 0;

    if (check_finite(k) < 0)
        return -1;
    if (k->asleep) {
        k->saved = k->state->step;
        return 0;
    }
    if (k->best) {
        swap(p->w, k->best, p->total);
        r = pcv_net_save(k->net, k->dir);
        swap(p->w, k->best, p->total);
    }
    if (r == 0) {
        forget_best(k);
        r = pcv_checkpoint_save(k->dir, k->net, k->moments, k->state,
                                &k->from);
    }
    if (r < 0)
        return failed(k);
    k->behind = false;
    k->saved = k->state->step;
    return 0;
}

void pcv_keeper_close(pcv_keeper *k)
{
    forget_best(k);
}

/* weights.c - the facade for looking at weights, whatever model they are of. */
#include "handles.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pcv_weights {
    pcv_tensors t;
    char *path;
};

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The file itself, or that of a directory. */
static char *file_of(const char *path)
{
    return is_directory(path) ? pcv_tensors_file(path) : pcv_strdup(path);
}

pcv_weights *pcv_weights_open(const char *path)
{
    pcv_weights *w = pcv_alloc(1, sizeof *w);

    if (w && (w->path = file_of(path)) &&
        pcv_tensors_open(&w->t, w->path) == 0)
        return w;
    if (w)
        pcv_free(w->path);
    pcv_free(w);
    return NULL;
}

void pcv_weights_close(pcv_weights *w)
{
    if (!w)
        return;
    pcv_tensors_close(&w->t);
    pcv_free(w->path);
    pcv_free(w);
}

const char *pcv_weights_file(const pcv_weights *w)
{
    return w->path;
}

size_t pcv_weights_count(const pcv_weights *w)
{
    return w->t.count;
}

static const pcv_tensor *tensor_at(const pcv_weights *w, size_t i)
{
    if (i < w->t.count)
        return &w->t.tensor[i];
    pcv_fail(EX_USAGE, "tensor %zu of %zu", i, w->t.count);
    return NULL;
}

static size_t elements(const pcv_tensor *t)
{
    return t->bytes / pcv_dtype_size(t->dtype);
}

int pcv_weights_info(const pcv_weights *w, size_t i, pcv_tensor_info *info)
{
    const pcv_tensor *t = tensor_at(w, i);

    if (!t)
        return -1;
    *info = (pcv_tensor_info){ t->name, pcv_dtype_name(t->dtype), t->rank, {0},
                               elements(t), t->bytes, t->offset };
    memcpy(info->dim, t->dim, sizeof info->dim);
    return 0;
}

pcv_values *pcv_weights_get(const pcv_weights *w, size_t i)
{
    const pcv_tensor *t = tensor_at(w, i);
    pcv_values *v = t ? pcv_values_new(t->rank, t->dim) : NULL;

    if (v)
        pcv_dtype_to_float(t->dtype, t->data, v->count, v->data);
    return v;
}

/* ---- statistics: two passes in double, a piece at a time ------------- */

enum { PIECE = 4096 };

typedef void piece(void *arg, const double *x, size_t n);

static void each_piece(const pcv_tensor *t, piece *f, void *arg)
{
    double x[PIECE];
    size_t n = elements(t), size = pcv_dtype_size(t->dtype);

    for (size_t at = 0; at < n; at += PIECE) {
        size_t len = n - at < PIECE ? n - at : PIECE;

        pcv_dtype_to_double(t->dtype, (const char *)t->data + at * size, len,
                            x);
        f(arg, x, len);
    }
}

typedef struct {
    pcv_tensor_stats s;
    double sum, spread;
    size_t finite;
    size_t *hist, bins;
} survey;

static void first_pass(void *arg, const double *x, size_t n)
{
    survey *v = arg;

    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            v->s.nan++;
        } else if (isinf(x[i])) {
            v->s.inf++;
        } else {
            v->s.min = v->finite == 0 || x[i] < v->s.min ? x[i] : v->s.min;
            v->s.max = v->finite == 0 || x[i] > v->s.max ? x[i] : v->s.max;
            v->s.zeros += fpclassify(x[i]) == FP_ZERO;
            v->sum += x[i];
            v->s.norm += x[i] * x[i];
            v->finite++;
        }
    }
}

static void second_pass(void *arg, const double *x, size_t n)
{
    survey *v = arg;
    double width = v->s.max - v->s.min;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        v->spread += (x[i] - v->s.mean) * (x[i] - v->s.mean);
        if (v->hist) {
            double at = width > 0 ? (x[i] - v->s.min) / width *
                                        (double)v->bins : 0;
            size_t bin = (size_t)at;

            v->hist[bin < v->bins ? bin : v->bins - 1]++;
        }
    }
}

int pcv_weights_stats(const pcv_weights *w, size_t i, pcv_tensor_stats *s,
                      size_t *hist, size_t bins)
{
    const pcv_tensor *t = tensor_at(w, i);
    survey v = { .hist = bins ? hist : NULL, .bins = bins };

    if (!t)
        return -1;
    for (size_t k = 0; v.hist && k < bins; k++)
        hist[k] = 0;
    each_piece(t, first_pass, &v);
    v.s.mean = v.finite ? v.sum / (double)v.finite : (double)NAN;
    if (!v.finite)
        v.s.min = v.s.max = (double)NAN;
    each_piece(t, second_pass, &v);
    v.s.std = v.finite ? sqrt(v.spread / (double)v.finite) : (double)NAN;
    v.s.norm = sqrt(v.s.norm);
    *s = v.s;
    return 0;
}

size_t pcv_weights_metas(const pcv_weights *w)
{
    return w->t.keys;
}

const char *pcv_weights_meta_key(const pcv_weights *w, size_t i)
{
    return i < w->t.keys ? w->t.key[i] : NULL;
}

const char *pcv_weights_meta_value(const pcv_weights *w, size_t i)
{
    return i < w->t.keys ? w->t.value[i] : NULL;
}

int pcv_weights_save(const pcv_weights *w, const char *path, const char *dtype,
                     bool force)
{
    pcv_dtype as;

    if (dtype && (pcv_dtype_find(dtype, &as) < 0 || as == PCV_F64 ||
                  (as > PCV_BF16 && as != PCV_I8)))
        return pcv_fail(EX_USAGE, "weights of type '%s', want F32, F16, BF16 "
                        "or I8", dtype);
    if (!force && access(path, F_OK) == 0)
        return pcv_fail(EX_CANTCREAT, "%s: exists (use -f to replace it)",
                        path);
    return pcv_tensors_convert(path, &w->t, dtype ? &as : NULL);
}

/* ---- pickles --------------------------------------------------------- */

struct pcv_pickle {
    pcv_requests asks;
};

static char *pickle_of(const char *path)
{
    pcv_buf b = {0};

    pcv_buf_puts(&b, path);
    if (is_directory(path))
        pcv_buf_puts(&b, "/pytorch_model.bin");
    return b.failed ? NULL : b.data;
}

pcv_pickle *pcv_pickle_open(const char *path)
{
    pcv_pickle *p = pcv_alloc(1, sizeof *p);
    char *file = p ? pickle_of(path) : NULL;
    int status = file ? pcv_requests_read(&p->asks, file) : -1;

    pcv_free(file);
    if (status == 0)
        return p;
    pcv_free(p);
    return NULL;
}

void pcv_pickle_close(pcv_pickle *p)
{
    if (p)
        pcv_requests_free(&p->asks);
    pcv_free(p);
}

size_t pcv_pickle_count(const pcv_pickle *p)
{
    return p->asks.count;
}

int pcv_pickle_get(const pcv_pickle *p, size_t i, pcv_pickle_ask *ask)
{
    const pcv_request *a;

    if (i >= p->asks.count)
        return pcv_fail(EX_USAGE, "item %zu of %zu", i, p->asks.count);
    a = &p->asks.ask[i];
    *ask = (pcv_pickle_ask){ a->what, a->name, a->offset, a->count,
                             a->allowed };
    return 0;
}

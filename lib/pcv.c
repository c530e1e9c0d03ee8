/* pcv.c - the facade: models, workers and what they answer.  Nothing is
 * computed here; it opens, checks, hands down and converts. */
#include "handles.h"
#include "places.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pcv_version(void)
{
    return PCV_VERSION;
}

const char *pcv_build_info(void)
{
    static _Thread_local char text[256];

    snprintf(text, sizeof text, "pcv %s\nproducts: %s\nvector loops: %s\n",
             PCV_VERSION, pcv_blas_name(), pcv_rows_get()->name);
    return text;
}

/* ---- models ---------------------------------------------------------- */

pcv_model *pcv_model_open(const char *name)
{
    pcv_model *m = pcv_alloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->path = pcv_place_find(name ? name : "default");
    if (m->path && pcv_net_load(&m->net, m->path) == 0)
        return m;
    pcv_free(m->path);
    pcv_free(m);
    return NULL;
}

void pcv_model_close(pcv_model *m)
{
    if (!m)
        return;
    pcv_net_free(&m->net);
    pcv_free(m->path);
    pcv_free(m);
}

char *pcv_model_places(const char *name)
{
    pcv_buf b = {0};

    pcv_place_list(name, &b);
    return b.data;
}

const char *pcv_model_path(const pcv_model *m)
{
    return m->path;
}

const char *pcv_model_id(const pcv_model *m)
{
    return m->net.fingerprint;
}

bool pcv_model_classifies(const pcv_model *m)
{
    return m->net.spec.task == PCV_CLASSIFY;
}

size_t pcv_model_outputs(const pcv_model *m)
{
    return (size_t)m->net.spec.outputs;
}

size_t pcv_model_queries(const pcv_model *m)
{
    return (size_t)pcv_net_queries(&m->net);
}

const char *pcv_model_label(const pcv_model *m, size_t k)
{
    const pcv_spec *s = &m->net.spec;

    return s->label && k < (size_t)s->outputs ? s->label[k] : NULL;
}

size_t pcv_model_latents(const pcv_model *m)
{
    return (size_t)m->net.spec.latents;
}

size_t pcv_model_latent_channels(const pcv_model *m)
{
    return (size_t)m->net.spec.d;
}

char *pcv_model_setting(const pcv_model *m, const char *name)
{
    pcv_buf b = {0};

    pcv_spec_get(&m->net.spec, name, &b);
    return b.data;
}

/* ---- arrays ---------------------------------------------------------- */

pcv_values *pcv_values_new(int rank, const size_t *dim)
{
    pcv_values *v = pcv_alloc(1, sizeof *v);
    size_t n = 1;

    if (!v)
        return NULL;
    v->rank = rank;
    for (int i = 0; i < rank; i++) {
        v->dim[i] = dim[i];
        if (!pcv_mul(n, dim[i], &n))
            n = SIZE_MAX;
    }
    v->count = n;
    if ((v->data = pcv_alloc(n, sizeof *v->data)))
        return v;
    pcv_free(v);
    return NULL;
}

pcv_values *pcv_values_of(int rank, const size_t *dim, const real *x)
{
    pcv_values *v = pcv_values_new(rank, dim);

    for (size_t i = 0; v && i < v->count; i++)
        v->data[i] = (float)x[i];
    return v;
}

void pcv_values_free(pcv_values *v)
{
    if (!v)
        return;
    pcv_free(v->data);
    pcv_free(v);
}

/* ---- workers --------------------------------------------------------- */

enum { CHUNK = 1024 };          /* output queries at a time */

struct pcv_worker {
    const pcv_model *m;
    pcv_session s;              /* inputs to latents and answers */
    pcv_session decode;         /* latents to answers */
};

static int chunk_of(const pcv_model *m)
{
    int n = pcv_net_queries(&m->net);

    return n < CHUNK ? n : CHUNK;
}

pcv_worker *pcv_worker_new(const pcv_model *m)
{
    pcv_worker *w = pcv_alloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->m = m;
    pcv_session_open(&w->s, &m->net, false, chunk_of(m));
    pcv_session_open(&w->decode, &m->net, false, chunk_of(m));
    return w;
}

void pcv_worker_free(pcv_worker *w)
{
    if (!w)
        return;
    pcv_session_close(&w->s);
    pcv_session_close(&w->decode);
    pcv_free(w);
}

static int bind(pcv_worker *w, const pcv_entry *e)
{
    const pcv_array *x = &e->x;

    if (!e->loaded)
        return pcv_fail(EX_USAGE, "%s: not loaded", e->item.name);
    if (pcv_session_bind(&w->s, &x, 1) == 0)
        return 0;
    return -1;
}

pcv_values *pcv_encode(pcv_worker *w, const pcv_entry *e)
{
    const pcv_pass pass = {0};
    size_t dim[2] = { pcv_model_latents(w->m),
                      pcv_model_latent_channels(w->m) };

    if (bind(w, e) < 0)
        return NULL;
    return pcv_values_of(2, dim, pcv_session_encode(&w->s, &pass));
}

pcv_values *pcv_encode_input(pcv_worker *w, const pcv_entry *e)
{
    const pcv_tokens *t = &w->s.batch.tokens;
    pcv_values *v = NULL;
    real *row;
    size_t dim[2];

    if (bind(w, e) < 0)
        return NULL;
    dim[0] = (size_t)t->n;
    dim[1] = (size_t)t->c;
    row = pcv_alloc(dim[1], sizeof *row);
    if (row && (v = pcv_values_new(2, dim)))
        for (int j = 0; j < t->n; j++) {
            t->tile(t, 0, j, 1, row);
            for (size_t k = 0; k < dim[1]; k++)
                v->data[(size_t)j * dim[1] + k] = (float)row[k];
        }
    pcv_free(row);
    return v;
}

/* Queries index[0..n) of what session s has encoded, a chunk at a time. */
static pcv_values *answers(pcv_session *s, const pcv_model *m,
                           const int *index, size_t n)
{
    const pcv_pass pass = {0};
    size_t k = pcv_model_outputs(m), dim[2] = { n, k };
    pcv_values *v = pcv_values_new(2, dim);
    int own[CHUNK], most = chunk_of(m);

    for (size_t at = 0; v && at < n; at += (size_t)most) {
        int len = n - at < (size_t)most ? (int)(n - at) : most;
        const real *out;

        for (int i = 0; i < len; i++)
            own[i] = index ? index[at + (size_t)i] : (int)at + i;
        out = pcv_session_decode(s, &pass, own, len);
        for (size_t i = 0; i < (size_t)len * k; i++)
            v->data[at * k + i] = (float)out[i];
    }
    return v;
}

static int check_index(const pcv_model *m, const int *index, size_t n)
{
    size_t all = pcv_model_queries(m);

    if (!index && n > all)
        return pcv_fail(EX_USAGE, "%zu queries, the model has %zu", n, all);
    for (size_t i = 0; index && i < n; i++)
        if (index[i] < 0 || (size_t)index[i] >= all)
            return pcv_fail(EX_USAGE, "query %d, the model has 0 to %zu",
                            index[i], all - 1);
    return 0;
}

pcv_values *pcv_decode_latents(pcv_worker *w, const pcv_values *latents,
                               const int *index, size_t n)
{
    const pcv_spec *s = &w->m->net.spec;
    size_t size = (size_t)s->latents * (size_t)s->d;
    real *x;
    int r;

    if (latents->count != size || latents->rank < 2 ||
        latents->dim[latents->rank - 1] != (size_t)s->d) {
        pcv_fail(EX_DATAERR, "latents of %zu values, the model has %d x %d",
                 latents->count, s->latents, s->d);
        return NULL;
    }
    if (check_index(w->m, index, n) < 0 || !(x = pcv_alloc(size, sizeof *x)))
        return NULL;
    for (size_t i = 0; i < size; i++)
        x[i] = (real)latents->data[i];
    r = pcv_session_plan(&w->decode, 1, x);
    pcv_free(x);
    return r < 0 ? NULL : answers(&w->decode, w->m, index, n);
}

/* A classifier's answer is a vector, not a row of a matrix. */
static pcv_values *flatten(const pcv_model *m, pcv_values *v)
{
    if (v && pcv_model_classifies(m)) {
        v->rank = 1;
        v->dim[0] = v->count;
    }
    return v;
}

pcv_values *pcv_answer(pcv_worker *w, const pcv_entry *e)
{
    const pcv_pass pass = {0};

    if (bind(w, e) < 0)
        return NULL;
    pcv_session_encode(&w->s, &pass);
    return flatten(w->m, answers(&w->s, w->m, NULL, pcv_model_queries(w->m)));
}

/* Byte ids, which are whole numbers here. */
static int ids_of(const pcv_values *x, pcv_array *a)
{
    int32_t *id = pcv_alloc(x->count, sizeof *id);

    if (!id)
        return -1;
    a->dtype = PCV_I32;
    a->data = id;
    for (size_t i = 0; i < x->count; i++) {
        float v = x->data[i];

        if (!(v >= 0 && v < 1 << 24 && floorf(v) == v)) {
            pcv_free(id);
            return pcv_fail(EX_DATAERR, "array: value [%zu] is %g, want an id",
                            i, (double)v);
        }
        id[i] = (int32_t)v;
    }
    return 0;
}

pcv_values *pcv_answer_array(pcv_worker *w, const pcv_values *x)
{
    const pcv_prep *prep = &w->m->net.spec.prep;
    pcv_entry e = { .loaded = true };
    pcv_media media = { .kind = PCV_MEDIA_ARRAY };
    pcv_values *v = NULL;

    media.array.dtype = PCV_F32;
    media.array.rank = x->rank;
    memcpy(media.array.dim, x->dim, sizeof media.array.dim);
    media.array.data = x->data;
    if (prep->modality == PCV_BYTES && ids_of(x, &media.array) < 0)
        return NULL;
    if (pcv_prepare(prep, &media, "array", &e.x) == 0)
        v = pcv_answer(w, &e);
    if (media.array.data != x->data)
        pcv_free(media.array.data);
    pcv_array_free(&e.x);
    return v;
}

void pcv_probabilities(const float *logits, size_t count, double *p)
{
    for (size_t i = 0; i < count; i++)
        p[i] = (double)logits[i];
    pcv_softmax(p, count);
}

static pcv_values *probabilities(pcv_values *v)
{
    double *p;

    if (!v)
        return NULL;
    if (!(p = pcv_alloc(v->count, sizeof *p))) {
        pcv_values_free(v);
        return NULL;
    }
    pcv_probabilities(v->data, v->count, p);
    for (size_t i = 0; i < v->count; i++)
        v->data[i] = (float)p[i];
    pcv_free(p);
    return v;
}

pcv_values *pcv_classify_file(pcv_worker *w, const char *path)
{
    pcv_inputs in = { .path = &path, .paths = 1 };
    pcv_stream *s = pcv_stream_open(w->m, &in);
    pcv_values *v = NULL;
    pcv_entry *e = NULL;

    if (s && pcv_stream_next(s, &e) == 1 && pcv_entry_load(s, e) == 0)
        v = probabilities(pcv_answer(w, e));
    pcv_entry_free(e);
    pcv_stream_close(s);
    return v;
}

/* ---- cost ------------------------------------------------------------ */

/* The shape of a prepared input of size "HxW" or "N"; NULL: the model's. */
static int input_shape(const pcv_spec *s, const char *size, pcv_array *x)
{
    unsigned long a = 0, b = 0;
    int n = size ? sscanf(size, "%lux%lu", &a, &b) : 0;
    const pcv_prep *p = &s->prep;

    if (size && (n < 1 || a == 0 || a > 1 << 26 ||
                 (p->modality == PCV_IMAGE && (n < 2 || b == 0 ||
                                               b > 1 << 26))))
        return pcv_fail(EX_USAGE, "size '%s', want %s", size,
                        p->modality == PCV_IMAGE ? "HxW" : "a count");
    x->dtype = p->modality == PCV_BYTES ? PCV_I32 : PCV_F32;
    x->rank = p->modality == PCV_IMAGE ? 3
              : p->modality == PCV_SOUND || p->modality == PCV_BYTES ? 1 : 2;
    if (p->modality == PCV_IMAGE) {
        x->dim[0] = (size_t)p->channels;
        x->dim[1] = size ? a : (size_t)p->height;
        x->dim[2] = size ? b : (size_t)p->width;
    } else {
        x->dim[0] = size ? a : p->modality == PCV_SOUND && p->samples
                                   ? (size_t)p->samples : (size_t)p->length;
        x->dim[1] = (size_t)p->channels;
    }
    return 0;
}

static int fill_shape(pcv_array *x)
{
    size_t n = pcv_array_count(x);
    int32_t *id;

    if (!(x->data = pcv_alloc(n, 4)))
        return -1;
    for (id = x->data; x->dtype == PCV_I32 && n > 0; n--)
        id[n - 1] = 6;          /* any id that is not padding */
    return 0;
}

int pcv_model_cost(const pcv_model *m, const char *size, pcv_cost_info *c)
{
    pcv_array x = {0};
    pcv_cost cost;
    int r = -1;

    if (input_shape(&m->net.spec, size, &x) == 0 && fill_shape(&x) == 0)
        r = pcv_net_cost(&m->net, &x, &cost);
    pcv_array_free(&x);
    if (r < 0)
        return -1;
    *c = (pcv_cost_info){ (double)m->net.params.total, cost.elements,
                          cost.channels, cost.cross, cost.self, cost.decode,
                          cost.cross_run, cost.memory };
    return 0;
}

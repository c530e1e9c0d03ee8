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

    const char *low = pcv_onednn_name(), *peers = pcv_peers_name();

    snprintf(text, sizeof text, "pcv %s\nproducts: %s\n"
             "products of bf16 and int8: %s\nvector loops: %s\n"
             "training on several machines: %s\n",
             PCV_VERSION, pcv_blas_name(), low ? low : "none (no oneDNN)",
             pcv_rows_get()->name, peers ? peers : "none (no Open MPI)");
    return text;
}

/* ---- models ---------------------------------------------------------- */

pcv_model *pcv_model_open(const char *name)
{
    pcv_model *m = pcv_alloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->path = pcv_place_find(name ? name : "default");
    if (m->path && pcv_net_load(&m->net, m->path) == 0) {
        pthread_mutex_init(&m->lock, NULL);
        return m;
    }
    pcv_free(m->path);
    pcv_free(m);
    return NULL;
}

int pcv_model_precision_set(pcv_model *m, const char *precision)
{
    static const char *const name[] = { "f32", "bf16", "int8" };

    for (int i = 0; i < (int)PCV_LEN(name); i++)
        if (strcmp(precision, name[i]) == 0)
            return pcv_net_precision(&m->net, i);
    return pcv_fail(EX_USAGE, "precision '%s', want f32, bf16 or int8",
                    precision);
}

int pcv_model_latents_set(pcv_model *m, size_t n)
{
    int count[PCV_MOST_COUNTS];
    int counts = pcv_nested_counts(&m->net.spec, count);

    if (counts < 0)
        return -1;
    if (n == (size_t)m->net.spec.latents)
        return 0;
    for (int i = 0; i < counts; i++)
        if ((size_t)count[i] == n) {
            pcv_nested_cut(&m->net, count[i]);
            return 0;
        }
    return pcv_fail(EX_USAGE, "%zu latents: the model was trained for %s%s%d",
                    n, m->net.spec.nested, counts ? "," : "",
                    m->net.spec.latents);
}

void pcv_model_close(pcv_model *m)
{
    if (!m)
        return;
    pcv_net_free(&m->net);
    pthread_mutex_destroy(&m->lock);
    pcv_free(m->path);
    pcv_free(m->id);
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

const char *pcv_model_id(const pcv_model *model)
{
    pcv_model *m = (pcv_model *)(uintptr_t)model;   /* only what it caches */

    pthread_mutex_lock(&m->lock);
    if (!m->id)
        m->id = pcv_net_identity(&m->net);
    pthread_mutex_unlock(&m->lock);
    return m->id ? m->id : "";
}

/* ---- what a model answers -------------------------------------------- */

size_t pcv_model_answers(const pcv_model *m)
{
    return (size_t)m->net.answers;
}

static int kind_of(const pcv_spec *s)
{
    switch (s->task) {
    case PCV_CLASSIFY: return PCV_ANSWER_CLASSES;
    case PCV_FILL:     return PCV_ANSWER_TEXT;
    case PCV_MOTION:   return PCV_ANSWER_FLOW;
    case PCV_TAGS:
    case PCV_VALUES:   return PCV_ANSWER_ARRAY;
    default:           break;
    }
    switch (s->prep.modality) {
    case PCV_IMAGE:    return PCV_ANSWER_PICTURE;
    case PCV_VIDEO:    return PCV_ANSWER_FRAMES;
    case PCV_SOUND:    return PCV_ANSWER_SOUND;
    default:           return PCV_ANSWER_ARRAY;
    }
}

/* Flow is a map, classes are a vector, and the sound of one of several parts
 * is its samples; else a row for each query. */
static void shape_of(const pcv_spec *whole, pcv_answer_info *a)
{
    const pcv_prep *p = &whole->prep;

    a->rank = 2;
    a->dim[0] = a->queries;
    a->dim[1] = a->outputs;
    if (a->kind == PCV_ANSWER_FLOW) {
        a->rank = 3;
        a->dim[0] = (size_t)p->height;
        a->dim[1] = (size_t)p->width;
        a->dim[2] = a->outputs;
    }
    if ((a->kind == PCV_ANSWER_CLASSES && a->queries == 1) ||
        (a->kind == PCV_ANSWER_SOUND && whole->parts)) {
        a->rank = 1;
        a->dim[0] = a->queries * a->outputs;
    }
}

pcv_answer_info pcv_model_answer(const pcv_model *m, size_t i)
{
    const pcv_spec *s = &m->net.spec;
    const pcv_reply *r = &m->net.answer[i];
    pcv_answer_info a = { .name = pcv_spec_answer_name(s, (int)i),
                          .kind = kind_of(pcv_spec_answer(s, (int)i)),
                          .queries = (size_t)r->n,
                          .outputs = (size_t)r->outputs };

    if (a.kind == PCV_ANSWER_PICTURE || a.kind == PCV_ANSWER_FLOW)
        a.pictures = 1;
    if (a.kind == PCV_ANSWER_FRAMES)
        a.pictures = (size_t)pcv_spec_answer(s, (int)i)->prep.frames;
    shape_of(s, &a);
    return a;
}

size_t pcv_model_main(const pcv_model *m)
{
    for (size_t i = 0; i < pcv_model_answers(m); i++)
        if (pcv_model_answer(m, i).kind == PCV_ANSWER_CLASSES)
            return i;
    return 0;
}

static const pcv_spec *main_spec(const pcv_model *m)
{
    return pcv_spec_answer(&m->net.spec, (int)pcv_model_main(m));
}

bool pcv_model_classifies(const pcv_model *m)
{
    return main_spec(m)->task == PCV_CLASSIFY;
}

size_t pcv_model_outputs(const pcv_model *m)
{
    return (size_t)main_spec(m)->outputs;
}

size_t pcv_model_queries(const pcv_model *m)
{
    return (size_t)m->net.answer[pcv_model_main(m)].n;
}

const char *pcv_model_label(const pcv_model *m, size_t k)
{
    const pcv_spec *s = main_spec(m);

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

char *pcv_answer_setting(const pcv_model *m, size_t i, const char *name)
{
    pcv_buf b = {0};

    pcv_spec_get(pcv_spec_answer(&m->net.spec, (int)i), name, &b);
    return b.data;
}

const char *pcv_model_class(const pcv_model *m)
{
    return m->net.spec.origin ? m->net.spec.origin : "PcvPerceiver";
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

pcv_worker *pcv_worker_new(const pcv_model *m)
{
    pcv_worker *w = pcv_alloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->m = m;
    pcv_session_open(&w->s, &m->net, false, pcv_net_asked(&m->net, CHUNK));
    pcv_session_open(&w->decode, &m->net, false,
                     pcv_net_asked(&m->net, CHUNK));
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

/* What was read goes: nothing is left to ask. */
static void forget(pcv_worker *w)
{
    w->last = NULL;
    w->tiles = NULL;
}

/* Did a sound that is in a file reach us in whole? */
static int check_read(const pcv_entry *e)
{
    return e->x[0].dtype == PCV_STORED ? pcv_store_check(e->x[0].data) : 0;
}

static int bind(pcv_worker *w, const pcv_entry *e)
{
    const pcv_array *x[PCV_MOST_PARTS];

    forget(w);
    if (!e->loaded)
        return pcv_fail(EX_USAGE, "%s: not loaded", e->name);
    for (int i = 0; i < PCV_MOST_PARTS; i++)
        x[i] = e->x[i].data ? &e->x[i] : NULL;
    return pcv_session_bind(&w->s, x, 1);
}

int pcv_worker_read(pcv_worker *w, const pcv_entry *e)
{
    const pcv_pass pass = {0};

    if (e->loaded && pcv_wants_tiles(&w->m->net, &e->x[0])) {
        w->last = NULL;
        w->tiles = e;
        return 0;
    }
    if (bind(w, e) < 0)
        return -1;
    pcv_session_encode(&w->s, &pass);
    if (check_read(e) < 0)
        return -1;
    w->last = &w->s;
    return 0;
}

pcv_values *pcv_encode(pcv_worker *w, const pcv_entry *e)
{
    const pcv_net *n = &w->m->net;
    size_t dim[2] = { pcv_model_latents(w->m),
                      pcv_model_latent_channels(w->m) };

    if (pcv_worker_read(w, e) < 0)
        return NULL;
    if (w->tiles) {
        pcv_fail(EX_DATAERR, "%s: %zux%zu pixels, want %dx%d: a picture that "
                 "is taken in tiles has no latents of its own", e->name,
                 e->x[0].dim[2], e->x[0].dim[3], n->spec.prep.height,
                 n->spec.prep.width);
        return NULL;
    }
    return pcv_values_of(2, dim, w->s.x[n->uses]);
}

pcv_values *pcv_encode_crossed(pcv_worker *w, const pcv_entry *e)
{
    const pcv_pass pass = {0};
    size_t dim[2] = { pcv_model_latents(w->m),
                      pcv_model_latent_channels(w->m) };
    const real *x;

    if (bind(w, e) < 0)
        return NULL;
    x = pcv_session_cross(&w->s, &pass);
    return check_read(e) < 0 ? NULL : pcv_values_of(2, dim, x);
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

/* ---- answers --------------------------------------------------------- */

int pcv_worker_resume(pcv_worker *w, const pcv_values *latents)
{
    const pcv_spec *s = &w->m->net.spec;
    size_t size = (size_t)s->latents * (size_t)s->d;
    real *x;
    int r;

    forget(w);
    if (latents->count != size || latents->rank < 2 ||
        latents->dim[latents->rank - 1] != (size_t)s->d)
        return pcv_fail(EX_DATAERR, "latents of %zu values, the model has %d x "
                        "%d", latents->count, s->latents, s->d);
    if (s->decoder == PCV_DECODE_INPUT)
        return pcv_fail(EX_DATAERR, "this model asks with the rows of its "
                        "input: give it the files, not their latents");
    if (!(x = pcv_alloc(size, sizeof *x)))
        return -1;
    for (size_t i = 0; i < size; i++)
        x[i] = (real)latents->data[i];
    r = pcv_session_plan(&w->decode, 1, x);
    pcv_free(x);
    w->last = &w->decode;
    return r;
}

static int check_index(const pcv_reply *a, const int *index, size_t n)
{
    if (!index && n > (size_t)a->n)
        return pcv_fail(EX_USAGE, "%zu queries, the model has %d", n, a->n);
    for (size_t i = 0; index && i < n; i++)
        if (index[i] < 0 || index[i] >= a->n)
            return pcv_fail(EX_USAGE, "query %d, the model has 0 to %d",
                            index[i], a->n - 1);
    return 0;
}

/* Queries index[0..n), a chunk at a time. */
void pcv_answer_chunks(pcv_session *s, size_t which, const int *index,
                       size_t n, float *out)
{
    const pcv_pass pass = {0};
    size_t k = (size_t)s->net->answer[which].outputs;
    int own[CHUNK], most = s->asked;

    for (size_t at = 0; at < n; at += (size_t)most) {
        int len = n - at < (size_t)most ? (int)(n - at) : most;
        const real *y;

        for (int i = 0; i < len; i++)
            own[i] = index ? index[at + (size_t)i] : (int)at + i;
        y = pcv_session_decode(s, &pass, (int)which, own, len);
        for (size_t i = 0; i < (size_t)len * k; i++)
            out[at * k + i] = (float)y[i];
    }
}

static pcv_values *ask(pcv_worker *w, size_t which, const int *index, size_t n)
{
    pcv_answer_info a = pcv_model_answer(w->m, which);
    pcv_values *v;

    if (w->tiles && !index)
        return pcv_ask_tiles(w);
    if (!w->last) {
        pcv_fail(EX_USAGE, w->tiles ? "single queries of a picture that is "
                 "taken in tiles" : "nothing to ask: nothing was run");
        return NULL;
    }
    if (w->m->net.answer[which].queries.kind == PCV_ASK_INPUT)
        a.queries = (size_t)w->last->batch.tokens.n;    /* of a short text */
    if (index || a.rank == 2) {
        n = index ? n : a.queries;
        a.rank = 2;
        a.dim[0] = n;
        a.dim[1] = a.outputs;
    }
    n = index ? n : a.queries;
    if (check_index(&w->m->net.answer[which], index, n) < 0 ||
        !(v = pcv_values_new(a.rank, a.dim)))
        return NULL;
    pcv_answer_chunks(w->last, which, index, n, v->data);
    return v;
}

/* Weights or latents that diverged do not pass as an answer. */
pcv_values *pcv_ask(pcv_worker *w, size_t which, const int *index, size_t n)
{
    pcv_values *v = ask(w, which, index, n);

    for (size_t i = 0; v && i < v->count; i++)
        if (!isfinite(v->data[i])) {
            pcv_fail(EX_DATAERR, "output %zu is %s, want a finite number: the "
                     "weights or latents are not, or too large", i,
                     isnan(v->data[i]) ? "nan" : "infinite");
            pcv_values_free(v);
            v = NULL;
        }
    return v;
}

pcv_values *pcv_answer(pcv_worker *w, const pcv_entry *e)
{
    if (pcv_worker_read(w, e) < 0)
        return NULL;
    return pcv_ask(w, pcv_model_main(w->m), NULL, 0);
}

pcv_values *pcv_decode_latents(pcv_worker *w, const pcv_values *latents,
                               const int *index, size_t n)
{
    if (pcv_worker_resume(w, latents) < 0)
        return NULL;
    return pcv_ask(w, pcv_model_main(w->m), index, n);
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
    pcv_entry e = { .loaded = true, .name = "array" };
    pcv_media media = { .kind = PCV_MEDIA_ARRAY };
    pcv_values *v = NULL;

    media.array.dtype = PCV_F32;
    media.array.rank = x->rank;
    memcpy(media.array.dim, x->dim, sizeof media.array.dim);
    media.array.data = x->data;
    if (prep->modality == PCV_BYTES && ids_of(x, &media.array) < 0)
        return NULL;
    if (pcv_prepare(prep, &media, e.name, &e.x[0]) == 0)
        v = pcv_answer(w, &e);
    forget(w);
    if (media.array.data != x->data)
        pcv_free(media.array.data);
    pcv_array_free(&e.x[0]);
    return v;
}

void pcv_probabilities(const float *logits, size_t count, double *p)
{
    for (size_t i = 0; i < count; i++)
        p[i] = (double)logits[i];
    pcv_softmax(p, count);
}

pcv_values *pcv_classify_file(pcv_worker *w, const char *path)
{
    pcv_inputs in = { .path = &path, .paths = 1 };
    pcv_stream *s = pcv_stream_open(w->m, &in);
    pcv_values *v = NULL;
    pcv_entry *e = NULL;

    if (s && pcv_stream_next(s, &e) == 1 && pcv_entry_load(s, e) == 0)
        v = pcv_answer(w, e);
    if (v && pcv_interpret(w->m, pcv_model_main(w->m), v) < 0) {
        pcv_values_free(v);
        v = NULL;
    }
    forget(w);
    pcv_entry_free(e);
    pcv_stream_close(s);
    return v;
}

/* ---- cost ------------------------------------------------------------ */

static int bad_size(const char *size, const char *want)
{
    return pcv_fail(EX_USAGE, "size '%s', want %s", size, want);
}

/* The shape of a prepared input of size "HxW" or "N"; NULL: the model's. */
static int input_shape(const pcv_spec *s, const char *size, pcv_array *x)
{
    const pcv_prep *p = &s->prep;
    bool image = p->modality == PCV_IMAGE, flow = p->modality == PCV_FLOW;
    unsigned long a = 0, b = 0;
    int n = size ? sscanf(size, "%lux%lu", &a, &b) : 0;
    size_t h = size ? a : (size_t)p->height, w = size ? b : (size_t)p->width;
    size_t samples = p->samples ? (size_t)p->samples : (size_t)p->length;
    const pcv_array shape[] = {
        [PCV_IMAGE] = { PCV_F32, 3, { (size_t)p->channels, h, w }, NULL },
        [PCV_SOUND] = { PCV_F32, 1, { size ? a : samples }, NULL },
        [PCV_BYTES] = { PCV_I32, 1, { size ? a : (size_t)p->length }, NULL },
        [PCV_POINTS] = { PCV_F32, 2, { size ? a : (size_t)p->length,
                                       (size_t)p->channels }, NULL },
        [PCV_PLAIN] = { PCV_F32, 2, { size ? a : (size_t)p->length,
                                      (size_t)p->channels }, NULL },
        [PCV_FLOW] = { PCV_F32, 4, { 2, 3, h, w }, NULL },
        [PCV_VIDEO] = { PCV_F32, 4, { (size_t)p->frames, 3, (size_t)p->height,
                                      (size_t)p->width }, NULL },
        [PCV_ONE_HOT] = { PCV_F32, 1, { (size_t)p->channels }, NULL },
    };

    if (size && (n < 1 || a == 0 || a > 1 << 26 ||
                 ((image || flow) && (n < 2 || b == 0 || b > 1 << 26))))
        return bad_size(size, image || flow ? "HxW" : "a count");
    *x = shape[p->modality];
    if (p->modality == PCV_SOUND && p->mels)
        *x = (pcv_array){ PCV_F32, 2, { pcv_prep_frames(p, x->dim[0]),
                                        (size_t)p->mels }, NULL };
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

static int input_of(const pcv_spec *s, const char *size, pcv_array *x)
{
    if (size && s->parts)
        return bad_size(size, "none: a model of several modalities has its "
                        "own");
    for (int i = 0; i < pcv_spec_count(s); i++)
        if (input_shape(pcv_spec_part(s, i), size, &x[i]) < 0 ||
            fill_shape(&x[i]) < 0)
            return -1;
    return 0;
}

_Static_assert((int)PCV_MOST_COSTS == 2 + (int)PCV_MOST_PARTS,
               "pcv_cost_info has a place for each part of pcv_cost");

int pcv_model_cost(const pcv_model *m, const char *size, pcv_cost_info *c)
{
    pcv_array x[PCV_MOST_PARTS] = {{0}};
    const pcv_array *px[PCV_MOST_PARTS];
    pcv_cost cost;
    int r = -1;

    for (int i = 0; i < PCV_MOST_PARTS; i++)
        px[i] = &x[i];
    if (input_of(&m->net.spec, size, x) == 0)
        r = pcv_net_cost(&m->net, px, &cost);
    for (int i = 0; i < PCV_MOST_PARTS; i++)
        pcv_array_free(&x[i]);
    if (r < 0)
        return -1;
    *c = (pcv_cost_info){ .parameters = (double)m->net.params.total,
                          .elements = cost.elements,
                          .channels = cost.channels, .plain = cost.plain,
                          .run = cost.run, .memory = cost.memory,
                          .parts = (size_t)cost.parts };
    for (int i = 0; i < cost.parts; i++) {
        const pcv_cost_part *p = &cost.part[i];

        memcpy(c->part[i].name, p->name, sizeof p->name);
        c->part[i].form = p->form;
        c->part[i].plain = p->plain;
        c->part[i].run = p->run;
        c->part[i].bytes = p->bytes;
    }
    return 0;
}

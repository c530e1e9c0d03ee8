/* session_test.c - whole models: every gradient against central differences,
 * for every modality, position code, decoder and rule of sharing; and bits
 * that must not depend on threads, on recomputing, or on what came before.
 * Memory is what was planned, and nothing is allocated once a shape is known.
 */
#include "model_help.h"
#include "scratch.h"

#include "../lib/handles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

#define SMALL "latents=3 latent-channels=4 self-heads=2 layers=1 outputs=3 " \
              "bands=2 "
#define MEAN SMALL "decoder=mean blocks=3 cross-attends=3 "
#define IO SMALL "blocks=2 "
#define GRID SMALL "task=reconstruct decoder=grid query-bands=2 blocks=1 "
#define FILL IO "modality=bytes length=9 position=learned vocabulary=7 " \
              "embedding=5 task=fill queries=9 "
#define PARTS "latents=3 latent-channels=4 self-heads=2 layers=1 shared=5 " \
    "blocks=2 cross-attends=2 " \
    "parts=digit~modality=class~channels=3~outputs=3;" \
    "image~modality=image~channels=2~height=3~width=4~bands=2;" \
    "sound~modality=sound~samples=18~patch=4~bands=2;" \
    "who~modality=class~channels=2~outputs=2~task=tags"
#define PARTS_AGAIN "latents=3 latent-channels=4 self-heads=2 layers=1 " \
    "shared=5 decoder=grid parts=image~modality=image~channels=2~height=3~" \
    "width=4~bands=2~task=reconstruct~decoder=grid~query-bands=2~outputs=2;" \
    "sound~modality=sound~samples=18~patch=4~bands=2~task=reconstruct~" \
    "decoder=grid~query-bands=3~outputs=4;" \
    "sort~modality=class~channels=3~outputs=3"
#define PICTURE "channels=2 height=3 width=4 "

static const model_case cases[] = {
    { "Perceiver", MEAN PICTURE, {0}, 0, 0, 0, 0 },
    { "all shared", MEAN PICTURE "share-first-cross=yes", {0}, 0, 0.2, 0, 0 },
    { "nothing shared", MEAN PICTURE "share-cross=no share-first-block=no "
      "share-blocks=no", {0}, 0, 0.2, 0, 0 },
    { "first block own, two cross-attends", MEAN PICTURE
      "share-first-block=no cross-attends=2", {0}, 0, 0.2, 0, 0 },
    { "no layers", MEAN PICTURE "layers=0", {0}, 0, 0.2, 0, 0 },
    { "Perceiver IO", IO PICTURE, {0}, 0, 0, 0, 0 },
    { "widths, heads, activation", IO PICTURE "qk-channels=6 v-channels=4 "
      "cross-heads=2 cross-widening=2 self-widening=3 activation=gelu_tanh "
      "query-residual=no decoder-residual=no decoder-heads=2",
      {0}, 0, 0.2, 0, 0 },
    { "NeRF positions", IO PICTURE "position=nerf", {0}, 0, 0.2, 0, 0 },
    { "no positions", IO PICTURE "position=none", {0}, 0, 0.2, 0, 0 },
    { "learned positions", IO PICTURE "position=learned "
      "position-channels=3", {0}, 0, 0.2, 0, 0 },
    { "squares of pixels", MEAN "channels=2 height=4 width=6 picture-patch=2 ",
      {0}, 0, 0.2, 0, 0 },
    { "squares of pixels, learned", IO "channels=1 height=4 width=6 "
      "picture-patch=2 position=learned position-channels=3 "
      "project-content=4", {0}, 0, 0.2, 0, 0 },
    { "learned, projected", IO PICTURE "position=learned project-content=4 "
      "position-channels=3 project-positions=yes", {0}, 0, 0.2, 0, 0 },
    { "learned, added", IO PICTURE "position=learned project-content=3 "
      "position-channels=2 project-positions=yes add-positions=yes",
      {0}, 0, 0.2, 0, 0 },
    { "GEGLU, no biases, no MLP in the decoder", IO PICTURE "qkv-bias=no "
      "activation=geglu self-widening=2 decoder-mlp=no", {0}, 0, 0.2, 0, 0 },
    { "a norm before the head", MEAN PICTURE "head-norm=yes "
      "position-order=axes activation=silu", {0}, 0, 0.2, 0, 0 },
    { "widths of layers and decoder", IO PICTURE "self-qk-channels=6 "
      "self-v-channels=2 decoder-qk-channels=3 decoder-v-channels=5 "
      "attention-shape=q decoder-widening=2 activation=quick_gelu",
      {0}, 0, 0.2, 0, 0 },
    { "sound", IO "modality=sound samples=18 patch=4 max-resolution=7",
      { 18, 18, 18 }, 0, 0.2, 0, 0 },
    { "sound, learned", IO "modality=sound samples=18 patch=4 "
      "position=learned position-channels=3", { 18, 18, 18 }, 0, 0.2, 0, 0 },
    { "bytes", IO "modality=bytes length=9 position=learned vocabulary=7 "
      "embedding=5", { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "bytes and their neighbours", IO "modality=bytes length=9 vocabulary=7 "
      "embedding=5 position=learned neighbours=2", { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "bytes without positions", IO "modality=bytes length=9 vocabulary=7 "
      "embedding=5 position=none", { 6, 9, 4 }, 0, 0, 0, 0 },
    { "points", IO "modality=points channels=4 max-resolution=5",
      { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "points, NeRF", MEAN "modality=points channels=3 position=nerf",
      { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "points, raw", IO "modality=points channels=3 position=none",
      { 6, 9, 4 }, 0, 0, 0, 0 },
    { "array", IO "modality=array channels=2", { 7, 7, 7 }, 0, 0.2, 0, 0 },
    { "array, raw", IO "modality=array channels=5 position=none",
      { 7, 7, 7 }, 0, 0.2, 0, 0 },
    { "array, learned", MEAN "modality=array channels=2 length=7 "
      "position=learned position-channels=3", { 7, 7, 7 }, 0, 0.2, 0, 0 },
    { "pictures again", GRID PICTURE "outputs=2", {0}, 5, 0.2, 0, 0 },
    { "pictures again, everywhere", GRID PICTURE "outputs=2 "
      "position=learned position-channels=3", {0}, 0, 0.2, 0, 0 },
    { "sound again", GRID "modality=sound samples=18 patch=4 outputs=4",
      { 18, 18, 18 }, 3, 0.2, 0, 0 },
    { "tags", IO PICTURE "task=tags", {0}, 0, 0.2, 0, 0 },
    { "numbers", IO PICTURE "task=values", {0}, 0, 0.2, 0, 0 },
    { "a hidden layer of the mean", MEAN PICTURE "head-norm=yes "
      "head-hidden=yes", {0}, 0, 0.2, 0, 0 },
    { "masked bytes", FILL "tied=yes query-channels=5 outputs=7",
      { 6, 9, 4 }, 3, 0.2, 0, 0 },
    { "masked bytes, own head", FILL "outputs=7", { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "fewer latents", IO PICTURE, {0}, 0, 0.2, 0, 2 },
    { "fewer latents, their mean", MEAN PICTURE, {0}, 0, 0.2, 0, 1 },
    { "another order", IO PICTURE "permute=5", {0}, 0, 0.2, 0, 0 },
    { "another order, learned positions", IO PICTURE "position=learned "
      "position-channels=3 permute=5", {0}, 0, 0.2, 0, 0 },
    { "bytes in another order", IO "modality=bytes length=9 position=learned "
      "vocabulary=7 embedding=5 permute=3", { 6, 9, 4 }, 0, 0.2, 0, 0 },
    { "parts", PARTS, { 18, 18, 18 }, 0, 0.2, 0, 0 },
    { "parts, no picture", PARTS, { 18, 18, 18 }, 0, 0.2, 2, 0 },
    { "parts, no sound", PARTS, { 18, 18, 18 }, 0, 0.2, 4, 0 },
    { "parts that are made again", PARTS_AGAIN, { 18, 18, 18 }, 4, 0.2, 0, 0 },
    { "parts without a grid", "latents=3 latent-channels=4 self-heads=2 "
      "layers=1 shared=5 parts=text~modality=bytes~length=9~position=learned~"
      "vocabulary=7~embedding=5;cloud~modality=points~channels=3~bands=2~"
      "max-resolution=5;sort~modality=class~channels=3~outputs=3",
      { 6, 9, 4 }, 0, 0.2, 0, 0 },
};

/* Large enough that work is cut into pieces. */
#define WIDE "latents=40 latent-channels=64 self-heads=4 outputs=10 bands=6 "
static const model_case wide[] = {
    { "wide picture", WIDE "channels=3 height=33 width=31 blocks=2 "
      "cross-attends=2 decoder=mean", {0}, 0, 0.1, 0, 0 },
    { "wide squares", WIDE "channels=3 height=66 width=62 picture-patch=2 "
      "blocks=2 cross-attends=2 decoder=mean", {0}, 0, 0.1, 0, 0 },
    { "wide learned picture", WIDE "channels=3 height=20 width=21 "
      "position=learned project-content=9 project-positions=yes",
      {0}, 0, 0, 0, 0 },
    { "wide bytes", WIDE "modality=bytes length=700 position=learned "
      "embedding=48 cross-heads=4", { 700, 311, 500 }, 0, 0.1, 0, 0 },
    { "wide points", WIDE "modality=points channels=3 max-resolution=9",
      { 900, 1200, 33 }, 0, 0.1, 0, 0 },
    { "wide picture again", WIDE "channels=3 height=33 width=31 outputs=3 "
      "task=reconstruct decoder=grid query-bands=7", {0}, 257, 0.1, 0, 0 },
};

/* ---- gradients ------------------------------------------------------- */

static double worst;

/* Loss with *w moved by h, over what it really moved. */
static double slope(model *m, real *w, double h)
{
    real keep = *w, up = keep + (real)h, down = keep - (real)h;
    double high, low;

    *w = up;
    high = model_loss(m);
    *w = down;
    low = model_loss(m);
    *w = keep;
    return (high - low) / ((double)up - (double)down);
}

/* The loss by one number.  Float needs a wide step and then the next order,
 * and can only tell a wrong formula from a right one. */
static double difference(model *m, real *w)
{
#ifdef PCV_DOUBLE
    return slope(m, w, 4e-6);
#else
    return (4 * slope(m, w, 4e-3) - slope(m, w, 8e-3)) / 3;
#endif
}

/* The float build has no more to say for looking at every number. */
enum { EVERY = HELP_TOL(5, 1) };

static void check_param(model *m, const pcv_param *p, double floor,
                        const model_case *c)
{
    real *want = pcv_alloc(p->count, sizeof *want);
    real *have = pcv_alloc(p->count, sizeof *have);
    char what[200];
    double e;

    for (size_t k = 0; k < p->count; k += EVERY) {
        want[k] = (real)difference(m, &p->w[k]);
        have[k] = p->g[k];
    }
    e = help_error(have, want, p->count, floor);
    snprintf(what, sizeof what, "%s: %s", c->name, p->name);
    help_below(e, HELP_TOL(2e-2, 1e-6), what, 0);
    worst = fmax(worst, e);
    pcv_free(want);
    pcv_free(have);
}

/* What is zero in truth is compared with a share of the largest. */
static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++) {
        double most = 0;
        model m;

        model_open(&m, &cases[i]);
        model_step(&m);
        for (int k = 0; k < m.net.params.count; k++) {
            const pcv_param *p = m.net.params.param[k];

            most = fmax(most, help_size(p->g, p->count));
        }
        for (int k = 0; k < m.net.params.count; k++)
            check_param(&m, m.net.params.param[k], HELP_TOL(1e-2, 1e-3) * most,
                        &cases[i]);
        model_close(&m);
    }
    print_message("largest error of a gradient: %.2g\n", worst);
}

/* ---- bits ------------------------------------------------------------ */

/* What a step leaves. */
typedef struct {
    double loss;
    size_t latents, outputs, params;
    real *x, *out, *g;
} result;

static real *copy(const real *x, size_t n)
{
    real *y = pcv_alloc(n, sizeof *y);

    assert_non_null(y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static void keep(result *r, model *m)
{
    const pcv_net *n = &m->net;

    *r = (result){ .loss = model_step(m), .params = n->params.total };
    r->latents = (size_t)(MODEL_ITEMS * m->s.n * n->spec.d);
    r->outputs = (size_t)(MODEL_ITEMS * m->feed.target[n->answers - 1].asked *
                          n->answer[n->answers - 1].outputs);
    r->x = copy(m->s.x[n->uses], r->latents);
    r->out = copy(m->s.out, r->outputs);
    r->g = copy(n->params.g, r->params);
}

static void drop(result *r)
{
    pcv_free(r->x);
    pcv_free(r->out);
    pcv_free(r->g);
}

/* Another step gives the same bits. */
static void check_same(const result *want, model *m, const char *name)
{
    result r;

    keep(&r, m);
    if (memcmp(&r.loss, &want->loss, sizeof r.loss) ||
        memcmp(r.x, want->x, r.latents * sizeof(real)) ||
        memcmp(r.out, want->out, r.outputs * sizeof(real)) ||
        memcmp(r.g, want->g, r.params * sizeof(real)))
        fail_msg("%s: other bits", name);
    drop(&r);
}

/* The least that a pass of the model can do with. */
static size_t least_memory(model *m)
{
    pcv_session s;
    double mb;

    pcv_session_open(&s, &m->net, true, m->asked);
    pcv_session_latents(&s, m->s.n);
    s.most = 1;
    assert_int_equal(pcv_session_bind(&s, m->px, MODEL_ITEMS), -1);
    assert_int_equal(sscanf(pcv_error(), "a pass over %*d items takes at least "
                            "%lf MB, max-mem allows 0.00", &mb), 1);
    pcv_error_clear();
    assert_true(fabs(mb * 1e6 - (double)s.bytes) <= 0.006e6);
    pcv_session_close(&s);
    return s.bytes;
}

/* With all records, with none, and with some of them. */
static void check_recompute(const model_case *c)
{
    size_t least, all;
    model m;
    result r;

    model_open(&m, c);
    keep(&r, &m);
    check_same(&r, &m, c->name);
    assert_int_equal(m.s.kept, m.net.uses);
    all = m.s.bytes;
    least = least_memory(&m);
    for (int k = 0; k < 3; k++) {
        model_session(&m, PCV_FORM_AUTO, least + (all - least) * (size_t)k / 3);
        assert_true(m.s.bytes <= m.s.most);
        assert_true(m.s.arena.size <= m.s.most);
        check_same(&r, &m, c->name);
        check_same(&r, &m, c->name);
    }
    drop(&r);
    model_close(&m);
}

static void test_recompute(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++)
        check_recompute(&cases[i]);
    for (size_t i = 0; i < PCV_LEN(wide); i++)
        check_recompute(&wide[i]);
}

static void check_threads(const model_case *c)
{
    static const int threads[] = { 2, 4, 3, 1 };

    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_FOLDED; form++) {
        model m;
        result r;

        model_open(&m, c);
        model_session(&m, form, 0);
        keep(&r, &m);
        for (size_t k = 0; k < PCV_LEN(threads); k++) {
            assert_int_equal(pcv_threads_set(threads[k]), 0);
            model_session(&m, form, 0);
            check_same(&r, &m, c->name);
        }
        drop(&r);
        model_close(&m);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++)
        check_threads(&cases[i]);
    for (size_t i = 0; i < PCV_LEN(wide); i++)
        check_threads(&wide[i]);
}

/* ---- memory ---------------------------------------------------------- */

static void check_plan(const pcv_session *s, const char *name)
{
    if (s->arena.peak != s->arena.size)
        fail_msg("%s: %zu bytes planned, %zu taken", name, s->arena.size,
                 s->arena.peak);
    if (s->scratch.used != 0 || s->scratch.peak > s->scratch.size)
        fail_msg("%s: scratch of %zu bytes, %zu taken, %zu left", name,
                 s->scratch.size, s->scratch.peak, s->scratch.used);
}

static void check_memory(const model_case *c, bool recompute)
{
    long before;
    model m;

    model_open(&m, c);
    model_session(&m, PCV_FORM_AUTO, recompute ? least_memory(&m) : 0);
    model_step(&m);
    check_plan(&m.s, c->name);
    before = pcv_alloc_count();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pcv_session_bind(&m.s, m.px, MODEL_ITEMS), 0);
        model_step(&m);
    }
    if (pcv_alloc_count() != before)
        fail_msg("%s: %ld allocations", c->name, pcv_alloc_count() - before);
    check_plan(&m.s, c->name);
    model_close(&m);
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++)
        check_memory(&cases[i], i % 2);
    for (size_t i = 0; i < PCV_LEN(wide); i++) {
        check_memory(&wide[i], false);
        check_memory(&wide[i], true);
    }
}

/* After a bind that ran out of memory the next one is as good as the first. */
static void check_failing(const model_case *c)
{
    bool failed = true;
    model m;
    result r;

    model_open(&m, c);
    keep(&r, &m);
    for (long k = 1; failed; k++) {
        pcv_session_close(&m.s);
        pcv_session_open(&m.s, &m.net, true, m.asked);
        pcv_session_latents(&m.s, c->latents ? c->latents
                                             : m.net.spec.latents);
        pcv_alloc_fail_at(k);
        failed = pcv_session_bind(&m.s, m.px, MODEL_ITEMS) < 0;
        pcv_alloc_fail_at(0);
        if (failed)
            assert_failed(EX_OSERR, "");
        assert_int_equal(pcv_session_bind(&m.s, m.px, MODEL_ITEMS), 0);
        check_same(&r, &m, c->name);
    }
    drop(&r);
    model_close(&m);
}

static void test_failing(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++)
        check_failing(&cases[i]);
}

/* ---- inference ------------------------------------------------------- */

/* Inputs of other sizes, some with as many elements as one before: what came
 * before an item must not show. */
typedef struct {
    const char *settings;
    int size[6][2];             /* height and width, or the length */
} mixed;

static const mixed mixes[] = {
    { IO "channels=2 fit=keep", { { 3, 40 }, { 40, 3 }, { 1, 120 }, { 120, 1 },
                                  { 5, 5 }, { 12, 10 } } },
    { IO "channels=1 fit=keep picture-patch=2",
      { { 2, 40 }, { 40, 2 }, { 4, 20 }, { 2, 2 }, { 64, 66 }, { 66, 64 } } },
    { IO "channels=1 fit=keep position=nerf",
      { { 2, 3 }, { 3, 2 }, { 1, 6 }, { 6, 1 }, { 64, 65 }, { 65, 64 } } },
    { MEAN "modality=points channels=4 max-resolution=5",
      { { 6 }, { 300 }, { 1 }, { 6 }, { 17 }, { 299 } } },
    { IO "modality=bytes length=300 position=learned vocabulary=70",
      { { 6 }, { 300 }, { 1 }, { 6 }, { 17 }, { 299 } } },
    { IO "modality=array channels=2",
      { { 6 }, { 300 }, { 1 }, { 6 }, { 17 }, { 299 } } },
    { IO "modality=sound samples=0 patch=4",
      { { 6 }, { 300 }, { 1 }, { 6 }, { 17 }, { 299 } } },
    { GRID PICTURE "outputs=2", { { 0 } } },
};

static void save_model(const char *settings)
{
    pcv_spec spec;
    pcv_net net;

    model_spec(&spec, settings);
    if (pcv_net_build(&net, &spec) < 0)
        fail_msg("%s", pcv_error());
    help_params(&net.params, 3);
    if (pcv_net_save(&net, ".") < 0)
        fail_msg("%s", pcv_error());
    pcv_net_free(&net);
}

static void mixed_array(const mixed *x, int i, pcv_array *a)
{
    pcv_spec spec;

    model_spec(&spec, x->settings);
    if (x->size[i][1]) {
        spec.prep.height = x->size[i][0];
        spec.prep.width = x->size[i][1];
    }
    model_input(&spec, x->size[i][0], 60 + (uint64_t)i, a);
}

static void mixed_input(const mixed *x, int i, pcv_values *v)
{
    pcv_array a;

    mixed_array(x, i, &a);
    *v = (pcv_values){ .rank = a.rank, .count = pcv_array_count(&a) };
    memcpy(v->dim, a.dim, sizeof v->dim);
    v->data = pcv_alloc(v->count, sizeof *v->data);
    pcv_dtype_to_float(a.dtype, a.data, v->count, v->data);
    pcv_array_free(&a);
}

static pcv_values *answer(pcv_worker *w, const pcv_values *x)
{
    pcv_values *v = pcv_answer_array(w, x);

    if (!v)
        fail_msg("%s", pcv_error());
    return v;
}

static void check_mixed(const mixed *x)
{
    static const int order[] = { 0, 1, 2, 3, 4, 5, 5, 3, 1, 4, 0, 2, 2 };
    pcv_model *m = pcv_model_open("./");
    pcv_worker *w = pcv_worker_new(m);

    assert_non_null(w);
    for (size_t k = 0; k < PCV_LEN(order); k++) {
        pcv_worker *fresh = pcv_worker_new(m);
        pcv_values in, *alone, *after;

        mixed_input(x, order[k], &in);
        alone = answer(fresh, &in);
        after = answer(w, &in);
        if (alone->count != after->count ||
            memcmp(alone->data, after->data, alone->count * sizeof(float)))
            fail_msg("%s: item %d", x->settings, order[k]);
        pcv_values_free(alone);
        pcv_values_free(after);
        pcv_free(in.data);
        pcv_worker_free(fresh);
    }
    pcv_worker_free(w);
    pcv_model_close(m);
}

static void test_any_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(mixes); i++) {
        save_model(mixes[i].settings);
        check_mixed(&mixes[i]);
    }
}

/* Latents that went through a file of floats answer as if they had not. */
static void check_latents(const mixed *x, int item)
{
    pcv_model *m = pcv_model_open("./");
    pcv_worker *w = pcv_worker_new(m);
    pcv_entry e = { .loaded = true, .name = "mixed" };
    pcv_values *latents, *want, *have;

    assert_non_null(w);
    mixed_array(x, item, &e.x[0]);
    latents = pcv_encode(w, &e);
    want = pcv_answer(w, &e);
    have = pcv_decode_latents(w, latents, NULL, pcv_model_queries(m));
    if (!latents || !want || !have)
        fail_msg("%s", pcv_error());
    assert_int_equal(have->count, want->count);
    for (size_t i = 0; i < want->count; i++)
        if (!(fabs((double)have->data[i] - (double)want->data[i]) <=
              HELP_TOL(0, 1e-5)))
            fail_msg("%s: answer %zu", x->settings, i);
    pcv_values_free(latents);
    pcv_values_free(want);
    pcv_values_free(have);
    pcv_array_free(&e.x[0]);
    pcv_worker_free(w);
    pcv_model_close(m);
}

static void test_latents(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(mixes); i++) {
        save_model(mixes[i].settings);
        check_latents(&mixes[i], 0);
    }
}

/* A picture in squares of 2x2 is one of half the sides with four times the
 * channels, made here pixel by pixel: the same bits. */
static void test_squares(void **state)
{
    static const model_case half = { "half", IO "channels=12 height=4 width=5",
                                     {0}, 0, 0.2, 0, 0 };
    static const model_case whole = { "squares", IO "channels=3 height=8 "
                                      "width=10 picture-patch=2", {0}, 0, 0.2,
                                      0, 0 };
    model small, large;
    result want;

    (void)state;
    model_open(&small, &half);
    model_open(&large, &whole);
    for (int i = 0; i < MODEL_ITEMS; i++)
        for (int k = 0; k < 3; k++)
            for (int y = 0; y < 8; y++)
                for (int x = 0; x < 10; x++) {
                    int c = (y % 2 * 2 + x % 2) * 3 + k;

                    ((float *)small.x[i].data)[(c * 4 + y / 2) * 5 + x / 2] =
                        ((float *)large.x[i].data)[(k * 8 + y) * 10 + x];
                }
    model_session(&small, PCV_FORM_AUTO, 0);
    keep(&want, &small);
    check_same(&want, &large, "squares");
    drop(&want);
    model_close(&small);
    model_close(&large);
}

/* A model does not know in which order its elements come. */
static void test_order(void **state)
{
    static const char *const settings[] = {
        MEAN PICTURE, IO PICTURE "position=learned position-channels=3",
        IO "modality=bytes length=9 position=learned vocabulary=7 embedding=5",
        IO "modality=sound samples=18 patch=4", GRID PICTURE "outputs=2",
        IO "modality=points channels=4 max-resolution=5",
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(settings); i++) {
        char text[400];
        model_case c = { settings[i], settings[i], { 18, 18, 18 }, 0, 0.2, 0,
                         0 };
        model plain, moved;
        double loss;

        if (strstr(c.settings, "bytes"))
            memcpy(c.size, (int[]){ 6, 9, 4 }, sizeof c.size);
        model_open(&plain, &c);
        snprintf(text, sizeof text, "%s permute=11", settings[i]);
        c.settings = text;
        model_open(&moved, &c);
        loss = model_step(&plain);
        help_below(fabs(model_step(&moved) / loss - 1), HELP_TOL(1e-5, 1e-13),
                   settings[i], 0);
        help_below(help_error(moved.net.params.g, plain.net.params.g,
                              plain.net.params.total, 0),
                   HELP_TOL(2e-5, 1e-12), settings[i], 1);
        assert_true(memcmp(moved.net.params.g, plain.net.params.g,
                           plain.net.params.total * sizeof(real)) != 0);
        model_close(&plain);
        model_close(&moved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_squares),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_failing),
        TEST(test_any_order),
        TEST(test_latents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

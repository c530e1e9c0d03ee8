/* golden_test.c - training as the published implementation does it: outputs,
 * losses, all gradients and ten steps of either optimiser on models with
 * random weights (golden/README.md says where the numbers are from).
 *
 * Every case runs in every form of attention that its input allows. */
#include "help.h"

#include "../lib/train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4, STEPS = 10 };

/* What a model is, and its names where they are not ours: pairs of beginnings,
 * ours and the file's. */
typedef struct {
    const char *name;
    bool shared;                /* in PCV_SHARED, not in the repository */
    void (*describe)(pcv_spec *s);
    const char *const *names;
} golden_case;

typedef struct {
    pcv_tensors weights, train;
    pcv_net net;
    pcv_session s;
    int items, label[MOST];
    pcv_array x[MOST];
    int32_t *ids;               /* of all texts */
} golden;

typedef struct {
    double output, loss, gradient, losses;
} errors;

/* ---- the cases ------------------------------------------------------- */

static void describe_v1(pcv_spec *s)
{
    s->prep.channels = 3;
    s->prep.height = 20;
    s->prep.width = 24;
    s->bands = 8;
    s->latents = 12;
    s->d = 32;
    s->rounds = s->cross_attends = 3;
    s->layers = 2;
    s->decoder = PCV_DECODE_MEAN;
    s->outputs = 5;
}

static void describe_text(pcv_spec *s)
{
    s->prep.modality = PCV_BYTES;
    s->prep.length = 40;
    s->position = PCV_POS_LEARNED;
    s->vocab = 262;
    s->embed = 24;
    s->latents = 8;
    s->d = 32;
    s->rounds = 1;
    s->layers = 2;
    s->cross_heads = s->self_heads = 4;
    s->qk = 16;
    s->v = 32;
    s->outputs = 3;
}

static void describe_learned(pcv_spec *s)
{
    s->prep.channels = 3;
    s->prep.height = s->prep.width = 12;
    s->position = PCV_POS_LEARNED;
    s->pos_channels = s->project = 256;
    s->pos_project = 1;
    s->latents = 8;
    s->d = 16;
    s->rounds = s->layers = 2;
    s->self_heads = 4;
    s->outputs = 6;
}

static const char *const names_v1[] = {
    "perceiver.embeddings.", "",
    "perceiver.encoder.cross_attention.", "cross_first.",
    "perceiver.encoder.cross_attention_1.", "cross_rest.",
    "perceiver.encoder.self_attends.", "block.",
    NULL
};

static const golden_case v1 = { "train-perceiver-v1", false, describe_v1,
                                names_v1 };
static const golden_case text = { "train-language-classify", false,
                                  describe_text, NULL };
static const golden_case learned = { "train-vision-learned", true,
                                     describe_learned, NULL };

/* ---- files ----------------------------------------------------------- */

static void open_file(pcv_tensors *t, const golden_case *c, const char *file)
{
    const char *tests = getenv("PCV_TESTS"), *root = getenv("PCV_SHARED");
    char path[4096];

    if (!c->shared)
        root = tests ? tests : "tests";
    snprintf(path, sizeof path, "%s/golden/%s/%s", root, c->name, file);
    if (pcv_tensors_open(t, path) < 0)
        fail_msg("%s", pcv_error());
}

static const pcv_tensor *find(const pcv_tensors *t, const char *name)
{
    const pcv_tensor *found = pcv_tensors_find(t, name);

    if (!found)
        fail_msg("no tensor %s", name);
    return found;
}

/* The values of a tensor, pcv_free. */
static real *values(const pcv_tensors *t, const char *name, size_t n)
{
    const pcv_tensor *from = find(t, name);
    real *x = pcv_alloc(n, sizeof *x);

    assert_non_null(x);
    assert_int_equal(from->bytes, n * pcv_dtype_size(from->dtype));
#ifdef PCV_DOUBLE
    pcv_dtype_to_double(from->dtype, from->data, n, x);
#else
    pcv_dtype_to_float(from->dtype, from->data, n, x);
#endif
    return x;
}

static double relative(const golden *g, const char *name, const real *have,
                       size_t n)
{
    real *want = values(&g->train, name, n);
    double e = help_error(have, want, n, 0);

    pcv_free(want);
    return e;
}

/* ---- a case in memory ------------------------------------------------ */

/* The file's name for a parameter of ours. */
static char *rename_one(const char *const *names, const char *ours)
{
    pcv_buf b = {0};

    for (; names && *names; names += 2) {
        size_t n = strlen(names[0]);

        if (!strncmp(ours, names[0], n)) {
            pcv_buf_printf(&b, "%s%s", names[1], ours + n);
            return b.data;
        }
    }
    return pcv_strdup(ours);
}

static void open_net(golden *g, const golden_case *c)
{
    pcv_spec spec;

    pcv_spec_default(&spec);
    c->describe(&spec);
    if (pcv_net_build(&g->net, &spec) < 0)
        fail_msg("%s", pcv_error());
    for (int i = 0; i < g->net.params.count; i++) {
        pcv_param *p = g->net.params.param[i];
        char *name = rename_one(c->names, p->name);

        pcv_free(p->name);
        p->name = name;
    }
    assert_int_equal(pcv_params_weights(&g->net.params), 0);
    assert_int_equal(pcv_params_grads(&g->net.params), 0);
}

static void start(golden *g)
{
    for (int i = 0; i < g->net.params.count; i++) {
        const pcv_param *p = g->net.params.param[i];
        const pcv_tensor *t = find(&g->weights, p->name);

        assert_int_equal(t->dtype, PCV_F32);
        assert_int_equal(t->bytes, p->count * sizeof(float));
        for (size_t k = 0; k < p->count; k++)
            p->w[k] = (real)((const float *)t->data)[k];
    }
}

static void open_pictures(golden *g)
{
    const pcv_tensor *t = find(&g->train, "input.pixel_values");
    size_t one = t->bytes / t->dim[0];

    for (size_t i = 0; i < t->dim[0]; i++)
        g->x[i] = (pcv_array){ PCV_F32, 3, { t->dim[1], t->dim[2], t->dim[3] },
                               (char *)t->data + i * one };
}

/* Ids; where the reference's mask is 0 there has to be our padding. */
static void open_texts(golden *g)
{
    const pcv_tensor *t = find(&g->train, "input.input_ids");
    size_t n = t->dim[0] * t->dim[1];
    double *id = pcv_alloc(n, sizeof *id), *mask = pcv_alloc(n, sizeof *mask);

    g->ids = pcv_alloc(n, sizeof *g->ids);
    pcv_dtype_to_double(t->dtype, t->data, n, id);
    t = find(&g->train, "input.attention_mask");
    pcv_dtype_to_double(t->dtype, t->data, n, mask);
    for (size_t i = 0; i < n; i++) {
        g->ids[i] = (int32_t)id[i];
        assert_int_equal(id[i] > 0, mask[i] > 0);
    }
    for (size_t i = 0; i < t->dim[0]; i++)
        g->x[i] = (pcv_array){ PCV_I32, 1, { t->dim[1] },
                               g->ids + i * t->dim[1] };
    pcv_free(id);
    pcv_free(mask);
}

static void golden_open(golden *g, const golden_case *c)
{
    const pcv_tensor *t;
    double label[MOST];

    memset(g, 0, sizeof *g);
    open_file(&g->weights, c, "model.safetensors");
    open_file(&g->train, c, "train.safetensors");
    open_net(g, c);
    t = find(&g->train, "labels");
    assert_in_range(t->dim[0], 1, MOST);
    g->items = (int)t->dim[0];
    pcv_dtype_to_double(t->dtype, t->data, t->dim[0], label);
    for (int i = 0; i < g->items; i++)
        g->label[i] = (int)label[i];
    if (g->net.spec.prep.modality == PCV_BYTES)
        open_texts(g);
    else
        open_pictures(g);
    pcv_session_open(&g->s, &g->net, true, 1);
}

static void golden_close(golden *g)
{
    pcv_session_close(&g->s);
    pcv_net_free(&g->net);
    pcv_tensors_close(&g->weights);
    pcv_tensors_close(&g->train);
    pcv_free(g->ids);
}

/* Outputs, loss and gradients of the batch. */
static double pass(golden *g)
{
    const pcv_pass none = {0};
    const pcv_array *x[MOST];
    pcv_params *p = &g->net.params;
    int k = g->net.spec.outputs;
    real *want = pcv_alloc((size_t)(g->items * k), sizeof *want);
    pcv_feeding f = { .net = &g->net, .items = g->items, .parts = 1,
                      .target = { { .asked = 1, .want = want } } };
    pcv_tally tally = {0};

    assert_non_null(want);
    for (int i = 0; i < g->items; i++) {
        x[i] = &g->x[i];
        want[i * k + g->label[i]] = 1;
    }
    if (pcv_session_bind(&g->s, x, g->items) < 0)
        fail_msg("%s", pcv_error());
    memset(p->g, 0, p->total * sizeof *p->g);
    pcv_session_encode(&g->s, &none);
    pcv_session_decode(&g->s, &none, 0, NULL, 1);
    pcv_objective(&g->s, &f, 0, 0, 1.0 / g->items, &tally);
    pcv_session_backward_start(&g->s);
    pcv_session_backward_answer(&g->s, &none, 1);
    pcv_session_backward_encode(&g->s, &none);
    pcv_free(want);
    return tally.loss / g->items;
}

/* ---- comparisons ----------------------------------------------------- */

static void worse(double *worst, double e)
{
    *worst = e <= *worst ? *worst : e;
}

static void check_rows(const golden *g, const char *name, size_t n, size_t c)
{
    const pcv_tokens *t = &g->s.batch.tokens;
    real *want = values(&g->train, name, (size_t)g->items * n * c);
    real *have = pcv_alloc(n * c, sizeof *have);

    assert_int_equal(t->n, n);
    assert_int_equal(t->c, c);
    for (int b = 0; b < g->items; b++) {
        t->tile(t, b, 0, (int)n, have);
        for (size_t i = 0; i < n * c; i++)
            if (!(fabs((double)have[i] -
                       (double)want[(size_t)b * n * c + i]) <= 1e-4))
                fail_msg("%s: item %d, value %zu", name, b, i);
    }
    pcv_free(want);
    pcv_free(have);
}

/* Keys take part as differences only, so the gradient of their bias is
 * rounding errors here and there: compared with that of their weights. */
static double gradient_error(const golden *g, const pcv_param *p)
{
    const pcv_param *scale = p;
    char name[256], *bias;
    real *want;
    double e, size;

    snprintf(name, sizeof name, "grad.%s", p->name);
    want = values(&g->train, name, p->count);
    if ((bias = strstr(name, "key.bias"))) {
        strcpy(bias, "key.weight");
        scale = pcv_params_find(&g->net.params, name + strlen("grad."));
    }
    size = help_size(scale->g, scale->count);
    assert_true(size > 1e-3);
    e = help_error(p->g, want, p->count, bias ? size : 0);
    pcv_free(want);
    return e;
}

static void check_gradients(const golden *g, errors *worst)
{
    for (int i = 0; i < g->net.params.count; i++) {
        const pcv_param *p = g->net.params.param[i];
        double e = gradient_error(g, p);

        help_below(e, 1e-3, p->name, g->s.form);
        worse(&worst->gradient, e);
    }
}

static void check_pass(golden *g, errors *worst)
{
    const pcv_spec *s = &g->net.spec;
    size_t latents = (size_t)(g->items * s->latents * s->d);
    real loss = (real)pass(g);
    double e = relative(g, "output", g->s.out,
                        (size_t)(g->items * s->outputs));

    help_below(e, 1e-5, "output", g->s.form);
    worse(&worst->output, e);
    e = relative(g, "loss", &loss, 1);
    help_below(e, 1e-5, "loss", g->s.form);
    worse(&worst->loss, e);
    check_gradients(g, worst);
    if (!pcv_tensors_find(&g->train, "latents"))
        return;
    help_below(relative(g, "latents", g->s.x[g->net.uses], latents), 1e-5,
               "latents", g->s.form);
    check_rows(g, "preprocessed", 480, 37);
}

/* Ten steps from the start; each loss is that before the step. */
static void check_steps(golden *g, const char *name, const pcv_run_spec *run,
                        errors *worst)
{
    real *want = values(&g->train, name, STEPS);
    pcv_moments m;

    start(g);
    assert_int_equal(pcv_moments_open(&m, &g->net.params), 0);
    for (int i = 0; i < STEPS; i++) {
        double loss = pass(g), e = fabs(loss - (double)want[i]) /
                                   fabs((double)want[i]);

        help_below(e, 1e-3, name, i);
        worse(&worst->losses, e);
        pcv_optimize(&m, run, &g->net.params, (uint64_t)i + 1, run->lr, 1);
    }
    pcv_moments_close(&m);
    pcv_free(want);
}

static void check_optimizers(golden *g, errors *worst)
{
    pcv_run_spec run;

    pcv_run_default(&run);
    run.optimizer = PCV_ADAMW;
    run.lr = 1e-3;
    run.eps = 1e-8;
    run.weight_decay = 0.05;
    check_steps(g, "losses.adamw", &run, worst);
    run.optimizer = PCV_LAMB;
    run.lr = 2e-3;
    run.eps = 1e-6;
    run.weight_decay = 0.1;
    check_steps(g, "losses.lamb", &run, worst);
}

/* The structured form needs a grid whose positions are not learned. */
static void check_case(const golden_case *c)
{
    golden g;
    errors worst = {0};

    if (c->shared && !getenv("PCV_SHARED"))
        skip();
    golden_open(&g, c);
    start(&g);
    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_GRID; form++) {
        pcv_session_close(&g.s);
        pcv_session_open(&g.s, &g.net, true, 1);
        g.s.form = form;
        if (form != PCV_FORM_GRID || c == &v1)
            check_pass(&g, &worst);
    }
    check_optimizers(&g, &worst);
    golden_close(&g);
    print_message("%s: output %.1e, loss %.1e, gradients %.1e, losses %.1e\n",
                  c->name, worst.output, worst.loss, worst.gradient,
                  worst.losses);
}

static void test_perceiver(void **state)
{
    (void)state;
    check_case(&v1);
}

static void test_text(void **state)
{
    (void)state;
    check_case(&text);
}

static void test_learned(void **state)
{
    (void)state;
    check_case(&learned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perceiver),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_learned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

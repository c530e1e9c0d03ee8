/* vector_test.c - models whose weights are a formula, with outputs that were
 * computed in double by the published implementation and by an independent one:
 * no files needed.  One of the bare network, and one of each published class
 * but sequence classification, which is written as a directory with config.json
 * and model.safetensors and answers a file; there all forms of the attend are
 * held to be equal, too. */
#include "help.h"
#include "scratch.h"
#include "subject.h"

#include "../lib/handles.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

/* ---- error ----------------------------------------------------------- */

static double worst;

/* |have - want| / |want| of n values. */
static void check_to(double tol, const char *what, int which,
                     const float *have, const double *want, size_t n)
{
    double up = 0, down = 0;

    for (size_t i = 0; i < n; i++) {
        up += pow((double)have[i] - want[i], 2);
        down += pow(want[i], 2);
    }
    help_below(sqrt(up / down), tol, what, which);
    worst = fmax(worst, sqrt(up / down));
}

/* The numbers are printed with eight decimals. */
static void check(const char *what, int which, const float *have,
                  const double *want, size_t n)
{
    check_to(HELP_TOL(1e-5, 1e-6), what, which, have, want, n);
}

static int report(void **state)
{
    (void)state;
    print_message("largest error: %.2g\n", worst);
    return 0;
}

/* ---- the weights ----------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const pcv_param *const *p = a, *const *q = b;

    return strcmp((*p)->name, (*q)->name);
}

static bool adds_one(const char *name)
{
    const char *end = strrchr(name, '.');

    if (!end)
        return false;
    if (strstr(name, "layernorm") || strstr(name, "batchnorm"))
        return !strcmp(end, ".weight") || !strcmp(end, ".running_var");
    return false;
}

/* All names of a model in ASCII order; element k of tensor t is
 * a sin(0.7 k + 1.3 t + 0.2), plus 1 in the gains of norms and in running
 * variances. */
static void fill(pcv_params *p, double a, int tensors)
{
    pcv_param **order = pcv_alloc((size_t)p->count, sizeof *order);

    assert_int_equal(p->count, tensors);
    assert_int_equal(pcv_params_weights(p), 0);
    memcpy(order, p->param, (size_t)p->count * sizeof *order);
    qsort(order, (size_t)p->count, sizeof *order, by_name);
    for (int t = 0; t < p->count; t++)
        for (size_t k = 0; k < order[t]->count; k++)
            order[t]->w[k] = (real)(a * sin(0.7 * (double)k + 1.3 * t + 0.2) +
                                    adds_one(order[t]->name));
    pcv_free(order);
}

/* ---- 1: the core ----------------------------------------------------- */

typedef struct {
    pcv_net net;
    pcv_session s;
} model;

static void core_spec(pcv_spec *s)
{
    pcv_spec_default(s);
    s->prep.modality = PCV_PLAIN;
    s->prep.channels = 3;
    s->position = PCV_POS_NONE;
    s->latents = 3;
    s->d = 4;
    s->rounds = 2;
    s->layers = s->cross_heads = 1;
    s->self_heads = s->outputs = 2;
}

/* The logits of one input; mask NULL or of its elements. */
static const real *answer(model *m, const pcv_array *x, int form,
                          const unsigned char *mask)
{
    const pcv_pass pass = {0};

    pcv_session_close(&m->s);
    pcv_session_open(&m->s, &m->net, false, 1);
    m->s.form = form;
    if (pcv_session_bind(&m->s, &x, 1) < 0)
        fail_msg("%s", pcv_error());
    m->s.batch.tokens.mask = mask;
    pcv_session_encode(&m->s, &pass);
    return pcv_session_decode(&m->s, &pass, 0, NULL, 1);
}

static void check_reals(const char *what, int which, const real *have,
                        const double *want, size_t n)
{
    float x[12];

    for (size_t i = 0; i < n; i++)
        x[i] = (float)have[i];
    check(what, which, x, want, n);
}

static void test_core(void **state)
{
    static const double hidden[] = {
        -0.14215634, 2.10334668, -0.98927290, -0.34388660,
        0.17822446, 1.45169476, -0.84060809, 1.05675226,
        -0.06169015, 2.46538483, -0.70602696, -0.14039022
    };
    static const double logits[] = { -0.12990400, -0.36231480 };
    static const double masked[] = { -0.13081319, -0.36095146 };
    static const double masked_hidden[] = { -0.01243810, 2.09893017,
                                            -1.10018803, -0.21669857 };
    static const unsigned char mask[] = { 1, 1, 1, 0, 0 };
    float rows[15];
    pcv_array x = { PCV_F32, 2, { 5, 3 }, rows };
    pcv_spec spec;
    model m = {0};

    (void)state;
    for (int i = 0; i < 15; i++)
        rows[i] = (float)cos(0.9 * i);
    core_spec(&spec);
    assert_int_equal(pcv_net_build(&m.net, &spec), 0);
    fill(&m.net.params, 0.5, 56);
    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_GRID; form++) {
        check_reals("core", form, answer(&m, &x, form, NULL), logits, 2);
        check_reals("core, latents", form, m.s.x[m.net.uses], hidden, 12);
        check_reals("core, masked", form, answer(&m, &x, form, mask), masked,
                    2);
        check_reals("core, masked, latents", form, m.s.x[m.net.uses],
                    masked_hidden, 4);
    }
    pcv_session_close(&m.s);
    pcv_net_free(&m.net);
}

/* ---- a model's directory --------------------------------------------- */

#define SMALL "'num_latents': 3, 'd_latents': 8, 'num_blocks': 1, " \
    "'num_self_attends_per_block': 1, 'num_self_attention_heads': 2, " \
    "'num_cross_attention_heads': 1"
#define FOUR "'id2label': {'0': 'a', '1': 'b', '2': 'c', '3': 'd'}"

/* The count of batches takes a place among the names and is 0. */
static void add_counter(pcv_params *p)
{
    const char *norm = "perceiver.input_preprocessor.convnet.batchnorm";

    if (pcv_params_find(p, "perceiver.input_preprocessor.convnet.batchnorm"
                           ".running_var"))
        pcv_param_add(p, norm, "num_batches_tracked", 1, 0, 0, 0, false);
}

static void clear_counter(pcv_params *p)
{
    pcv_param *n = pcv_params_find(p, "perceiver.input_preprocessor.convnet."
                                      "batchnorm.num_batches_tracked");

    if (n)
        n->w[0] = 0;
}

static void write_weights(const pcv_net *n)
{
    pcv_tensor_out *t;
    int count = pcv_net_tensors(n, &t);

    assert_true(count > 0);
    if (pcv_tensors_save("model.safetensors", t, (size_t)count, NULL, NULL,
                         0) < 0)
        fail_msg("%s", pcv_error());
    pcv_free(t);
}

/* Opens the model of that class; ' stands for ". */
static void open_class(subject *s, const char *class, const char *settings,
                       double a, int tensors)
{
    char text[1024];
    pcv_spec spec;
    pcv_net net;

    snprintf(text, sizeof text, "{'architectures': ['Perceiver%s'], %s}",
             class, settings);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    scratch_puts("config.json", text);
    if (pcv_spec_parse(&spec, text, strlen(text), class) < 0 ||
        pcv_net_build(&net, &spec) < 0)
        fail_msg("%s", pcv_error());
    add_counter(&net.params);
    fill(&net.params, a, tensors);
    clear_counter(&net.params);
    write_weights(&net);
    pcv_net_free(&net);
    pcv_spec_free(&spec);
    subject_open(s, ".");
}

/* Reads the file, as a program would. */
static void read_input(subject *s)
{
    subject_load(s, "input");
    if (pcv_worker_read(s->w, s->e) < 0)
        fail_msg("%s", pcv_error());
}

static void write_array(pcv_dtype dtype, int rank, const size_t *dim,
                        const void *x)
{
    pcv_buf b = {0};
    size_t n = pcv_dtype_size(dtype);

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    pcv_npy_header(&b, dtype, rank, dim);
    pcv_buf_add(&b, x, n);
    scratch_put("input", b.data, b.len);
    pcv_buf_free(&b);
}

/* Whole matrices, streamed keys and the structured form: the same latents. */
static void check_forms(const subject *s, const char *what)
{
    const pcv_net *n = &s->m->net;
    const pcv_array *x[PCV_MOST_PARTS];
    const pcv_pass pass = {0};
    real want[64];

    for (int i = 0; i < PCV_MOST_PARTS; i++)
        x[i] = s->e->x[i].data ? &s->e->x[i] : NULL;
    assert_true(n->latents->count <= PCV_LEN(want));
    for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++) {
        const real *y;
        pcv_session p;

        pcv_session_open(&p, n, false, 1);
        p.form = form;
        assert_int_equal(pcv_session_bind(&p, x, 1), 0);
        y = pcv_session_encode(&p, &pass);
        if (form == PCV_FORM_PLAIN)
            memcpy(want, y, n->latents->count * sizeof *y);
        help_below(help_error(y, want, n->latents->count, 0),
                   HELP_TOL(1e-5, 1e-12), what, form);
        pcv_session_close(&p);
    }
}

/* ---- 2: masked language model ---------------------------------------- */

static void test_language(void **state)
{
    static const double want[2][4] = {
        { -0.21101339, 0.64642293, 1.20866044, 1.22193718 },
        { -0.19511790, 0.66510362, 1.22174115, 1.22354641 }
    };
    static const int32_t ids[] = { 4, 7, 9, 3, 5, 0 };
    int best = 0;
    pcv_values *v;
    subject s;

    (void)state;
    open_class(&s, "ForMaskedLM", "'num_latents': 4, 'd_latents': 16, "
               "'d_model': 8, 'num_blocks': 1, 'num_self_attends_per_block': "
               "2, 'num_self_attention_heads': 8, 'num_cross_attention_heads':"
               " 8, 'qk_channels': 16, 'v_channels': 16, 'vocab_size': 20, "
               "'max_position_embeddings': 6", 0.3, 73);
    write_array(PCV_I32, 1, (size_t[]){ 6 }, ids);
    read_input(&s);
    v = pcv_ask(s.w, 0, NULL, 0);
    assert_true(v && v->count == 6 * 20);
    check("language", 0, v->data, want[0], 4);
    check("language", 1, v->data + 20, want[1], 4);
    for (int k = 1; k < 20; k++)
        if (v->data[3 * 20 + k] > v->data[3 * 20 + best])
            best = k;
    assert_int_equal(best, 12);
    check_forms(&s, "language, latents");
    pcv_values_free(v);
    subject_close(&s);
}

/* ---- 3, 4 and 5: classifiers ----------------------------------------- */

/* pixel[c][h][w] = sin(0.3 c + 0.5 h - 0.8 w), 3 x height x width */
static void write_picture(int height, int width)
{
    double x[3 * 15 * 17], *at = x;

    for (int c = 0; c < 3; c++)
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++)
                *at++ = sin(0.3 * c + 0.5 * h - 0.8 * w);
    write_array(PCV_F64, 3, (size_t[]){ 3, (size_t)height, (size_t)width }, x);
}

static void check_logits(subject *s, const char *what, const double *want)
{
    pcv_values *v;

    read_input(s);
    v = pcv_ask(s->w, 0, NULL, 0);
    assert_true(v && v->count == 4);
    check(what, 0, v->data, want, 4);
    check_forms(s, what);
    pcv_values_free(v);
    subject_close(s);
}

static void test_fourier(void **state)
{
    static const double want[] = { -0.00436885, -0.11746705, -0.17625139,
                                   -0.15563822 };
    subject s;

    (void)state;
    open_class(&s, "ForImageClassificationFourier", "'num_latents': 3, "
               "'d_latents': 8, 'num_blocks': 2, 'num_self_attends_per_block':"
               " 2, 'num_self_attention_heads': 2, 'num_cross_attention_heads'"
               ": 1, " FOUR, 0.1, 72);
    write_picture(5, 6);
    check_logits(&s, "Fourier", want);
}

static void test_learned(void **state)
{
    static const double want[] = { 3.58735028, 1.14692982, -1.80355113,
                                   -3.94362367 };
    subject s;

    (void)state;
    open_class(&s, "ForImageClassificationLearned", SMALL ", 'image_size': 4, "
               FOUR, 0.3, 61);
    write_picture(4, 4);
    check_logits(&s, "learned", want);
}

static void test_convolution(void **state)
{
    static const double want[] = { 3.53661551, 1.30586541, -1.50628630,
                                   -3.64146236 };
    subject s;

    (void)state;
    open_class(&s, "ForImageClassificationConvProcessing", SMALL ", " FOUR,
               0.3, 62);
    write_picture(15, 17);
    check_logits(&s, "convolution", want);
}

/* ---- 6: optical flow ------------------------------------------------- */

/* The pair, and value by value: both are what is left of larger sums, the
 * second of sums a hundred times its size, and a float build has fewer digits
 * of them; a build of doubles has them all. */
static void check_flow(const pcv_values *v, int pixel, const double *want)
{
    const float *have = v->data + 2 * pixel;

    check_to(HELP_TOL(5e-5, 1e-6), "flow", pixel, have, want, 2);
    for (int k = 0; k < 2; k++)
        check_to(HELP_TOL(5e-4, 1e-6), k ? "flow, down" : "flow, right", pixel,
                 have + k, want + k, 1);
}

static void write_frames(void)
{
    double x[2 * 3 * 5 * 6], *at = x;

    for (int f = 0; f < 2; f++)
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < 6; j++)
                    *at++ = sin(0.9 * f + 0.3 * c + 0.5 * i - 0.7 * j);
    write_array(PCV_F64, 4, (size_t[]){ 2, 3, 5, 6 }, x);
}

static void test_flow(void **state)
{
    static const double want[3][2] = { { 0.97511437, -0.06300587 },
                                       { 0.97549635, -0.06284679 },
                                       { 0.97506652, -0.06302579 } };
    pcv_values *v;
    subject s;

    (void)state;
    open_class(&s, "ForOpticalFlow", "'num_latents': 4, 'd_latents': 8, "
               "'num_blocks': 1, 'num_self_attends_per_block': 1, "
               "'num_self_attention_heads': 2, 'num_cross_attention_heads': 1,"
               " 'train_size': [5, 6]", 0.6, 57);
    write_frames();
    read_input(&s);
    v = pcv_ask(s.w, 0, NULL, 0);
    assert_true(v && v->rank == 3 && v->count == 5 * 6 * 2);
    check_flow(v, 0, want[0]);
    check_flow(v, 1, want[1]);
    check_flow(v, 29, want[2]);
    check_forms(&s, "flow, latents");
    pcv_values_free(v);
    subject_close(&s);
}

/* ---- 7: sound, video and label at once ------------------------------- */

enum { SAMPLES = 24, FRAMES = 2, SIDE = 8 };

static void write_parts(void)
{
    double audio[SAMPLES], image[FRAMES * 3 * SIDE * SIDE], label[5] = {0};
    pcv_tensor_out t[] = {
        { "audio", PCV_F64, 3, { 1, SAMPLES, 1 }, audio },
        { "image", PCV_F64, 5, { 1, FRAMES, 3, SIDE, SIDE }, image },
        { "label", PCV_F64, 2, { 1, 5 }, label },
    };

    for (int i = 0; i < SAMPLES; i++)
        audio[i] = cos(0.4 * i);
    for (int i = 0; i < FRAMES * 3 * SIDE * SIDE; i++)
        image[i] = sin(0.2 * (i / 192) + 0.3 * (i / 64 % 3) +
                       0.5 * (i / 8 % 8) - 0.7 * (i % 8));
    assert_int_equal(pcv_tensors_save("input", t, PCV_LEN(t), NULL, NULL, 0),
                     0);
}

/* Each of the last two layers leaves a few thousandths of what it sums, so
 * weights rounded to float, alone, move these outputs by 3e-6, and sums in
 * float by 2e-5 to 2e-4, as the order of adding goes.  Queries of one part
 * differ by less: the double build tells whether their positions are right. */
static void test_parts(void **state)
{
    static const double want[3][9] = {
        { 45.83862806, 47.84312966, 46.80213534, 42.88454296,
          45.83909470, 47.84369952, 46.80277058, 42.88520139 },
        { -31.68340944, -39.66118602, -45.01328375,
          -31.68352192, -39.66142194, -45.01362746,
          -31.68376458, -39.66194415, -45.01439453 },
        { 8.07526354, 17.33801194, 25.33168999, 31.68953672, 36.13148964 }
    };
    static const int index[3][3] = { { 1, 5 }, { 0, 9, 127 }, { 0 } };
    static const size_t count[] = { 2, 3, 1 };
    subject s;

    (void)state;
    open_class(&s, "ForMultimodalAutoencoding", "'num_latents': 4, "
               "'d_latents': 8, 'num_blocks': 1, 'num_self_attends_per_block':"
               " 1, 'num_self_attention_heads': 2, 'num_cross_attention_heads'"
               ": 1, 'num_frames': 2, 'audio_samples_per_frame': 12, "
               "'samples_per_patch': 4, 'image_size': 4, 'output_shape': [1, "
               "2, 8, 8], 'id2label': {'0': 'a', '1': 'b', '2': 'c', '3': "
               "'d', '4': 'e'}", 0.6, 71);
    write_parts();
    read_input(&s);
    for (size_t i = 0; i < 3; i++) {
        pcv_values *v = pcv_ask(s.w, i, index[i], count[i]);
        size_t n = v ? v->count / count[i] : 0;

        assert_true(n == pcv_model_answer(s.m, i).outputs);
        for (size_t k = 0; k < count[i]; k++)
            check_to(HELP_TOL(5e-4, 2e-7), "parts", (int)i, v->data + k * n,
                     want[i] + k * n, n);
        pcv_values_free(v);
    }
    check_forms(&s, "parts, latents");
    subject_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_core), TEST(test_language), TEST(test_fourier),
        TEST(test_learned), TEST(test_convolution), TEST(test_flow),
        TEST(test_parts),
    };

    return cmocka_run_group_tests(tests, NULL, report);
}

/* vector_test.c - small models whose weights are a formula, with outputs that
 * were computed in double by the published implementation and by an
 * independent one: no files needed.  vector_help.h has the formula. */
#include "vector_help.h"

#include "../lib/model/model.h"

#include <math.h>
#include <string.h>

/* ---- models ---------------------------------------------------------- */

typedef struct {
    pcv_net net;
    pcv_session s;
} model;

static void open_model(model *m, const pcv_spec *spec, double a, int tensors)
{
    if (pcv_net_build(&m->net, spec) < 0)
        fail_msg("%s", pcv_error());
    vector_fill(&m->net.params, a, tensors);
    pcv_session_open(&m->s, &m->net, false, 1);
}

static void close_model(model *m)
{
    pcv_session_close(&m->s);
    pcv_net_free(&m->net);
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

static void small_spec(pcv_spec *s, int latents, int d)
{
    pcv_spec_default(s);
    s->rounds = s->layers = 1;
    s->latents = latents;
    s->d = d;
    s->self_heads = 2;
    s->cross_heads = 1;
}

/* ---- 1: the core ----------------------------------------------------- */

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
    model m;

    (void)state;
    for (int i = 0; i < 15; i++)
        rows[i] = (float)cos(0.9 * i);
    small_spec(&spec, 3, 4);
    spec.prep.modality = PCV_PLAIN;
    spec.prep.channels = 3;
    spec.position = PCV_POS_NONE;
    spec.rounds = 2;
    spec.outputs = 2;
    open_model(&m, &spec, 0.5, 56);
    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_GRID; form++) {
        vector_check("core", form, answer(&m, &x, form, NULL), logits, 2);
        vector_check("core, latents", form, m.s.x[m.net.uses], hidden, 12);
        vector_check("core, masked", form, answer(&m, &x, form, mask), masked,
                     2);
        vector_check("core, masked, latents", form, m.s.x[m.net.uses],
                     masked_hidden, 4);
    }
    close_model(&m);
}

/* ---- 2: masked language model ---------------------------------------- */

/* Not a model of ours, but made of our blocks: learned queries without a
 * residual, and the embedding, transposed, instead of a final layer. */
enum { TEXT = 6, EMBED = 8, LATENTS = 4, D = 16, VOCAB = 20 };

typedef struct {
    pcv_params params;
    pcv_stem stem;
    pcv_batch batch;
    pcv_param *latents, *bias;
    pcv_block cross, self[2], decode;
    pcv_queries queries;
} language;

static void open_language(language *l)
{
    const char *encoder = "perceiver.encoder.";
    pcv_stem_spec stem = { .modality = PCV_BYTES, .size = { TEXT },
                           .position = PCV_POS_LEARNED, .vocab = VOCAB,
                           .embed = EMBED };
    pcv_queries_spec ask = {
        .kind = PCV_ASK_LEARNED, .n = TEXT, .e = EMBED,
        .path = "perceiver.decoder.output_position_encodings"
    };
    pcv_block_shape cross = { .d = D, .kv = EMBED, .qk = D, .v = D, .heads = 8,
                              .widening = 1, .residual = true };
    pcv_block_shape self = { .d = D, .qk = D, .v = D, .heads = 8,
                             .widening = 1, .residual = true };
    pcv_block_shape out = { .d = EMBED, .kv = D, .qk = 256, .v = EMBED,
                            .heads = 8, .widening = 1 };
    char path[64] = "perceiver.encoder.self_attends.0";
    pcv_params *p = &l->params;

    memset(l, 0, sizeof *l);
    assert_int_equal(pcv_stem_init(&l->stem, p, &stem), 0);
    assert_int_equal(pcv_queries_init(&l->queries, p, &ask), 0);
    l->latents = pcv_param_add(p, "perceiver.embeddings.latents", "", LATENTS,
                               D, 0, 0, true);
    l->bias = pcv_param_add(p, "embedding_decoder.bias", "", VOCAB, 0, 0, 0,
                            false);
    pcv_block_init(&l->cross, p, "perceiver.encoder.cross_attention", &cross);
    for (int i = 0; i < 2; i++) {
        path[strlen(encoder) + strlen("self_attends.")] = (char)('0' + i);
        pcv_block_init(&l->self[i], p, path, &self);
    }
    pcv_block_init(&l->decode, p, "perceiver.decoder.decoding_cross_attention",
                   &out);
    vector_fill(p, 0.3, 73);
}

static void language_logits(language *l, const pcv_array *x, real *logits)
{
    real latents[3][LATENTS * D], ask[TEXT * EMBED], y[TEXT * EMBED];
    pcv_row_tokens rows;

    assert_int_equal(pcv_batch_bind(&l->batch, &l->stem, &x, 1), 0);
    vector_apply(&l->cross, &l->batch.tokens, LATENTS, PCV_FORM_PLAIN,
                 l->latents->w, latents[0]);
    for (int i = 0; i < 2; i++)
        vector_apply(&l->self[i], NULL, LATENTS, PCV_FORM_PLAIN, latents[i],
                     latents[i + 1]);
    pcv_rows_bind(&rows, latents[2], NULL, 1, LATENTS, D);
    pcv_queries_rows(&l->queries, NULL, 0, NULL, TEXT, ask, EMBED);
    vector_apply(&l->decode, &rows.tokens, TEXT, PCV_FORM_PLAIN, ask, y);
    for (int i = 0; i < TEXT; i++)
        memcpy(logits + i * VOCAB, l->bias->w, VOCAB * sizeof *logits);
    pcv_gemm(false, true, TEXT, VOCAB, EMBED, 1, y, EMBED,
             l->stem.embedding->w, EMBED, 1, logits, VOCAB);
}

static void test_language(void **state)
{
    static const double want[2][4] = {
        { -0.21101339, 0.64642293, 1.20866044, 1.22193718 },
        { -0.19511790, 0.66510362, 1.22174115, 1.22354641 }
    };
    int32_t ids[] = { 4, 7, 9, 3, 5, 0 };
    pcv_array x = { PCV_I32, 1, { TEXT }, ids };
    real logits[TEXT * VOCAB];
    int best = 0;
    language l;

    (void)state;
    open_language(&l);
    language_logits(&l, &x, logits);
    vector_check("language", 0, logits, want[0], 4);
    vector_check("language", 1, logits + VOCAB, want[1], 4);
    for (int k = 1; k < VOCAB; k++)
        if (logits[3 * VOCAB + k] > logits[3 * VOCAB + best])
            best = k;
    assert_int_equal(best, 12);
    pcv_batch_free(&l.batch);
    pcv_queries_free(&l.queries);
    pcv_params_free(&l.params);
}

/* ---- 3 and 4: classifiers -------------------------------------------- */

static void test_fourier(void **state)
{
    static const double logits[] = { -0.00436885, -0.11746705, -0.17625139,
                                     -0.15563822 };
    float pixels[3 * 5 * 6];
    pcv_array x = { PCV_F32, 3, { 3, 5, 6 }, pixels };
    pcv_spec spec;
    model m;

    (void)state;
    vector_wave(pixels, 5, 6);
    small_spec(&spec, 3, 8);
    spec.prep.channels = 3;
    spec.prep.fit = PCV_KEEP;
    spec.bands = 64;
    spec.max_res[0] = spec.max_res[1] = 224;
    spec.rounds = spec.layers = 2;
    spec.outputs = 4;
    open_model(&m, &spec, 0.1, 72);
    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_GRID; form++)
        vector_check("Fourier", form, answer(&m, &x, form, NULL), logits, 4);
    close_model(&m);
}

static void test_learned(void **state)
{
    static const double logits[] = { 3.58735028, 1.14692982, -1.80355113,
                                     -3.94362367 };
    float pixels[3 * 4 * 4];
    pcv_array x = { PCV_F32, 3, { 3, 4, 4 }, pixels };
    pcv_spec spec;
    model m;

    (void)state;
    vector_wave(pixels, 4, 4);
    small_spec(&spec, 3, 8);
    spec.prep.channels = 3;
    spec.prep.height = spec.prep.width = 4;
    spec.position = PCV_POS_LEARNED;
    spec.pos_channels = spec.project = 256;
    spec.pos_project = 1;
    spec.outputs = 4;
    open_model(&m, &spec, 0.3, 61);
    for (int form = PCV_FORM_AUTO; form <= PCV_FORM_TILED; form++)
        vector_check("learned", form, answer(&m, &x, form, NULL), logits, 4);
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_fourier),
        cmocka_unit_test(test_learned),
    };

    return cmocka_run_group_tests(tests, NULL, vector_report);
}

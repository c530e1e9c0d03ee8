/* model_test.c - a model directory: what is written is read again to the bit,
 * every field of config.json survives, and what cannot be a model is refused
 * with the file and the thing in the message. */
#include "model_help.h"
#include "scratch.h"

#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

#define SMALL "latents=3 latent-channels=4 self-heads=2 layers=1 outputs=3 " \
              "bands=2 channels=2 height=3 width=4 "

static void build(pcv_net *n, const pcv_spec *spec)
{
    if (pcv_net_build(n, spec) < 0)
        fail_msg("%s", pcv_error());
    help_params(&n->params, 17);
}

static void save(const char *settings)
{
    pcv_spec spec;
    pcv_net n;

    model_spec(&spec, settings);
    build(&n, &spec);
    if (pcv_net_save(&n, ".") < 0)
        fail_msg("%s", pcv_error());
    pcv_net_free(&n);
}

static void load(pcv_net *n)
{
    if (pcv_net_load(n, ".") < 0)
        fail_msg("%s", pcv_error());
}

/* ---- written is read ------------------------------------------------- */

static const char *const kinds[] = {
    SMALL, SMALL "decoder=mean blocks=3 cross-attends=3 share-cross=no",
    SMALL "layers=0", SMALL "position=learned project-content=5",
    SMALL "modality=bytes position=learned", SMALL "modality=sound",
    SMALL "task=reconstruct decoder=grid outputs=2",
};

static void test_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(kinds); i++) {
        pcv_spec spec;
        pcv_net a, b;

        model_spec(&spec, kinds[i]);
        build(&a, &spec);
        assert_int_equal(pcv_net_save(&a, "."), 0);
        load(&b);
        assert_int_equal(b.params.count, a.params.count);
        assert_int_equal(b.params.total, a.params.total);
        assert_int_equal(b.uses, a.uses);
        for (int k = 0; k < a.params.count; k++)
            assert_memory_equal(b.params.param[k]->w, a.params.param[k]->w,
                                a.params.param[k]->count * sizeof(real));
        pcv_net_free(&a);
        pcv_net_free(&b);
    }
}

/* Also of weights that lie in a mapped file, and of others. */
static void test_identity(void **state)
{
    pcv_net a, b, c;
    char *of_a, *of_b, *of_c;
    real *own;

    (void)state;
    save(SMALL);
    load(&a);
    assert_int_equal(pcv_net_save(&a, "."), 0);
    load(&b);
    of_a = pcv_net_identity(&a);
    of_b = pcv_net_identity(&b);
    assert_string_equal(of_a, of_b);
    own = pcv_alloc(b.latents->count, sizeof *own);
    assert_non_null(own);
    memcpy(own, b.latents->w, b.latents->count * sizeof *own);
    own[5] += (real)1e-3;
    b.latents->w = own;
    assert_int_equal(pcv_net_save(&b, "."), 0);
    load(&c);
    of_c = pcv_net_identity(&c);
    assert_string_not_equal(of_a, of_c);
    pcv_free(own);
    pcv_free(of_a);
    pcv_free(of_b);
    pcv_free(of_c);
    pcv_net_free(&a);
    pcv_net_free(&b);
    pcv_net_free(&c);
}

/* ---- the plan -------------------------------------------------------- */

#define THREE "outputs=2 blocks=3 cross-attends=3 layers=1 "

/* Which weights each use in the plan has. */
static void test_sharing(void **state)
{
    static const char *const plan[][2] = {
        { THREE, "cross_attention self_attends.0 cross_attention_1 "
          "self_attends.0 cross_attention_1 self_attends.0 " },
        { THREE "share-first-cross=yes", "cross_attention self_attends.0 "
          "cross_attention self_attends.0 cross_attention self_attends.0 " },
        { THREE "share-cross=no", "cross_attention self_attends.0 "
          "cross_attention_1 self_attends.0 cross_attention_2 "
          "self_attends.0 " },
        { THREE "share-first-block=no", "cross_attention self_attends.0 "
          "cross_attention_1 self_attends_1.0 cross_attention_1 "
          "self_attends_1.0 " },
        { THREE "share-first-block=no share-blocks=no", "cross_attention "
          "self_attends.0 cross_attention_1 self_attends_1.0 "
          "cross_attention_1 self_attends_2.0 " },
        { "outputs=2 blocks=2 layers=2", "cross_attention self_attends.0 "
          "self_attends.1 self_attends.0 self_attends.1 " },
        { "outputs=2 blocks=2 layers=0", "cross_attention " },
    };
    const char *before = "perceiver.encoder.", *after = ".attention.self";

    (void)state;
    for (size_t i = 0; i < PCV_LEN(plan); i++) {
        pcv_buf b = {0};
        pcv_spec spec;
        pcv_net n;

        model_spec(&spec, plan[i][0]);
        build(&n, &spec);
        for (int k = 0; k < n.uses; k++) {
            const char *name = n.use[k].block->query.w->name + strlen(before);

            pcv_buf_add(&b, name, (size_t)(strstr(name, after) - name));
            pcv_buf_puts(&b, " ");
            assert_int_equal(n.use[k].input, *name == 'c');
        }
        assert_string_equal(b.data, plan[i][1]);
        pcv_buf_free(&b);
        pcv_net_free(&n);
    }
}

/* ---- config.json ----------------------------------------------------- */

/* No field is at its default here. */
static const char other[] =
    "modality=sound channels=3 height=9 width=8 fit=crop crop=0.875 "
    "polarity=light-on-dark mean=0.485,0.456,0.406,0.1234567890123 "
    "std=0.229,0.224,0.225,0.3333333333333333 rate=16000 level=0.25 "
    "samples=333 mels=33 mel-window=12.5 mel-step=3.125 length=77 special=no "
    "position=learned bands=5 "
    "max-resolution=6.5,7,1e-7 position-channels=11 project-positions=yes "
    "project-content=12 patch=7 picture-patch=3 vocabulary=99 embedding=13 "
    "neighbours=4 latents=5 "
    "latent-channels=24 blocks=4 layers=3 cross-attends=3 "
    "share-first-cross=yes share-cross=no share-first-block=no "
    "share-blocks=no cross-heads=2 self-heads=3 qk-channels=12 "
    "v-channels=24 cross-widening=2 self-widening=3 activation=gelu_tanh "
    "query-residual=no decoder=grid decoder-heads=2 decoder-residual=no "
    "query-bands=9 task=reconstruct outputs=7 frames=3 cube=yes "
    "permute=7 nested=2,4 masked=yes padding=5 query-padding=3 shared=6 "
    "tied=yes queries=3 query-channels=10 loss-weight=0.5";

static void value(const pcv_spec *s, const char *name, pcv_buf *b)
{
    pcv_buf_clear(b);
    pcv_spec_get(s, name, b);
    assert_false(b->failed);
}

static void parse(pcv_spec *s, const pcv_buf *text)
{
    if (pcv_spec_parse(s, text->data, text->len, "config.json") < 0)
        fail_msg("%s", pcv_error());
}

/* Every field, as text and to the bit. */
static void check_fields(const pcv_spec *a, const pcv_spec *b)
{
    pcv_buf x = {0}, y = {0};
    const pcv_field *f;

    for (int i = 0; (f = pcv_spec_field(i)); i++) {
        value(a, f->name, &x);
        value(b, f->name, &y);
        if (strcmp(x.data, y.data))
            fail_msg("%s: %s became %s", f->name, x.data, y.data);
    }
    assert_memory_equal(&a->prep, &b->prep, sizeof a->prep);
    assert_memory_equal(a->max_res, b->max_res, sizeof a->max_res);
    pcv_buf_free(&x);
    pcv_buf_free(&y);
}

static void check_round_trip(const pcv_spec *a)
{
    pcv_buf text = {0}, again = {0};
    pcv_spec b;

    pcv_spec_write(a, &text);
    parse(&b, &text);
    check_fields(a, &b);
    pcv_spec_write(&b, &again);
    assert_string_equal(text.data, again.data);
    pcv_buf_free(&text);
    pcv_buf_free(&again);
    pcv_spec_free(&b);
}

static void test_fields(void **state)
{
    pcv_spec standard, spec;
    pcv_buf x = {0}, y = {0};
    const pcv_field *f;

    (void)state;
    pcv_spec_default(&standard);
    model_spec(&spec, other);
    for (int i = 0; (f = pcv_spec_field(i)); i++) {
        value(&standard, f->name, &x);
        value(&spec, f->name, &y);
        if (!strcmp(x.data, y.data) && strcmp(f->name, "parts"))
            fail_msg("%s is at its default", f->name);
    }
    check_round_trip(&spec);
    model_spec(&spec, "latents=3 parts=sort~modality=class~channels=3~"
               "outputs=3~loss-weight=2;picture~modality=image~height=5~"
               "mean=0.1,0.2;hum~modality=sound~masked=yes");
    assert_int_equal(spec.prep.modality, PCV_PARTS);
    assert_int_equal(spec.parts, 3);
    assert_true(spec.part[2].masked && !spec.part[1].masked);
    assert_int_equal(pcv_spec_answers(&spec), 1);
    assert_string_equal(pcv_spec_answer_name(&spec, 0), "sort");
    check_round_trip(&spec);
    pcv_spec_free(&spec);
    pcv_buf_free(&x);
    pcv_buf_free(&y);
}

/* Numbers at the ends of their ranges, and the words that `other` lacks. */
static void test_more_values(void **state)
{
    static const char *const more[] = {
        SMALL, SMALL "layers=0", SMALL "modality=points", SMALL "samples=0",
        SMALL "modality=array position=none", SMALL "position=nerf fit=keep",
        SMALL "max-resolution=0.1 crop=0.3", SMALL "mean=-1e-9 std=1e9",
        SMALL "modality=bytes vocabulary=1 length=1", SMALL "decoder=mean",
        SMALL "outputs=1", SMALL "rate=768000 project-content=0",
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(more); i++) {
        pcv_spec spec;

        model_spec(&spec, more[i]);
        check_round_trip(&spec);
    }
}

static void check_labels(const char *const *label, int n)
{
    pcv_spec a, b;
    pcv_buf text = {0};

    model_spec(&a, SMALL);
    assert_int_equal(pcv_spec_set_labels(&a, label, n), 0);
    pcv_spec_write(&a, &text);
    parse(&b, &text);
    assert_int_equal(b.outputs, n);
    for (int i = 0; i < n; i++)
        assert_string_equal(b.label[i], label[i]);
    pcv_buf_free(&text);
    pcv_spec_free(&a);
    pcv_spec_free(&b);
}

static void test_labels(void **state)
{
    static const char *const odd[] = {
        "a b", "\"quoted\"", "back\\slash", "tab\tnewline\n", "", "caf\xc3\xa9",
        "\xf0\x9f\x90\x88", "0", "1", "\x01", "a/b", "null"
    };
    static const char *const twice[] = { "cat", "dog", "cat" };

    (void)state;
    check_labels(odd, PCV_LEN(odd));
    check_labels(twice, 3);
}

/* Bytes that are not UTF-8 cannot stand in JSON: such labels change, but the
 * model can be read. */
static void test_labels_of_bytes(void **state)
{
    static const char *const bad[] = { "\xff", "\xfe", "caf\xe9" };
    pcv_spec a, b;
    pcv_buf text = {0};

    (void)state;
    model_spec(&a, SMALL);
    assert_int_equal(pcv_spec_set_labels(&a, bad, 3), 0);
    pcv_spec_write(&a, &text);
    parse(&b, &text);
    assert_int_equal(b.outputs, 3);
    assert_string_equal(b.label[2], "caf\xef\xbf\xbd");
    pcv_buf_free(&text);
    pcv_spec_free(&a);
    pcv_spec_free(&b);
}

/* ---- what is refused ------------------------------------------------- */

typedef struct {
    const char *settings;
    const char *from, *to;      /* in config.json */
    const char *want;           /* in the message, after config.json */
} bad_config;

static const bad_config bad[] = {
    { SMALL, "\"num_latents\": 3", "\"num_latents\": 0",
      "\"num_latents\" is 0, want a whole number from 1 to 1048576" },
    { SMALL, "\"num_latents\": 3", "\"num_latents\": 3.5", "num_latents" },
    { SMALL, "\"num_latents\": 3", "\"num_latents\": \"3\"", "num_latents" },
    { SMALL, "\"num_latents\": 3", "\"num_latents\": 1e300", "num_latents" },
    { SMALL, "\"num_latents\": 3", "\"num_latents\": [3]", "num_latents" },
    { SMALL, "\"num_latents\": 3", "\"num_latents\": 3, \"num_latents\": 4",
      "num_latents" },
    { SMALL, "\"gelu\"", "\"elu\"", "hidden_act" },
    { SMALL, "\"gelu\"", "1", "hidden_act" },
    { SMALL, "\"image\"", "\"smell\"", "modality" },
    { SMALL, "\"image\"", "\"\"", "modality" },
    { SMALL, "\"use_query_residual\": true", "\"use_query_residual\": 1",
      "\"use_query_residual\" is 1, want true or false" },
    { SMALL, "\"max_resolution\": [0,0,0]", "\"max_resolution\": [0,0]",
      "max_resolution" },
    { SMALL, "\"max_resolution\": [0,0,0]", "\"max_resolution\": [0,0,-1]",
      "max_resolution" },
    { SMALL, "\"max_resolution\": [0,0,0]", "\"max_resolution\": 0",
      "max_resolution" },
    { SMALL, "\"std\": [0.5", "\"std\": [0", "std" },
    { SMALL, "\"outputs\": 3", "\"outputs\": 0", "outputs" },
    { SMALL, "\"outputs\": 3", "\"other\": 3", "outputs" },
    { SMALL, "\"pcv\"", "\"else\"", "pcv" },
    { SMALL, "\"model_type\"", "model_type", "" },
    { SMALL, "\"num_self_attention_heads\": 2",
      "\"num_self_attention_heads\": 3", "self-heads" },
    { SMALL, "\"num_cross_attention_heads\": 1",
      "\"num_cross_attention_heads\": 7", "cross-heads" },
    { SMALL, "\"decoder_heads\": 1", "\"decoder_heads\": 3",
      "decoder-heads" },
    { SMALL, "\"cross_attends\": 1", "\"cross_attends\": 3",
      "cross-attends" },
    { SMALL, "\"v_channels\": null", "\"v_channels\": 6", "v-channels" },
    { SMALL, "\"query\"", "\"grid\"", "decoder=grid" },
    { SMALL, "\"classify\"", "\"reconstruct\"", "task=reconstruct" },
    { SMALL "modality=points max-resolution=9 channels=3",
      "\"max_resolution\": [9,", "\"max_resolution\": [0,",
      "maximum resolution" },
    { SMALL "position=learned height=65535", "\"width\": 4",
      "\"width\": 65535", "65535" },
    { SMALL "task=reconstruct decoder=grid outputs=2", "\"query_bands\": 16",
      "\"query_bands\": 257", "query_bands" },
};

static void read_text(const char *path, pcv_buf *b)
{
    pcv_file f;

    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    pcv_buf_add(b, f.data, f.size);
    pcv_file_close(&f);
}

/* Writes config.json with the first `from` replaced. */
static void edit_config(const char *from, const char *to)
{
    pcv_buf old = {0}, b = {0};
    const char *at;

    read_text("config.json", &old);
    at = strstr(old.data, from);
    if (!at)
        fail_msg("no %s in %s", from, old.data);
    pcv_buf_add(&b, old.data, (size_t)(at - old.data));
    pcv_buf_puts(&b, to);
    pcv_buf_puts(&b, at + strlen(from));
    scratch_put("config.json", b.data, b.len);
    pcv_buf_free(&old);
    pcv_buf_free(&b);
}

static void refused(const char *file, const char *want)
{
    pcv_net n;

    if (pcv_net_load(&n, ".") == 0)
        fail_msg("a bad model was taken (want %s: %s)", file, want);
    if (!strstr(pcv_error(), file))
        fail_msg("\"%s\" does not name %s", pcv_error(), file);
    assert_failed(EX_DATAERR, want);
}

static void test_bad_configs(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        save(bad[i].settings);
        edit_config(bad[i].from, bad[i].to);
        refused("config.json", bad[i].want);
    }
}

static void test_bad_labels(void **state)
{
    static const char *const label[] = { "a", "b", "c" };
    static const struct {
        const char *from, *to, *want;
    } edit[] = {
        { ",\n    \"2\": \"c\"", "", "2 labels" },
        { "\"1\":", "\"3\":", "no name for 1" },
        { "\"b\"", "7", "no name for 1" },
    };
    pcv_spec spec;
    pcv_net n;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(edit); i++) {
        model_spec(&spec, SMALL);
        assert_int_equal(pcv_spec_set_labels(&spec, label, 3), 0);
        build(&n, &spec);
        assert_int_equal(pcv_net_save(&n, "."), 0);
        pcv_net_free(&n);
        pcv_spec_free(&spec);
        edit_config(edit[i].from, edit[i].to);
        refused("config.json", edit[i].want);
    }
}

static void test_other_json(void **state)
{
    static const char *const text[] = { "", "[]", "{}", "null", "3", "{", "{",
                                        "{\"pcv\": []}", "{\"pcv\": null}",
                                        "{\"pcv\": {}}", "\"pcv\"" };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(text); i++) {
        pcv_spec s;

        assert_int_equal(pcv_spec_parse(&s, text[i], strlen(text[i]), "name"),
                         -1);
        assert_failed(EX_DATAERR, "name: ");
    }
}

/* The tensors of a small model, changed, in model.safetensors. */
static void save_tensors(void (*change)(pcv_tensor_out *t, int *count))
{
    pcv_spec spec;
    pcv_tensor_out *t, *more;
    pcv_net n;
    int count;

    model_spec(&spec, SMALL);
    build(&n, &spec);
    assert_int_equal(pcv_net_save(&n, "."), 0);
    count = pcv_net_tensors(&n, &t);
    more = pcv_alloc((size_t)count + 16, sizeof *more);
    memcpy(more, t, (size_t)count * sizeof *t);
    change(more, &count);
    assert_int_equal(pcv_tensors_save("model.safetensors", more, (size_t)count,
                                      NULL, NULL, 0), 0);
    pcv_free(t);
    pcv_free(more);
    pcv_net_free(&n);
}

static void take_last(pcv_tensor_out *t, int *count)
{
    (void)t;
    --*count;
}

static void take_most(pcv_tensor_out *t, int *count)
{
    (void)t;
    *count = 3;
}

static void add_one(pcv_tensor_out *t, int *count)
{
    t[*count] = t[0];
    t[*count].name = "something.else";
    ++*count;
}

static void add_many(pcv_tensor_out *t, int *count)
{
    static const char *const name[] = { "x0", "x1", "x2", "x3", "x4", "x5",
                                        "x6", "x7", "x8", "x9" };

    for (size_t i = 0; i < PCV_LEN(name); i++) {
        t[*count] = t[0];
        t[*count].name = name[i];
        ++*count;
    }
}

static void turn(pcv_tensor_out *t, int *count)
{
    (void)count;
    t[0].dim[0] = 4;
    t[0].dim[1] = 3;
}

static void flatten(pcv_tensor_out *t, int *count)
{
    (void)count;
    t[0].rank = 1;
    t[0].dim[0] = 12;
}

static void stretch(pcv_tensor_out *t, int *count)
{
    (void)count;
    t[0].rank = 4;
    t[0].dim[2] = t[0].dim[3] = 1;
}

static void test_bad_tensors(void **state)
{
    const char *file = "model.safetensors";

    (void)state;
    save_tensors(take_last);
    refused(file, "1 tensor missing: perceiver.decoder.decoder.final_layer");
    save_tensors(take_most);
    refused(file, "tensors missing: ");
    save_tensors(add_one);
    refused(file, "1 tensor that this model does not have: something.else");
    save_tensors(add_many);
    refused(file, "10 tensors that this model does not have: x0");
    save_tensors(turn);
    refused(file, "perceiver.embeddings.latents is [4, 3], want [3, 4]");
    save_tensors(flatten);
    refused(file, "perceiver.embeddings.latents is [12], want [3, 4]");
}

/* A matrix may be written as a 1x1 convolution. */
static void test_trailing_axes(void **state)
{
    pcv_net n;

    (void)state;
    save_tensors(stretch);
    load(&n);
    pcv_net_free(&n);
}

static void test_missing_files(void **state)
{
    pcv_net n;

    (void)state;
    assert_int_equal(pcv_net_load(&n, "."), -1);
    assert_failed(EX_NOINPUT, "config.json");
    save(SMALL);
    assert_int_equal(remove("model.safetensors"), 0);
    assert_int_equal(pcv_net_load(&n, "."), -1);
    assert_failed(EX_NOINPUT, "model.safetensors");
    save(SMALL);
    scratch_puts("model.safetensors", "\x10");
    refused("model.safetensors", "");
}

/* Whatever allocation fails, the message says so and nothing is left. */
static int save_net(pcv_net *n)
{
    return pcv_net_save(n, ".");
}

static int load_net(pcv_net *n)
{
    return pcv_net_load(n, ".");
}

static void without_memory(int (*work)(pcv_net *n), pcv_net *n)
{
    int r = -1;

    for (long k = 1; r < 0; k++) {
        pcv_alloc_fail_at(k);
        r = work(n);
        pcv_alloc_fail_at(0);
        if (r < 0)
            assert_failed(EX_OSERR, "");
    }
}

static void test_memory(void **state)
{
    static const char *const label[] = { "a", "b", "c" };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(kinds); i++) {
        pcv_spec spec;
        pcv_net n;

        model_spec(&spec, kinds[i]);
        if (spec.task == PCV_CLASSIFY)
            assert_int_equal(pcv_spec_set_labels(&spec, label, 3), 0);
        build(&n, &spec);
        without_memory(save_net, &n);
        pcv_net_free(&n);
        without_memory(load_net, &n);
        pcv_net_free(&n);
        pcv_spec_free(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_weights),
        TEST(test_identity),
        TEST(test_sharing),
        TEST(test_fields),
        TEST(test_more_values),
        TEST(test_labels),
        TEST(test_labels_of_bytes),
        TEST(test_bad_configs),
        TEST(test_bad_labels),
        TEST(test_other_json),
        TEST(test_bad_tensors),
        TEST(test_trailing_axes),
        TEST(test_missing_files),
        TEST(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

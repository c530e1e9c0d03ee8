/* dialect_test.c - models of other programs, by a config.json with the
 * arguments of their constructors and a table of names: answers against those
 * of the originals.  Two trained ones on MNIST are elsewhere (PCV_SHARED) and
 * have their own reference: outputs of 500 digits, and the accuracy on all. */
#include "help.h"
#include "scratch.h"

#include "../lib/pcv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOT = 1024, PATH = 4096, DIGITS = 5000, CLASSES = 10 };

static char root[ROOT];         /* of the models here, absolute */

static const char *data(void)
{
    return root;
}

static void path_of(char out[PATH], const char *at, const char *a,
                    const char *b)
{
    if (snprintf(out, PATH, "%s/%s/%s", at, a, b) >= PATH)
        fail_msg("%s: too long", at);
}

static pcv_values *read_values(const char *at, const char *a, const char *b)
{
    char path[PATH];
    pcv_values *v;

    path_of(path, at, a, b);
    v = pcv_values_read(path, NULL);
    if (!v)
        fail_msg("%s", pcv_error());
    return v;
}

/* Item i of an array with a batch axis; data is borrowed. */
static pcv_values item_of(const pcv_values *all, size_t i)
{
    pcv_values v = { .rank = all->rank - 1, .count = all->count / all->dim[0] };

    memcpy(v.dim, all->dim + 1, (size_t)v.rank * sizeof *v.dim);
    v.data = all->data + i * v.count;
    return v;
}

static double worst(const pcv_values *a, const float *b)
{
    double most = 0;

    for (size_t i = 0; i < a->count; i++) {
        double d = fabs((double)a->data[i] - (double)b[i]);

        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

static double largest(const pcv_values *v)
{
    double most = 1;

    for (size_t i = 0; i < v->count; i++)
        most = fmax(most, fabs((double)v->data[i]));
    return most;
}

static void check(const char *name)
{
    char path[PATH];
    pcv_values *in = read_values(data(), name, "input.npy");
    pcv_values *want = read_values(data(), name, "output.npy");
    pcv_model *m;
    pcv_worker *w;

    path_of(path, data(), name, ".");
    m = pcv_model_open(path);
    w = m ? pcv_worker_new(m) : NULL;
    if (!w)
        fail_msg("%s", pcv_error());
    for (size_t i = 0; i < in->dim[0]; i++) {
        pcv_values x = item_of(in, i), y = item_of(want, i), *have;

        have = pcv_answer_array(w, &x);
        if (!have || have->count != y.count)
            fail_msg("%s: %s", name, pcv_error());
        if (!(worst(have, y.data) < 1e-5 * largest(want)))
            fail_msg("%s, item %zu: off by %g", name, i, worst(have, y.data));
        pcv_values_free(have);
    }
    pcv_worker_free(w);
    pcv_model_close(m);
    pcv_values_free(in);
    pcv_values_free(want);
}

static void test_lucidrains(void **state)
{
    (void)state;
    check("lucid-v1-tied");
    check("lucid-io-ff-tied");
    check("lucid-lm");
}

/* ---- what cannot be held, is not there, or contradicts itself --------- */

/* A copy of a model's directory with a text replaced in its config. */
static void copy_changed(const char *name, const char *file, const char *from,
                         const char *to)
{
    char command[4 * PATH];

    snprintf(command, sizeof command, "cp '%s/%s/%s' . && sed 's/%s/%s/' "
             "'%s/%s/config.json' >config.json", data(), name, file, from, to,
             data(), name);
    assert_int_equal(system(command), 0);
}

static void assert_refused(const char *what)
{
    pcv_model *m = pcv_model_open("./");

    if (m || !strstr(pcv_error(), what))
        fail_msg("\"%s\", want \"%s\"", pcv_error(), what);
    pcv_error_clear();
}

static void test_refused(void **state)
{
    static const struct { const char *from, *to, *what; } rows[] = {
        { "\"inverted_cross_attn\": false", "\"inverted_cross_attn\": true",
          "\"inverted_cross_attn\" is not supported, want false" },
        { "\"final_classifier_head\": true", "\"final_classifier_head\": false",
          "\"final_classifier_head\" is not supported, want true" },
        { "\"num_classes\": 5", "\"num_classes\": 6",
          "tensor to_logits.2.weight is [5, 12], want [6, 12]" },
        { "\"depth\": 3", "\"depth\": 1", "that this model does not have" },
        { "\"self_per_cross_attn\": 2", "\"self_per_cross_attn\": 3",
          "missing: layers.0.2.2.0.norm.weight" },
        { "\"max_freq\": 10.0", "\"max_freq\": \"x\"",
          "\"max_freq\" is missing, or no number" },
        { "lucidrains.Perceiver", "nobody.Perceiver",
          "\"architectures\" is nobody.Perceiver, want one of" },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(rows); i++) {
        copy_changed("lucid-v1-tied", "pytorch_model.bin", rows[i].from,
                     rows[i].to);
        assert_refused(rows[i].what);
    }
}

/* ---- trained models -------------------------------------------------- */

static void link_weights(const char *name)
{
    char from[PATH], command[3 * PATH];

    path_of(from, data(), name, "config.json");
    snprintf(command, sizeof command, "cp '%s' config.json && cp "
             "'%s/data/perceiver-ckpt/%s-mnist-weights.npz' model.npz", from,
             getenv("PCV_SHARED"), name);
    assert_int_equal(system(command), 0);
}

static size_t best(const float *x)
{
    size_t k = 0;

    for (size_t i = 1; i < CLASSES; i++)
        k = x[i] > x[k] ? i : k;
    return k;
}

/* The 5,000 digits in order: how many of the answers are their labels'. */
static int classify_digits(const char *reference)
{
    char images[PATH], answer[PATH];
    const char *path[] = { images };
    pcv_inputs in = { .path = path, .paths = 1 };
    pcv_model *m = pcv_model_open("./");
    pcv_worker *w = m ? pcv_worker_new(m) : NULL;
    pcv_stream *s;
    pcv_entry *e;
    pcv_values *want;
    pcv_evaluation *scores;
    int right;

    path_of(answer, getenv("PCV_SHARED"), "data/perceiver-ckpt", reference);
    path_of(images, getenv("PCV_SHARED"), "data/mnist",
            "t10k-even-images-idx3-ubyte.gz");
    s = w ? pcv_stream_open(m, &in) : NULL;
    want = pcv_values_read(answer, NULL);
    if (!s || !want)
        fail_msg("%s", pcv_error());
    for (size_t i = 0; i < want->dim[0]; i++) {
        pcv_values *have = NULL, y = item_of(want, i);

        if (pcv_stream_next(s, &e) == 1 && pcv_entry_load(s, e) == 0)
            have = pcv_answer(w, e);
        if (!have || !(worst(have, y.data) < 1e-3) ||
            best(have->data) != best(y.data))
            fail_msg("%s, digit %zu: %s", reference, i, pcv_error());
        pcv_values_free(have);
        pcv_entry_free(e);
    }
    strcat(images, ",");
    path_of(images + strlen(images), getenv("PCV_SHARED"), "data/mnist",
            "t10k-even-labels-idx1-ubyte.gz");
    scores = pcv_evaluate(m, images, NULL);
    if (!scores)
        fail_msg("%s", pcv_error());
    assert_int_equal(scores->items, DIGITS);
    right = (int)lround(scores->accuracy * DIGITS);
    pcv_evaluation_free(scores);
    pcv_values_free(want);
    pcv_stream_close(s);
    pcv_worker_free(w);
    pcv_model_close(m);
    return right;
}

static void test_trained(void **state)
{
    (void)state;
    if (!getenv("PCV_SHARED"))
        skip();
    link_weights("lesterpjy");
    assert_int_equal(classify_digits("lesterpjy-mnist-logits-t10k-even-"
                                     "first500.npy"), 4477);
    link_weights("louislva");
    assert_int_equal(classify_digits("louislva-mnist-logprobs-t10k-even-"
                                     "first500.npy"), 4794);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lucidrains),
        TEST(test_refused),
        TEST(test_trained),
    };

    const char *where = getenv("PCV_TESTS");
    char *real_root = realpath(where ? where : "tests", NULL);

    snprintf(root, sizeof root, "%.1000s/data/dialects",
             real_root ? real_root : "");
    free(real_root);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

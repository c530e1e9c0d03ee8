/* answers_test.c - what answers stand for, as files: by the facade alone, with
 * models that are no more than a spec; names that come from the caller. */
#include "items_help.h"

#include "../lib/handles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A model that answers n queries of so many outputs. */
static pcv_model model_of(int modality, int task, int n, int outputs)
{
    pcv_model m = {0};

    pcv_spec_default(&m.net.spec);
    m.net.spec.prep.modality = modality;
    m.net.spec.task = task;
    m.net.spec.outputs = outputs;
    m.net.answers = 1;
    m.net.answer[0].n = n;
    m.net.answer[0].outputs = outputs;
    return m;
}

static pcv_values values(int rank, size_t a, size_t b, size_t c, float *data)
{
    pcv_values v = { .rank = rank, .dim = { a, b, c }, .data = data };

    v.count = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
    return v;
}

static void refused(const unsigned char *file, const char *message)
{
    assert_null(file);
    assert_string_equal(pcv_error(), message);
    assert_int_equal(pcv_error_code(), EX_USAGE);
    pcv_error_clear();
}

/* ---- numbers --------------------------------------------------------- */

static void classes_are_probabilities(void **state)
{
    pcv_model m = model_of(PCV_IMAGE, PCV_CLASSIFY, 2, 3);
    float x[6] = { 1, 2, 3, 40, 40, 40 };
    pcv_values v = values(2, 2, 3, 0, x);
    double p[3];

    (void)state;
    pcv_probabilities(x, 3, false, p);
    assert_int_equal(pcv_interpret(&m, 0, &v), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(x[i] == (float)p[i]);
        assert_true(x[3 + i] == (float)(1.0 / 3));
    }
}

/* Each by itself: they need not add up to 1. */
static void tags_are_probabilities(void **state)
{
    pcv_model m = model_of(PCV_IMAGE, PCV_TAGS, 1, 3);
    float x[3] = { 0, 2, -800 };
    pcv_values v = values(2, 1, 3, 0, x);

    (void)state;
    assert_int_equal(pcv_model_answer(&m, 0).kind, PCV_ANSWER_CLASSES);
    assert_int_equal(pcv_interpret(&m, 0, &v), 0);
    assert_true(x[0] == 0.5f && x[2] == 0);
    assert_true(fabs((double)x[1] - 1 / (1 + exp(-2.0))) < 1e-7);
}

static void others_stay(void **state)
{
    pcv_model m = model_of(PCV_SOUND, PCV_RECONSTRUCT, 2, 1);
    float x[2] = { -3, 7 };
    pcv_values v = values(2, 2, 1, 0, x);

    (void)state;
    assert_int_equal(pcv_interpret(&m, 0, &v), 0);
    assert_true(x[0] == -3 && x[1] == 7);
}

/* ---- flow ------------------------------------------------------------ */

static float motion[12] = { 0.05f, 0, -1, 2, 0, 0, 0.5f, 0.25f, 0, 0, 0, 0 };

static void flow_is_in_pixels(void **state)
{
    pcv_model m = model_of(PCV_FLOW, PCV_MOTION, 6, 2);
    pcv_values v = values(3, 2, 3, 2, motion);
    size_t n = 0;
    unsigned char *file = pcv_flow_file(&m, 0, &v, &n);

    (void)state;
    assert_non_null(file);
    assert_int_equal(n, 12 + 48);
    assert_memory_equal(file, "PIEH\3\0\0\0\2\0\0\0", 12);
    for (size_t i = 0; i < 12; i++) {
        float pixels;

        memcpy(&pixels, file + 12 + 4 * i, 4);
        assert_true(pixels == motion[i] * 20);
    }
    free(file);
}

/* What the k-th allocation that fails leaves, for every k. */
static void flow_without_memory(void **state)
{
    pcv_model m = model_of(PCV_FLOW, PCV_MOTION, 6, 2);
    pcv_values v = values(3, 2, 3, 2, motion);
    unsigned char *file[2] = {0};
    size_t n;

    (void)state;
    for (long k = 1; !file[0] || !file[1]; k++) {
        for (int i = 0; i < 2; i++) {
            free(file[i]);
            pcv_alloc_fail_at(k);
            file[i] = i ? pcv_flow_picture(&m, 0, &v, 0, &n)
                        : pcv_flow_file(&m, 0, &v, &n);
            pcv_alloc_fail_at(0);
            assert_int_equal(pcv_error_code(), file[i] ? 0 : EX_OSERR);
            pcv_error_clear();
        }
        assert_true(k < 100);
    }
    free(file[0]);
    free(file[1]);
}

static void what_is_not_there_is_refused(void **state)
{
    pcv_model m = model_of(PCV_IMAGE, PCV_CLASSIFY, 1, 2);
    float x[2] = {0};
    pcv_values v = values(1, 2, 0, 0, x);
    size_t n;

    (void)state;
    refused(pcv_flow_file(&m, 0, &v, &n),
            "this model's answers are not optical flow");
    refused(pcv_flow_picture(&m, 0, &v, 0, &n),
            "this model's answers are not optical flow");
    refused(pcv_picture(&m, 0, &v, 0, &n),
            "this model's answers are not pictures");
    refused(pcv_wave(&m, 0, &v, &n), "this model's answers are not sound");
}

/* ---- pictures -------------------------------------------------------- */

/* The second of two frames, its mean and deviation undone. */
static void frames_are_pictures(void **state)
{
    pcv_model m = model_of(PCV_VIDEO, PCV_RECONSTRUCT, 8, 1);
    pcv_prep *p = &m.net.spec.prep;
    float x[8] = { 9, 9, 9, 9, -1, -0.5f, 0, 3 };
    pcv_values v = values(2, 8, 1, 0, x);
    const unsigned char want[4] = { 0, 64, 128, 255 };
    unsigned char *png, *same;
    size_t n, k;

    (void)state;
    p->frames = p->height = p->width = 2;
    p->channels = 1;
    p->mean[0] = p->std[0] = 0.5;
    png = pcv_picture(&m, 0, &v, 1, &n);
    same = pcv_png(want, 2, 2, 1, &k);
    assert_non_null(png);
    assert_int_equal(n, k);
    assert_memory_equal(png, same, n);
    free(png);
    free(same);
    refused(pcv_picture(&m, 0, &v, 2, &n),
            "this model's answers are not pictures");
}

/* ---- text ------------------------------------------------------------ */

static void masks_are_filled(void **state)
{
    float x[] = { PCV_CLS, 'a' + 6, PCV_MASK, 255 + 6, PCV_MASK, '\n' + 6,
                  300, PCV_SEP, PCV_PAD };
    pcv_values ids = values(1, 9, 0, 0, x);
    const int fill[2] = { '?' + 6, PCV_SEP };
    int query[2];
    size_t offset[2];
    pcv_bytes b = {0};

    (void)state;
    assert_int_equal(pcv_text_masks(&ids, NULL, NULL), 2);
    assert_int_equal(pcv_text_masks(&ids, query, offset), 2);
    assert_int_equal(query[0], 2);
    assert_int_equal(query[1], 4);
    assert_int_equal(offset[0], 1);
    assert_int_equal(offset[1], 8);
    pcv_text_fill(&b, &ids, NULL);
    assert_string_equal(b.data, "a[MASK]\377[MASK]\n[300]");
    pcv_bytes_clear(&b);
    pcv_text_fill(&b, &ids, fill);
    assert_string_equal(b.data, "a?\377[SEP]\n[300]");
    pcv_bytes_free(&b);
}

/* ---- names of the caller --------------------------------------------- */

static int next_name(void *arg, const char **name)
{
    static const char *const all[] = { "a", "no", "b" };
    int *at = arg;

    if (*at == 3)
        return 0;
    *name = all[(*at)++];
    return 1;
}

static void names_of_the_caller(void **state)
{
    static const char *const path[] = { "b" };
    pcv_sources s = sources(path, 1);
    pcv_items *it;
    int at = 0;

    (void)state;
    scratch_put("a", PGM "a.", 13);
    scratch_put("b", PGM "b.", 13);
    s.next = next_name;
    s.arg = &at;
    it = open_items(&s, 0);
    expect_grey(it, "b", 'b');
    assert_int_equal(at, 0);            /* not before it is wanted */
    expect_grey(it, "a", 'a');
    assert_int_equal(at, 1);
    expect_failure(it, "no", EX_NOINPUT, "no: No such file or directory");
    expect_grey(it, "b", 'b');
    expect_end(it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_probabilities),
        cmocka_unit_test(tags_are_probabilities),
        cmocka_unit_test(others_stay),
        cmocka_unit_test(flow_is_in_pixels),
        cmocka_unit_test(flow_without_memory),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(frames_are_pictures),
        cmocka_unit_test(masks_are_filled),
        TEST(names_of_the_caller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

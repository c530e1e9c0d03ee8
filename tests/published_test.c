/* published_test.c - models of the published classes against what the
 * published implementation makes of them (golden/README.md), from a file on
 * the way in to every answer, through the public interface.
 *
 * The cases are those of tests/golden and, where PCV_SHARED names a directory,
 * of its golden/: every folder with a case.safetensors. */
#include "help.h"
#include "case_help.h"
#include "scratch.h"
#include "subject.h"

#include "../lib/model/model.h"

#include <glob.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

enum { PATH = 4096 };

static char tests[PATH];        /* the directory, from the root */

static void path_of(char path[PATH], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void path_of(char path[PATH], const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    assert_true(vsnprintf(path, PATH, format, ap) < PATH);
    va_end(ap);
}

/* The paths that match ROOT/PATTERN; globfree. */
static void find(glob_t *g, const char *root, const char *pattern)
{
    char path[PATH];

    path_of(path, "%s/%s", root, pattern);
    memset(g, 0, sizeof *g);
    if (glob(path, 0, NULL, g) != 0)
        fail_msg("nothing matches %s", path);
}

/* ---- cases ----------------------------------------------------------- */

typedef struct {
    subject s;
    pcv_tensors t;
    int item;
    double worst[4];            /* of preprocessed .. outputs, as below */
} published;

enum { ROWS, CROSSED, LATENTS, ANSWERS };

/* Takes over `have`. */
static void check(published *p, int stage, const char *what, pcv_values *have)
{
    pcv_values *want = case_values(&p->t, what, p->item);
    bool absolute = stage == ROWS;
    double e;

    if (!want || !have || want->count != have->count)
        fail_msg("%s: %s of item %d: %zu values, want %zu (%s)", p->s.name,
                 what, p->item, have ? have->count : 0,
                 want ? want->count : 0, pcv_error());
    e = case_difference(have->data, want->data, want->count, absolute);
    if (!(e <= (absolute ? 1e-4 : 2e-5)))
        fail_msg("%s: %s of item %d: error %.2g", p->s.name, what, p->item, e);
    p->worst[stage] = fmax(p->worst[stage], e);
    pcv_values_free(want);
    pcv_values_free(have);
}

static void check_input(published *p)
{
    pcv_values *rows = case_values(&p->t, "preprocessed.rows", -1);
    pcv_values *v = pcv_encode_input(p->s.w, p->s.e);

    check(p, ROWS, "preprocessed", v && rows ? case_rows(v, rows) : v);
    pcv_values_free(rows);
}

static void check_answers(published *p)
{
    size_t n = pcv_model_answers(p->s.m);

    assert_int_equal(pcv_worker_read(p->s.w, p->s.e), 0);
    for (size_t i = 0; i < n; i++) {
        char name[64] = "output";

        if (n > 1)
            snprintf(name, sizeof name, "output.%s",
                     pcv_model_answer(p->s.m, i).name);
        check(p, ANSWERS, name, pcv_ask(p->s.w, i, NULL, 0));
    }
}

/* Everything about the example in this form. */
static void check_example(published *p, const char *input)
{
    if (case_write(&p->t, input, p->item, "input") < 0)
        fail_msg("%s", pcv_error());
    subject_load(&p->s, "input");
    check_input(p);
    check(p, CROSSED, "cross_attended", pcv_encode_crossed(p->s.w, p->s.e));
    check(p, LATENTS, "latents", pcv_encode(p->s.w, p->s.e));
    check_answers(p);
}

static void check_case(const char *path)
{
    char dir[PATH];
    published p = {0};
    size_t items;

    path_of(dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (pcv_tensors_open(&p.t, path) < 0)
        fail_msg("%s", pcv_error());
    subject_open(&p.s, dir);
    items = pcv_tensors_find(&p.t, "latents")->dim[0];
    for (; (size_t)p.item < items; p.item++) {
        check_example(&p, NULL);
        if (pcv_tensors_find(&p.t, "input.patches"))
            check_example(&p, "input.patches");
    }
    print_message("%s: preprocessed %.1e, crossed %.1e, latents %.1e, "
                  "answers %.1e\n", strrchr(dir, '/') + 1, p.worst[ROWS],
                  p.worst[CROSSED], p.worst[LATENTS], p.worst[ANSWERS]);
    subject_close(&p.s);
    pcv_tensors_close(&p.t);
}

static void check_cases(const char *root, size_t least)
{
    glob_t g;

    find(&g, root, "golden/*/case.safetensors");
    assert_true(g.gl_pathc >= least);
    for (size_t i = 0; i < g.gl_pathc; i++)
        check_case(g.gl_pathv[i]);
    globfree(&g);
}

static void test_cases(void **state)
{
    (void)state;
    check_cases(tests, 6);
}

static void test_shared(void **state)
{
    (void)state;
    if (!getenv("PCV_SHARED"))
        skip();
    check_cases(getenv("PCV_SHARED"), 1);
}

/* ---- pictures -------------------------------------------------------- */

/* The prepared picture is `pixel_values` of the file of tensors, and has the
 * answers that those have. */
static void check_picture(subject *s, const char *picture, const char *path)
{
    pcv_values *have, *want, *answer[2];
    pcv_tensors t;
    double e;

    if (pcv_tensors_open(&t, path) < 0)
        fail_msg("%s", pcv_error());
    subject_load(s, picture);
    have = pcv_entry_values(s->e);
    answer[0] = pcv_answer(s->w, s->e);
    want = case_values(&t, "pixel_values", -1);
    assert_true(have && want && answer[0] && have->count == want->count);
    e = case_difference(have->data, want->data, want->count, true);
    help_below(e, 1e-6, picture, 0);
    assert_int_equal(case_write(&t, "pixel_values", -1, "pixels.npy"), 0);
    subject_load(s, "pixels.npy");
    answer[1] = pcv_answer(s->w, s->e);
    help_below(case_difference(answer[0]->data, answer[1]->data,
                               answer[0]->count, false), 1e-5, picture, 1);
    print_message("%s: pixels %.1e\n", strrchr(path, '/') + 1, e);
    for (int i = 0; i < 2; i++)
        pcv_values_free(answer[i]);
    pcv_values_free(have);
    pcv_values_free(want);
    pcv_tensors_close(&t);
}

/* NAME.safetensors beside NAME.png or NAME.jpg. */
static void check_photograph(subject *s, const char *path)
{
    char name[PATH];
    glob_t g;

    path_of(name, "%.*s.[jp][pn]g", (int)(strrchr(path, '.') - path), path);
    find(&g, "", name + 1);
    check_picture(s, g.gl_pathv[0], path);
    globfree(&g);
}

static void test_photographs(void **state)
{
    const char *shared = getenv("PCV_SHARED");
    char dir[PATH];
    subject s;
    glob_t g;

    (void)state;
    if (!shared)
        skip();
    path_of(dir, "%s/golden/vision-fourier", shared);
    subject_open(&s, dir);
    find(&g, shared, "golden/images/*.safetensors");
    for (size_t i = 0; i < g.gl_pathc; i++)
        check_photograph(&s, g.gl_pathv[i]);
    globfree(&g);
    subject_close(&s);
}

/* ---- preprocessor_config.json ---------------------------------------- */

static void link_file(const char *dir, const char *file, const char *to)
{
    char from[PATH];

    path_of(from, "%s/%s", dir, file);
    unlink(to);
    assert_int_equal(symlink(from, to), 0);
}

/* The directory is the model in golden/ with another preprocessor. */
static void link_model(void)
{
    char dir[PATH];

    path_of(dir, "%s/golden/vision-fourier", tests);
    link_file(dir, "config.json", "config.json");
    link_file(dir, "model.safetensors", "model.safetensors");
}

static void test_preprocessors(void **state)
{
    subject s;
    glob_t g;

    (void)state;
    link_model();
    find(&g, tests, "data/preprocessor/*.json");
    assert_true(g.gl_pathc >= 6);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char *dot = strrchr(g.gl_pathv[i], '.');
        char picture[PATH], pixels[PATH];
        int n = (int)(strrchr(g.gl_pathv[i], '/') - g.gl_pathv[i]);

        link_file("", g.gl_pathv[i] + 1, "preprocessor_config.json");
        path_of(picture, "%.*s/noise.png", n, g.gl_pathv[i]);
        path_of(pixels, "%.*s.safetensors", (int)(dot - g.gl_pathv[i]),
                g.gl_pathv[i]);
        subject_open(&s, ".");
        check_picture(&s, picture, pixels);
        subject_close(&s);
    }
    globfree(&g);
}

static void test_preprocessors_refused(void **state)
{
    static const char *const bad[][2] = {
        { "{\"resample\": 2}", "\"resample\"" },
        { "{\"rescale_factor\": 0.007}", "\"rescale_factor\"" },
        { "{\"do_rescale\": false}", "\"rescale_factor\"" },
        { "{\"do_resize\": false}", "\"do_resize\"" },
        { "{\"size\": {\"shortest_edge\": 64}}", "\"size\"" },
        { "{\"size\": 48, \"crop_size\": 40}", "\"crop_size\"" },
        { "{\"size\": {\"height\": 48, \"width\": 64}, \"crop_size\": "
          "{\"height\": 60, \"width\": 90}}", "\"crop_size\"" },
        { "{\"image_mean\": 0.5}", "\"image_mean\"" },
        { "{\"image_std\": []}", "\"image_std\"" },
        { "{\"image_std\": [0, 1, 1]}", "\"image_std\"" },
        { "{\"image_std\": [1, 1, -1]}", "\"image_std\"" },
        { "{\"image_std\": [1, 1]}", "\"image_std\"" },
        { "{\"image_mean\": [0, 0, \"0\"]}", "\"image_mean\"" },
        { "{\"image_mean\": [0, 0, 1e300]}", "\"image_mean\"" },
        { "{\"image_mean\": [0, 0, 0, 0]}", "\"image_mean\"" },
        { "{\"do_normalize\": 1}", "\"do_normalize\"" },
        { "{\"do_center_crop\": \"no\"}", "\"do_center_crop\"" },
        { "{\"size\": 65535, \"crop_size\": 65534}", "\"crop_size\"" },
        { "[]", "not an object" },
        { "", "empty" },
    };

    (void)state;
    link_model();
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        scratch_puts("preprocessor_config.json", bad[i][0]);
        assert_null(pcv_model_open("."));
        assert_failed(EX_DATAERR, bad[i][1]);
    }
}

/* ---- full size ------------------------------------------------------- */

/* What training changes: not the statistics of a norm. */
static size_t trained(const pcv_params *p)
{
    size_t n = 0;

    for (int i = 0; i < p->count; i++)
        if (!strstr(p->param[i]->name, ".running_"))
            n += p->param[i]->count;
    return n;
}

static void test_parameters(void **state)
{
    static const struct { const char *name; size_t parameters; } rows[] = {
        { "language", 201108230 }, { "classify", 206098690 },
        { "learned", 62255848 }, { "fourier", 48440627 },
        { "conv", 48646522 }, { "flow", 41057134 },
        { "multimodal", 19858855 },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(rows); i++) {
        char path[PATH];
        pcv_file f;
        pcv_spec spec;
        pcv_net net;

        path_of(path, "%s/data/published/%s.json", tests, rows[i].name);
        if (pcv_file_open(&f, path, 0) < 0 ||
            pcv_spec_parse(&spec, (const char *)f.data, f.size, path) < 0 ||
            pcv_net_build(&net, &spec) < 0)
            fail_msg("%s", pcv_error());
        assert_int_equal(trained(&net.params), rows[i].parameters);
        pcv_net_free(&net);
        pcv_spec_free(&spec);
        pcv_file_close(&f);
    }
}

/* By hand: layers are 2 N d (4 d + 2 d) + 4 N N d each; the plain form makes
 * keys, values and queries of all 182,528 elements of flow.  As run, folds
 * that are kept are not counted: with them it would be more than the bound. */
static void test_costs(void **state)
{
    static const struct {
        const char *name;
        pcv_array x;
        double layers, plain, run;      /* FLOPs; run: at most */
    } rows[] = {
        { "fourier", { .dtype = PCV_F32, .rank = 3, .dim = { 3, 224, 224 } },
          360.8e9, 406.1e9, 366.5e9 },
        { "flow", { .dtype = PCV_F32, .rank = 4, .dim = { 2, 3, 368, 496 } },
          360.8e9, 1885.5e9, 838e9 },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(rows); i++) {
        pcv_array x = rows[i].x;
        const pcv_array *one = &x;
        char path[PATH];
        pcv_file f;
        pcv_spec spec;
        pcv_net net;
        pcv_cost c;

        path_of(path, "%s/data/published/%s.json", tests, rows[i].name);
        x.data = pcv_alloc(pcv_array_count(&x), sizeof(float));
        if (!x.data || pcv_file_open(&f, path, 0) < 0 ||
            pcv_spec_parse(&spec, (const char *)f.data, f.size, path) < 0 ||
            pcv_net_build(&net, &spec) < 0 ||
            pcv_params_weights(&net.params) < 0 ||
            pcv_net_cost(&net, &one, &c) < 0)
            fail_msg("%s", pcv_error());
        assert_string_equal(c.part[0].form, "grid");
        assert_true(fabs(c.part[1].run / rows[i].layers - 1) < 1e-3);
        assert_true(fabs(c.plain / rows[i].plain - 1) < 1e-3);
        assert_true(c.run < rows[i].run && c.run + c.once < c.plain);
        assert_true(c.once > 0);
        pcv_net_free(&net);
        pcv_spec_free(&spec);
        pcv_file_close(&f);
        pcv_array_free(&x);
    }
}

int main(void)
{
    const char *place = getenv("PCV_TESTS");
    const struct CMUnitTest all[] = {
        TEST(test_cases), TEST(test_shared), TEST(test_photographs),
        TEST(test_preprocessors), TEST(test_preprocessors_refused),
        TEST(test_parameters), TEST(test_costs),
    };

    if (!realpath(place ? place : "tests", tests))
        return 66;
    return cmocka_run_group_tests(all, NULL, NULL);
}

/* preset_test.c - every preset is made of settings that there are, builds and
 * takes a step on data of its kind; it can be overridden from both sides; what
 * a run leaves in training.conf begins the same run again. */
#include "help.h"
#include "scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pcv.h"
#include "../lib/train/train.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

/* ---- settings -------------------------------------------------------- */

/* What the data would say. */
static void set_outputs(pcv_spec *s)
{
    if (s->task == PCV_FILL) {
        s->outputs = s->vocab;
        s->queries = s->prep.length;
    } else {
        s->outputs = 3;
        s->prep.channels = s->prep.modality == PCV_ONE_HOT ? 3
                                                           : s->prep.channels;
    }
}

static void set_one(const pcv_preset *p, int k, pcv_spec *spec,
                    pcv_run_spec *run)
{
    const char *name = p->setting[k].name, *value = p->setting[k].value;

    if (pcv_spec_set(spec, name, value) == 0)
        return;
    pcv_error_clear();
    if (pcv_run_set(run, name, value) < 0)
        fail_msg("%s: %s=%s: %s", p->name, name, value, pcv_error());
}

static void test_builds(void **state)
{
    const pcv_preset *p;
    const char *help;
    int i;

    (void)state;
    for (i = 0; (p = pcv_preset_row(i)); i++) {
        pcv_run_spec run;
        pcv_spec spec;
        pcv_net net;

        assert_string_equal(pcv_preset_at((size_t)i, &help), p->name);
        assert_string_equal(help, p->help);
        pcv_run_default(&run);
        pcv_spec_default(&spec);
        for (int k = 0; p->setting[k].name; k++)
            set_one(p, k, &spec, &run);
        set_outputs(spec.parts ? &spec.part[0] : &spec);
        if (pcv_augment_check(&run, &spec) < 0 ||
            pcv_net_build(&net, &spec) < 0)
            fail_msg("%s: %s", p->name, pcv_error());
        assert_true(net.params.total < 2000000);
        pcv_net_free(&net);
        pcv_spec_free(&spec);
    }
    assert_in_range(i, 8, 100);
    assert_null(pcv_preset_at((size_t)i, &help));
}

static void want(const pcv_trainer *t, const char *name, const char *value)
{
    char *have = pcv_trainer_get(t, name);

    assert_string_equal(have, value);
    free(have);
}

static void set(pcv_trainer *t, const char *name, const char *value)
{
    if (pcv_trainer_set(t, name, value) < 0)
        fail_msg("%s=%s: %s", name, value, pcv_error());
}

/* Settings that are given win, before the preset and behind it; another preset
 * leaves nothing of the first, and one that there is not changes nothing. */
static void test_overrides(void **state)
{
    pcv_trainer *t = pcv_trainer_new();

    (void)state;
    assert_non_null(t);
    set(t, "latents", "7");
    set(t, "epochs", "3");
    set(t, "preset", "mel");
    set(t, "bands", "5");
    want(t, "latents", "7");
    want(t, "epochs", "3");
    want(t, "bands", "5");
    want(t, "mels", "40");
    assert_int_equal(pcv_trainer_set(t, "preset", "nothing"), -1);
    assert_failed(EX_USAGE, "preset: 'nothing', want one of pixels, squares, ");
    want(t, "preset", "mel");
    want(t, "mels", "40");
    set(t, "preset", "points");
    want(t, "latents", "7");
    want(t, "bands", "5");
    want(t, "mels", "0");
    want(t, "modality", "points");
    want(t, "preset", "points");
    set(t, "preset", "");
    want(t, "latents", "7");
    want(t, "modality", "image");
    pcv_trainer_free(t);
}

/* ---- a step of each -------------------------------------------------- */

enum { EXAMPLES = 4 };

static void put_array(const char *name, pcv_dtype type, int rank,
                      const size_t *dim, const void *data)
{
    pcv_array shape = { type, rank, { 0 }, NULL };
    pcv_buf b = {0};

    memcpy(shape.dim, dim, (size_t)rank * sizeof *dim);
    pcv_npy_header(&b, type, rank, dim);
    pcv_buf_add(&b, data, pcv_array_count(&shape) * pcv_dtype_size(type));
    assert_false(b.failed);
    scratch_put(name, b.data, b.len);
    pcv_buf_free(&b);
}

static void put_floats(const char *name, int i, int rank, const size_t *dim)
{
    pcv_array x = { PCV_F32, rank, { 0 }, NULL };
    size_t n;
    float *v;

    memcpy(x.dim, dim, (size_t)rank * sizeof *dim);
    n = pcv_array_count(&x);
    v = pcv_alloc(n, sizeof *v);
    assert_non_null(v);
    for (size_t k = 0; k < n; k++)
        v[k] = (float)pcv_normal(3, (uint64_t)i, k);
    put_array(name, PCV_F32, rank, dim, v);
    pcv_free(v);
}

static void put_picture(const char *name, int i, int side)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "P5 %d %d 255\n", side, side);
    for (int k = 0; k < side * side; k++) {
        unsigned char v = (unsigned char)help_int(5, (uint64_t)(i * 65536 + k),
                                                  0, 255);

        pcv_buf_add(&b, &v, 1);
    }
    scratch_put(name, b.data, b.len);
    pcv_buf_free(&b);
}

static void put_pictures(const char *dir, int i)
{
    char name[64];

    snprintf(name, sizeof name, "%s/%d/%d.pgm", dir, i % 2, i);
    put_picture(name, i, 28);
}

static void put_sounds(const char *dir, int i)
{
    char name[64];

    snprintf(name, sizeof name, "%s/%d/%d.npy", dir, i % 2, i);
    put_floats(name, i, 1, (size_t[]){ 8000 });
}

static void put_clouds(const char *dir, int i)
{
    char name[64];

    snprintf(name, sizeof name, "%s/%d/%d.npy", dir, i % 2, i);
    put_floats(name, i, 2, (size_t[]){ 1000, 3 });
}

static void put_clips(const char *dir, int i)
{
    char name[64];

    for (int k = 0; k < 5; k++) {
        snprintf(name, sizeof name, "%s/%d/%d/%d.pgm", dir, i % 2, i, k);
        put_picture(name, 8 * i + k, 20);
    }
}

static void put_lines(const char *dir, int i)
{
    if (i == 0)
        scratch_puts(dir, "good\tit was a joy\nbad\tit was none\n"
                     "good\tmore of it\nbad\tless of it\n");
}

static void put_text(const char *dir, int i)
{
    char text[513] = "";

    for (int k = 0; k < 512; k++)
        text[k] = "to be or not to be, "[k % 20];
    if (i == 0)
        scratch_puts(dir, text);
}

/* One example has both, one a picture, one a sound. */
static void put_both(const char *dir, int i)
{
    put_pictures("pictures", i);
    put_sounds("sounds", i);
    if (i == 0)
        scratch_puts(dir, "digit\timage\tsound\n"
                     "0\tpictures/0/0.pgm\tsounds/0/0.npy\n"
                     "1\tpictures/1/1.pgm\t-\n0\t-\tsounds/0/2.npy\n"
                     "1\tpictures/1/3.pgm\tsounds/1/3.npy\n");
}

static const struct {
    const char *preset;
    void (*put)(const char *dir, int i);
} kinds[] = {
    { "pixels", put_pictures }, { "squares", put_pictures },
    { "sound", put_sounds }, { "mel", put_sounds },
    { "points", put_clouds }, { "bytes", put_lines }, { "fill", put_text },
    { "video", put_clips }, { "digits", put_both },
};

static int see_loss(void *arg, const pcv_progress *p)
{
    if (!strcmp(p->event, "step"))
        *(double *)arg = p->loss;
    return PCV_GO_ON;
}

static void make_data(const char *preset, const char *where)
{
    size_t k = 0;

    while (k < PCV_LEN(kinds) && strcmp(kinds[k].preset, preset))
        k++;
    if (k == PCV_LEN(kinds))
        fail_msg("%s: a preset without data to test it with", preset);
    for (int i = 0; i < EXAMPLES; i++)
        kinds[k].put(where, i);
}

/* What training.conf has to be. */
static void assert_conf(const pcv_trainer *t, const char *path)
{
    const pcv_setting *s;
    pcv_buf b = {0};
    pcv_file f;

    for (size_t i = 0; (s = pcv_setting_at(i)); i++) {
        char *value = pcv_trainer_get(t, s->name);

        pcv_buf_printf(&b, "%s = %s\n", s->name, value ? value : "");
        free(value);
    }
    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    assert_int_equal(f.size, b.len);
    assert_memory_equal(f.data, b.data, b.len);
    pcv_file_close(&f);
    pcv_buf_free(&b);
}

static void test_steps(void **state)
{
    const char *preset, *help;

    (void)state;
    for (size_t i = 0; (preset = pcv_preset_at(i, &help)); i++) {
        pcv_trainer *t = pcv_trainer_new();
        double loss = (double)NAN;
        char dir[64], data[64], conf[96];

        snprintf(dir, sizeof dir, "%s-model", preset);
        snprintf(data, sizeof data, "%s-data", preset);
        make_data(preset, data);
        set(t, "steps", "1");
        set(t, "val-split", "0");
        set(t, "batch-size", "4");
        set(t, "preset", preset);
        if (pcv_train(t, data, NULL, dir, false, see_loss, &loss) != 0)
            fail_msg("%s: %s", preset, pcv_error());
        assert_true(isfinite(loss) && loss > 0);
        snprintf(conf, sizeof conf, "%s/training.conf", dir);
        assert_conf(t, conf);
        pcv_trainer_free(t);
    }
}

/* A checkpoint's settings are given ones: its preset may be said again. */
static void test_resume(void **state)
{
    pcv_trainer *t = pcv_trainer_new();
    double loss;

    (void)state;
    make_data("bytes", "lines");
    set(t, "preset", "bytes");
    set(t, "steps", "1");
    set(t, "val-split", "0");
    set(t, "latents", "5");
    assert_int_equal(pcv_train(t, "lines", NULL, "run", false, see_loss, &loss),
                     0);
    pcv_trainer_free(t);
    t = pcv_trainer_new();
    assert_int_equal(pcv_trainer_resume(t, "run"), 1);
    set(t, "preset", "bytes");
    want(t, "latents", "5");
    want(t, "hide", "0.1");
    if (pcv_train(t, "lines", NULL, "run", true, see_loss, &loss) != 0)
        fail_msg("%s", pcv_error());
    pcv_trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds),
        cmocka_unit_test(test_overrides),
        TEST(test_steps),
        TEST(test_resume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

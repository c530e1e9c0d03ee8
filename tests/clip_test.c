/* clip_test.c - clips to learn from: directories of pictures as examples of a
 * data set and as a medium, and what a model of video takes of them and of
 * arrays. */
#include "help.h"
#include "scratch.h"

#include <string.h>

#include "../lib/data/data.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

enum { FRAMES = 3 };

static const pcv_columns labelled = {
    .column = { { "input", PCV_COLUMN_MEDIA, false, FRAMES },
                { "label", PCV_COLUMN_CLASS, false, 0 } },
    .columns = 2,
};
static const pcv_columns alone = {
    .column = { { "input", PCV_COLUMN_MEDIA, false, FRAMES } }, .columns = 1,
};

/* A grey picture of two pixels. */
static void put(const char *name, const char *pixels)
{
    char text[] = "P5 2 1 255\n..";

    memcpy(strchr(text, '.'), pixels, 2);
    scratch_put(name, text, sizeof text - 1);
}

static pcv_dataset *open_set(const char *where, const pcv_columns *columns)
{
    pcv_reading how;
    pcv_dataset *d;

    pcv_reading_default(&how);
    d = pcv_dataset_open(where, columns, &how, 1 << 20);
    if (!d)
        fail_msg("%s", pcv_error());
    return d;
}

static void assert_clip(pcv_dataset *d, size_t i, const char *name,
                        const char *pixels)
{
    const pcv_media *m = pcv_dataset_get(d, i, 0);
    const size_t dim[4] = { FRAMES, 1, 2, 1 };

    if (!m)
        fail_msg("%s", pcv_error());
    assert_string_equal(pcv_dataset_name(d, i), name);
    assert_int_equal(m->kind, PCV_MEDIA_CLIP);
    assert_int_equal(m->array.rank, 4);
    assert_memory_equal(m->array.dim, dim, sizeof dim);
    assert_memory_equal(m->array.data, pixels, 2 * FRAMES);
}

static void assert_broken(pcv_dataset *d, size_t i, const char *what)
{
    assert_null(pcv_dataset_get(d, i, 0));
    assert_failed(EX_DATAERR, what);
}

/* ---- examples -------------------------------------------------------- */

static void put_set(void)
{
    put("set/left/b/1.pgm", "b1");
    put("set/left/b/2.pgm", "b2");
    put("set/left/b/3.pgm", "b3");
    put("set/left/b/4.pgm", "b4");
    put("set/right/a/1.pgm", "a1");
    put("set/right/a/2.pgm", "a2");
    put("set/right/a/deeper/1.pgm", "d1");
    put("set/right/more/c/x.pgm", "cx");
    scratch_puts("set/right/a/notes.txt", "passed over");
    scratch_puts("set/right/z.npy", "an example of its own");
    put("set/beside.pgm", "..");
}

/* Too few pictures: the last one again; too many: the first. */
static void directories(void **state)
{
    pcv_dataset *d;

    (void)state;
    put_set();
    d = open_set("set", &labelled);
    assert_int_equal(pcv_dataset_count(d), 4);
    assert_clip(d, 0, "set/left/b", "b1b2b3");
    assert_clip(d, 1, "set/right/a", "a1a2d1");
    assert_clip(d, 2, "set/right/more/c", "cxcxcx");
    assert_string_equal(pcv_dataset_name(d, 3), "set/right/z.npy");
    assert_int_equal(pcv_dataset_class(d, 0, 1), 0);
    assert_int_equal(pcv_dataset_class(d, 2, 1), 1);
    assert_ptr_equal(pcv_dataset_get(d, 0, 0), pcv_dataset_get(d, 0, 0));
    pcv_dataset_close(d);
}

static void without_labels(void **state)
{
    pcv_dataset *d;

    (void)state;
    put_set();
    d = open_set("set", &alone);
    assert_int_equal(pcv_dataset_count(d), 5);
    assert_string_equal(pcv_dataset_name(d, 0), "set/beside.pgm");
    assert_clip(d, 1, "set/left/b", "b1b2b3");
    assert_string_equal(pcv_dataset_name(d, 3), "set/right/more/c");
    assert_string_equal(pcv_dataset_name(d, 4), "set/right/z.npy");
    pcv_dataset_close(d);
}

static void lists(void **state)
{
    pcv_reading how;
    pcv_dataset *d;

    (void)state;
    put_set();
    scratch_puts("set/list", "left/b\tx\nright/z.npy\ty\nright/a/deeper\tx\n");
    d = open_set("set/list", &labelled);
    assert_clip(d, 0, "set/left/b", "b1b2b3");
    assert_clip(d, 2, "set/right/a/deeper", "d1d1d1");
    pcv_dataset_close(d);
    pcv_reading_default(&how);
    assert_null(pcv_dataset_open("set/list", &pcv_columns_labelled, &how, 0));
    assert_failed(EX_NOINPUT, "set/list:1: set/left/b: Is a directory");
}

static void refused(void **state)
{
    pcv_dataset *d;

    (void)state;
    put("set/1.pgm", "ok");
    scratch_put("set/2.pgm", "P5 1 2 255\n..", 13);
    put("colour/1.pgm", "ok");
    scratch_put("colour/2.ppm", "P6 2 1 255\n......", 17);
    scratch_puts("none/text", "no picture");
    put("half/1.pgm", "ok");
    scratch_put("half/2.pgm", "P5 2 1 255\n", 11);
    scratch_puts("list", "set\ta\ncolour\ta\nnone\ta\nhalf\ta\n");
    d = open_set("list", &labelled);
    assert_broken(d, 0, "set/2.pgm: picture of 1 x 2 pixels and 1 colours, the "
                  "first of this clip has 2 x 1 and 1");
    assert_broken(d, 1, "colour/2.ppm: picture of 2 x 1 pixels and 3 colours");
    assert_broken(d, 2, "none: no pictures in this directory");
    assert_broken(d, 3, "half/2.pgm: ");
    pcv_dataset_close(d);
}

static void every_allocation_may_fail(void **state)
{
    pcv_reading how;
    pcv_media m;
    int r = -1;

    (void)state;
    put_set();
    pcv_reading_default(&how);
    for (long k = 1; r < 0; k++) {
        assert_true(k < 1000);
        pcv_alloc_fail_at(k);
        r = pcv_clip_decode("set/left/b", FRAMES, &how, &m);
        pcv_alloc_fail_at(0);
        assert_true(r == 0 || m.array.data == NULL);
        pcv_error_clear();
    }
    pcv_media_free(&m);
}

/* ---- what the network takes ------------------------------------------ */

static pcv_prep prep_of(void)
{
    pcv_prep p = { .modality = PCV_VIDEO, .channels = 3, .height = 1,
                   .width = 2, .frames = FRAMES, .fit = PCV_STRETCH,
                   .crop = 1 };

    for (int i = 0; i < 4; i++)
        p.std[i] = 1.0 / 255;
    return p;
}

static void assert_taken(const pcv_prep *p, const pcv_media *m,
                         const float *values)
{
    const size_t dim[4] = { FRAMES, 3, 1, 2 };
    pcv_array x;

    if (pcv_prepare(p, m, "x", &x) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(x.rank, 4);
    assert_memory_equal(x.dim, dim, sizeof dim);
    for (size_t i = 0; i < pcv_array_count(&x); i++)
        assert_float_equal(((float *)x.data)[i], values[i], 1e-4);
    pcv_array_free(&x);
}

static void assert_refused(const pcv_prep *p, const pcv_media *m,
                           const char *what)
{
    pcv_array x;

    assert_int_equal(pcv_prepare(p, m, "x", &x), -1);
    assert_failed(EX_DATAERR, what);
}

/* Grey pictures become three equal colours, each picture by itself. */
static void prepared(void **state)
{
    static uint8_t grey[6] = { 1, 2, 3, 4, 5, 6 };
    static const float want[18] = { 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4,
                                    5, 6, 5, 6, 5, 6 };
    pcv_media m = { PCV_MEDIA_CLIP, { PCV_U8, 4, { 3, 1, 2, 1 }, grey }, 0 };
    pcv_prep p = prep_of();

    (void)state;
    assert_taken(&p, &m, want);
    m.kind = PCV_MEDIA_ARRAY;
    assert_taken(&p, &m, want);
    m.array = (pcv_array){ PCV_F32, 4, { 3, 3, 1, 2 }, (void *)want };
    assert_taken(&p, &m, want);
    m.array = (pcv_array){ PCV_F32, 5, { 1, 3, 3, 1, 2 }, (void *)want };
    assert_taken(&p, &m, want);
}

/* What a reconstruction compares has to be as large as the model says. */
static void prepared_refused(void **state)
{
    static float v[36];
    pcv_media m = { PCV_MEDIA_ARRAY, { PCV_F32, 4, { 2, 3, 1, 2 }, v }, 0 };
    pcv_prep p = prep_of();

    (void)state;
    assert_refused(&p, &m, "x: array is F32 [2,3,1,2], want floats [3,3,1,2] "
                   "or U8 [3,height,width,3]");
    m.array = (pcv_array){ PCV_F32, 4, { 3, 3, 2, 1 }, v };
    assert_refused(&p, &m, "want floats [3,3,1,2]");
    m.array = (pcv_array){ PCV_U8, 4, { 3, 1, 2, 2 }, v };
    assert_refused(&p, &m, "x: array is U8 [3,1,2,2], want ");
    m.array = (pcv_array){ PCV_I32, 4, { 3, 3, 1, 2 }, v };
    assert_refused(&p, &m, "x: array is I32 ");
    m = (pcv_media){ PCV_MEDIA_IMAGE, { PCV_U8, 3, { 1, 2, 1 }, v }, 0 };
    assert_refused(&p, &m, "x: is a picture, the model takes a clip of "
                   "pictures");
    m = (pcv_media){ PCV_MEDIA_CLIP, { PCV_U8, 4, { 3, 1, 2, 1 }, v }, 0 };
    p.modality = PCV_IMAGE;
    assert_refused(&p, &m, "x: is a directory of pictures, the model takes a "
                   "picture");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directories), TEST(without_labels), TEST(lists), TEST(refused),
        TEST(every_allocation_may_fail),
        cmocka_unit_test(prepared), cmocka_unit_test(prepared_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tokens_test.c - where rows come from: Fourier features against vectors
 * computed with the published code, and the rows of every kind of stem
 * against rows put together here from the definition.  Bad inputs are
 * refused with a message; when memory ends, nothing leaks or lingers. */
#include "help.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static void near(real have, double want, const char *what, int at)
{
    if (!(fabs((double)have - want) <= 2e-6))
        fail_msg("%s, %d: %.9g, want %.9g", what, at, (double)have, want);
}

static void assert_failed(int code, const char *text)
{
    if (pcv_error_code() != code || !strstr(pcv_error(), text))
        fail_msg("%d \"%s\", want %d \"%s\"", pcv_error_code(), pcv_error(),
                 code, text);
    pcv_error_clear();
}

static int clear(void **state)
{
    (void)state;
    pcv_alloc_fail_at(0);
    pcv_error_clear();
    return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, clear)

/* ---- positions ------------------------------------------------------- */

static void test_grid_position(void **state)
{
    (void)state;
    assert_true(pcv_grid_position(0, 1) == -1);
    assert_true(pcv_grid_position(0, 5) == -1);
    assert_true(pcv_grid_position(2, 5) == 0);
    assert_true(pcv_grid_position(4, 5) == 1);
    assert_true(fabs(pcv_grid_position(1, 4) + 1.0 / 3) < 1e-15);
}

/* n = 4, two bands, maximum resolution 4. */
static void test_fourier_1d(void **state)
{
    static const double want[4][5] = {
        { -1, 0, 0, -1, 1 },
        { -0.333333333, -0.866025404, -0.866025404, 0.5, -0.5 },
        { 0.333333333, 0.866025404, 0.866025404, 0.5, -0.5 },
        { 1, 0, 0, -1, 1 },
    };
    double x[4];
    real out[20];

    (void)state;
    for (int i = 0; i < 4; i++)
        x[i] = pcv_grid_position(i, 4);
    pcv_fourier_axis(PCV_POS_FOURIER, 2, 4, x, 4, out);
    for (int i = 0; i < 20; i++)
        near(out[i], want[i / 5][i % 5], "1-D", i);
}

/* One band is the frequency 1; two are 1 and max_res / 2, whatever that is. */
static void test_bands(void **state)
{
    const double x = 0.3;
    real out[9];

    (void)state;
    pcv_fourier_axis(PCV_POS_FOURIER, 1, 100, &x, 1, out);
    near(out[1], sin(pi * 0.3), "one band", 1);
    near(out[2], cos(pi * 0.3), "one band", 2);
    pcv_fourier_axis(PCV_POS_FOURIER, 4, 20, &x, 1, out);
    for (int k = 0; k < 4; k++) {
        near(out[1 + k], sin(pi * 0.3 * (1 + 3 * k)), "four bands", k);
        near(out[5 + k], cos(pi * 0.3 * (1 + 3 * k)), "four bands", k);
    }
    pcv_fourier_axis(PCV_POS_NERF, 4, 20, &x, 1, out);
    near(out[0], 0.3, "NeRF", 0);
    for (int k = 0; k < 4; k++) {
        near(out[1 + k], sin(pi * 0.3 * (1 << k)), "NeRF", k);
        near(out[5 + k], cos(pi * 0.3 * (1 << k)), "NeRF", k);
    }
}

/* Far out, where a float argument would have lost three digits. */
static void test_high_frequency(void **state)
{
    double x = pcv_grid_position(12345, 30720);
    real out[2 * 192 + 1];

    (void)state;
    pcv_fourier_axis(PCV_POS_FOURIER, 192, 30720, &x, 1, out);
    near(out[192], sin(pi * x * 15360), "sound", 192);
    near(out[384], cos(pi * x * 15360), "sound", 384);
}

static void test_channels(void **state)
{
    /* two axes, two bands: x1 x2 s11 s12 s21 s22 c11 c12 c21 c22 */
    static const int two[2][5] = { { 0, 2, 3, 6, 7 }, { 1, 4, 5, 8, 9 } };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(pcv_fourier_channel(2, 2, i / 5, i % 5),
                         two[i / 5][i % 5]);
    for (int d = 1; d <= 3; d++)
        for (int bands = 0; bands < 5; bands++) {
            int n = d * (2 * bands + 1);
            unsigned char seen[33] = { 0 };

            for (int i = 0; i < n; i++)
                seen[pcv_fourier_channel(d, bands, i % d, i / d)]++;
            for (int i = 0; i < n; i++)
                assert_int_equal(seen[i], 1);
        }
}

/* ---- stems ----------------------------------------------------------- */

static pcv_array floats(uint64_t stream, int rank, size_t d0, size_t d1,
                        size_t d2)
{
    pcv_array a = { .dtype = PCV_F32, .rank = rank, .dim = { d0, d1, d2 } };
    size_t n = pcv_array_count(&a);
    float *x = pcv_alloc(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)pcv_normal(3, stream, i);
    a.data = x;
    return a;
}

static pcv_array ids(const int32_t *id, size_t n)
{
    pcv_array a = { .dtype = PCV_I32, .rank = 1, .dim = { n } };

    a.data = pcv_alloc(n, sizeof *id);
    memcpy(a.data, id, n * sizeof *id);
    return a;
}

enum { ITEMS = 3 };

/* A stem, its parameters and arrays bound to it. */
typedef struct {
    pcv_params params;
    pcv_stem stem;
    pcv_batch batch;
    pcv_array x[ITEMS];
} bound;

static void stem_open(bound *b, const pcv_stem_spec *spec)
{
    memset(b, 0, sizeof *b);
    assert_int_equal(pcv_stem_init(&b->stem, &b->params, spec), 0);
    help_params(&b->params, 5);
}

static int bind(bound *b, int items)
{
    const pcv_array *x[ITEMS] = { &b->x[0], &b->x[1], &b->x[2] };

    return pcv_batch_bind(&b->batch, &b->stem, x, items);
}

static void forget(bound *b)
{
    for (int i = 0; i < ITEMS; i++)
        pcv_array_free(&b->x[i]);
    memset(b->x, 0, sizeof b->x);
}

static void stem_close(bound *b)
{
    pcv_batch_free(&b->batch);
    pcv_params_free(&b->params);
    forget(b);
}

/* Row j of item b as the definition has it, into out (c values). */
typedef void define(const bound *b, int item, int j, double *out);

/* All rows of all items, in tiles of every size, against the definition. */
static void check_rows(const bound *b, define *f, const char *what)
{
    const pcv_tokens *t = &b->batch.tokens;
    size_t c = (size_t)t->c, n = (size_t)t->n;
    real *out = pcv_alloc(n * c, sizeof *out);
    double *want = pcv_alloc(c, sizeof *want);

    assert_int_equal(t->c, b->stem.c);
    for (int item = 0; item < t->items; item++)
        for (int size = 1; size <= t->n; size += 1 + size / 2) {
            memset(out, 0xff, n * c * sizeof *out);
            for (int at = 0; at < t->n; at += size)
                t->tile(t, item, at, at + size < t->n ? size : t->n - at,
                        out + (size_t)at * c);
            for (int j = 0; j < t->n; j++) {
                f(b, item, j, want);
                for (size_t k = 0; k < c; k++)
                    near(out[(size_t)j * c + k], want[k], what, (int)k);
            }
        }
    pcv_free(out);
    pcv_free(want);
}

/* ---- grids ----------------------------------------------------------- */

/* Fourier features of one coordinate pair or less, in the published order. */
static void features(const pcv_stem_spec *s, int d, const double *x,
                     const double *max_res, double *out)
{
    for (int a = 0; a < d; a++) {
        *out++ = x[a];
    }
    for (int part = 0; part < 2; part++)
        for (int a = 0; a < d; a++)
            for (int k = 0; k < s->bands; k++) {
                double f = s->position == PCV_POS_NERF ? ldexp(1, k)
                         : s->bands == 1 ? 1
                         : 1 + (max_res[a] / 2 - 1) / (s->bands - 1) * k;

                *out++ = part ? cos(pi * f * x[a]) : sin(pi * f * x[a]);
            }
}

static double linspace(int i, int n)
{
    return n == 1 ? -1 : -1 + i * (2.0 / (n - 1));
}

static void image_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const pcv_array *a = &b->x[item];
    int h = (int)a->dim[1], w = (int)a->dim[2];
    double x[2] = { linspace(j / w, h), linspace(j % w, w) };
    double m[2] = { s->max_res[0] > 0 ? s->max_res[0] : h,
                    s->max_res[1] > 0 ? s->max_res[1] : w };

    for (int k = 0; k < s->channels; k++)
        *out++ = (double)((const float *)a->data)[k * h * w + j];
    if (s->position != PCV_POS_NONE)
        features(s, 2, x, m, out);
}

/* A batch is bound again to other sizes: tables are made again. */
static void test_grid_image(void **state)
{
    static const int code[] = { PCV_POS_FOURIER, PCV_POS_NERF, PCV_POS_NONE,
                                PCV_POS_FOURIER };
    static const size_t size[][2] = { { 5, 7 }, { 1, 1 }, { 7, 5 }, { 5, 2 },
                                      { 30, 30 } };

    (void)state;
    for (int i = 0; i < 4; i++) {
        pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 1 + i % 3,
                               .position = code[i], .bands = 1 + i,
                               .max_res = { i * 10, 0, 0 } };
        bound b;

        stem_open(&b, &spec);
        assert_int_equal(b.params.count, 0);
        for (size_t k = 0; k < PCV_LEN(size); k++) {
            for (int item = 0; item < ITEMS; item++)
                b.x[item] = floats((uint64_t)item, 3, (size_t)spec.channels,
                                   size[k][0], size[k][1]);
            assert_int_equal(bind(&b, 1 + (int)k % ITEMS), 0);
            assert_int_equal(b.batch.tokens.n, size[k][0] * size[k][1]);
            check_rows(&b, image_row, "image");
            forget(&b);
        }
        stem_close(&b);
    }
}

/* Square by square of side 3: its pixels by rows, colours together. */
static void squares_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const pcv_array *a = &b->x[item];
    int side = s->block, h = (int)a->dim[1], w = (int)a->dim[2];
    int rows = h / side, columns = w / side;
    double x[2] = { linspace(j / columns, rows),
                    linspace(j % columns, columns) };
    double m[2] = { rows, columns };

    for (int y = j / columns * side; y < (j / columns + 1) * side; y++)
        for (int e = j % columns * side; e < (j % columns + 1) * side; e++)
            for (int k = 0; k < s->channels; k++)
                *out++ = (double)((const float *)a->data)[(k * h + y) * w + e];
    features(s, 2, x, m, out);
}

static void test_grid_squares(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 2,
                                 .block = 3, .position = PCV_POS_FOURIER,
                                 .bands = 2 };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    assert_int_equal(b.stem.c, 2 * 9 + 10);
    for (size_t k = 1; k < 4; k++) {
        for (int item = 0; item < ITEMS; item++)
            b.x[item] = floats((uint64_t)item, 3, 2, 3 * k, 15 - 3 * k);
        assert_int_equal(bind(&b, ITEMS), 0);
        assert_int_equal(b.batch.tokens.segments, 1);
        check_rows(&b, squares_row, "squares");
        assert_int_equal(bind(&b, 1), 0);
        check_rows(&b, squares_row, "squares");
        forget(&b);
    }
    b.x[0] = floats(1, 3, 2, 6, 7);
    assert_int_equal(bind(&b, 1), -1);
    assert_non_null(strstr(pcv_error(), "in whole squares (picture-patch)"));
    pcv_error_clear();
    stem_close(&b);
}

/* One picture is read where it is; several, and in double, are copied. */
static void test_grid_in_place(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                                 .position = PCV_POS_FOURIER, .bands = 2 };
    bool in_place = sizeof(real) == sizeof(float);
    bound b;

    (void)state;
    stem_open(&b, &spec);
    for (int item = 0; item < ITEMS; item++)
        b.x[item] = floats((uint64_t)item, 3, 3, 4, 5);
    assert_int_equal(bind(&b, 1), 0);
    assert_true((b.batch.copy == NULL) == in_place);
    check_rows(&b, image_row, "in place");
    assert_int_equal(bind(&b, 2), 0);
    check_rows(&b, image_row, "copied");
    stem_close(&b);
}

/* The worked example: a grid of 2 x 3, two bands, resolutions 2 and 3. */
static void test_fourier_2d(void **state)
{
    static const double want[3][10] = {
        { -1, -1, 0, 0, 0, 1, -1, -1, -1, 0 },
        { -1, 0, 0, 0, 0, 0, -1, -1, 1, 1 },
        { -1, 1, 0, 0, 0, -1, -1, -1, -1, 0 },
    };
    const pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 1,
                                 .position = PCV_POS_FOURIER, .bands = 2 };
    real out[3 * 11];
    bound b;

    (void)state;
    stem_open(&b, &spec);
    assert_int_equal(b.stem.c, 11);
    b.x[0] = floats(1, 3, 1, 2, 3);
    assert_int_equal(bind(&b, 1), 0);
    b.batch.tokens.tile(&b.batch.tokens, 0, 0, 3, out);
    for (int i = 0; i < 30; i++)
        near(out[i / 10 * 11 + 1 + i % 10], want[i / 10][i % 10], "2-D", i);
    stem_close(&b);
}

static void sound_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const pcv_array *a = &b->x[item];
    const float *in = a->data;
    double x = linspace(j, b->batch.tokens.n), m = 50;

    for (int k = 0; k < s->patch; k++) {
        size_t at = (size_t)(j * s->patch + k);

        *out++ = at < a->dim[0] ? (double)in[at] : 0;
    }
    features(s, 1, &x, &m, out);
}

/* More elements than have a table: features are made tile by tile, the same
 * for every tile, and there is no structure. */
static void test_grid_long(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_SOUND, .patch = 1, .bands = 3,
                                 .position = PCV_POS_FOURIER,
                                 .max_res = { 50 } };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    b.x[0] = floats(1, 1, 17000, 1, 1);
    assert_int_equal(bind(&b, 1), 0);
    assert_int_equal(b.batch.tokens.segments, 0);
    assert_null(b.batch.axis[0]);
    check_rows(&b, sound_row, "long");
    stem_close(&b);
}

/* The line against the table: other codes, other orders of the columns, more
 * bands than are turned at once, sound of an hour. */
static void test_line(void **state)
{
    static const struct { int kind, bands, n; double max_res; } line[] = {
        { PCV_POS_FOURIER, 64, 57600000, 16000 }, { PCV_POS_NERF, 9, 1000, 0 },
        { PCV_POS_FOURIER, 150, 20000, 20000 }, { PCV_POS_FOURIER, 1, 1, 1 },
    };
    enum { ROWS = 130, MOST = 301 };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(line); i++) {
        int n = line[i].n, bands = line[i].bands, cols = 2 * bands + 1;
        int rows = n < ROWS ? n : ROWS, at = (n - rows) / 3 * 2;
        real *have = pcv_alloc(ROWS * MOST, sizeof *have);
        real *want = pcv_alloc(ROWS * MOST, sizeof *want);
        double *turn = pcv_alloc(PCV_LINE * 150 * 2, sizeof *turn);
        double x[ROWS];
        pcv_line l = { line[i].kind, bands, n, line[i].max_res, turn };

        for (int j = 0; j < rows; j++)
            x[j] = pcv_grid_position(at + j, n);
        pcv_fourier_axis(l.kind, bands, l.max_res, x, rows, want);
        pcv_line_turns(&l, turn);
        for (int j = 0; j < rows; j += 7)
            pcv_line_rows(&l, at + j, rows - j < 7 ? rows - j : 7,
                          have + j * cols, have + j * cols + 1,
                          have + j * cols + 1 + bands, cols);
        for (int k = 0; k < rows * cols; k++)
            if (fabs((double)have[k] - (double)want[k]) >
                HELP_TOL(1.2e-7, 1e-10))
                fail_msg("line %zu, value %d: %.9g, want %.9g", i, k,
                         (double)have[k], (double)want[k]);
        pcv_free(have);
        pcv_free(want);
        pcv_free(turn);
    }
}

/* Patches of samples; the last one is padded with zeros. */
static void test_grid_sound(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_SOUND, .patch = 4, .bands = 3,
                                 .position = PCV_POS_FOURIER,
                                 .max_res = { 50 } };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    for (size_t n = 37; n <= 40; n++) {
        for (int item = 0; item < ITEMS; item++)
            b.x[item] = floats((uint64_t)item, 1, n, 1, 1);
        assert_int_equal(bind(&b, ITEMS), 0);
        assert_int_equal(b.batch.tokens.n, 10);
        check_rows(&b, sound_row, "sound");
        forget(&b);
    }
    stem_close(&b);
}

static void mel_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const float *in = b->x[item].data;
    double x = linspace(j, b->batch.tokens.n), m = b->batch.tokens.n;

    for (int k = 0; k < s->mels; k++)
        *out++ = (double)in[j * s->mels + k];
    features(s, 1, &x, &m, out);
}

/* A frame is an element; one band is read where it is. */
static void test_grid_mel(void **state)
{
    (void)state;
    for (int mels = 1; mels < 6; mels += 4) {
        const pcv_stem_spec spec = { .modality = PCV_SOUND, .patch = 4,
                                     .mels = mels, .bands = 2,
                                     .position = PCV_POS_FOURIER };
        bound b;

        stem_open(&b, &spec);
        for (int item = 0; item < ITEMS; item++)
            b.x[item] = floats((uint64_t)item, 2, 9, (size_t)mels, 1);
        assert_int_equal(bind(&b, 1), 0);
        check_rows(&b, mel_row, "mel");
        assert_int_equal(bind(&b, ITEMS), 0);
        check_rows(&b, mel_row, "mel");
        b.x[0].rank = 1;
        assert_int_equal(bind(&b, 1), -1);
        assert_non_null(strstr(pcv_error(), "[frames, mels] of the model"));
        pcv_error_clear();
        stem_close(&b);
    }
}

static void plain_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const float *in = b->x[item].data;
    double x = linspace(j, b->batch.tokens.n), m = b->batch.tokens.n;

    for (int k = 0; k < s->channels; k++)
        *out++ = (double)in[j * s->channels + k];
    features(s, 1, &x, &m, out);
}

static void test_grid_plain(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_PLAIN, .channels = 5,
                                 .bands = 2, .position = PCV_POS_FOURIER };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    for (int item = 0; item < ITEMS; item++)
        b.x[item] = floats((uint64_t)item, 2, 9, 5, 1);
    assert_int_equal(bind(&b, ITEMS), 0);
    check_rows(&b, plain_row, "plain");
    stem_close(&b);
}

/* The structure that attend is told agrees with the rows it is told. */
static void test_grid_segment(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                                 .position = PCV_POS_FOURIER, .bands = 4 };
    bound b;
    const pcv_segment *s;
    real row[3 + 18];

    (void)state;
    stem_open(&b, &spec);
    b.x[0] = floats(0, 3, 3, 4, 6);
    b.x[1] = floats(1, 3, 3, 4, 6);
    assert_int_equal(bind(&b, 2), 0);
    assert_int_equal(b.batch.tokens.segments, 1);
    s = b.batch.tokens.segment;
    for (int j = 0; j < 24; j++) {
        int at[2] = { j / 6, j % 6 };

        b.batch.tokens.tile(&b.batch.tokens, 1, j, 1, row);
        for (int k = 0; k < s->c; k++)
            assert_true(row[k] == s->content[s->item_stride +
                                             (size_t)k * s->plane + (size_t)j]);
        for (int a = 0; a < s->axes; a++)
            for (int k = 0; k < s->cols[a]; k++)
                assert_true(row[s->channel[a][k]] ==
                            s->table[a][at[a] * s->cols[a] + k]);
    }
    stem_close(&b);
}

/* ---- learned positions ----------------------------------------------- */

static double product(const pcv_linear *l, int o, const double *x)
{
    double sum = (double)l->b->w[o];

    for (int k = 0; k < l->in; k++)
        sum += (double)l->w->w[o * l->in + k] * x[k];
    return sum;
}

static void learned_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem *s = &b->stem;
    int c = s->spec.channels, pc = s->spec.pos_channels;
    int m = b->batch.tokens.n, w = s->spec.project ? s->spec.project : c;
    double x[8], t[8];

    for (int k = 0; k < c; k++)
        x[k] = (double)((const float *)b->x[item].data)[k * m + j];
    for (int k = 0; k < pc; k++)
        t[k] = (double)s->table->w[j * pc + k];
    for (int k = 0; k < w; k++)
        out[k] = s->spec.project ? product(&s->content, k, x) : x[k];
    for (int k = 0; k < pc; k++)
        out[w + k] = s->spec.pos_project ? product(&s->position, k, t) : t[k];
}

static void assert_param(const pcv_params *p, const char *name, size_t d0,
                         size_t d1)
{
    const pcv_param *q = pcv_params_find(p, name);

    if (!q)
        fail_msg("no parameter %s", name);
    assert_int_equal(q->dim[0], d0);
    assert_int_equal(q->dim[1], d1);
}

#define STEM "perceiver.input_preprocessor."

static void test_learned(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                               .size = { 9, 11 }, .position = PCV_POS_LEARNED,
                               .pos_channels = 4, .pos_project = i & 1,
                               .project = i & 2 ? 6 : 0 };
        bound b;

        stem_open(&b, &spec);
        assert_param(&b.params, STEM "position_embeddings.position_embeddings",
                     99, 4);
        if (i == 3) {
            assert_param(&b.params, STEM "convnet_1x1.weight", 6, 3);
            assert_param(&b.params, STEM "positions_projection.bias", 4, 0);
        }
        assert_int_equal(b.params.count, 1 + (i & 1 ? 2 : 0) + (i & 2));
        b.x[0] = floats(0, 3, 3, 9, 11);
        b.x[1] = floats(1, 3, 3, 9, 11);
        assert_int_equal(bind(&b, 2), 0);
        assert_int_equal(b.batch.tokens.segments, 0);
        check_rows(&b, learned_row, "learned");
        forget(&b);
        b.x[0] = floats(0, 3, 3, 11, 9);
        assert_int_equal(bind(&b, 1), -1);
        assert_failed(EX_DATAERR, "11x9 elements, want 9x11");
        stem_close(&b);
    }
}

/* ---- text ------------------------------------------------------------ */

static const int32_t text[3][6] = {
    { 3, 1, 4, 1, 5, 2 }, { 2, 6, 0, 0, 0, 0 }, { 5, 0, 5, 0, 0, 0 },
};

static void text_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem *s = &b->stem;
    int e = s->spec.embed;

    for (int k = 0; k < e; k++) {
        out[k] = (double)s->embedding->w[text[item][j] * e + k];
        if (s->table)
            out[k] += (double)s->table->w[j * e + k];
    }
}

static void test_text(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        pcv_stem_spec spec = { .modality = PCV_BYTES, .vocab = 7, .embed = 5,
                               .size = { 8 } };
        bound b;

        spec.position = i ? PCV_POS_LEARNED : PCV_POS_NONE;
        stem_open(&b, &spec);
        assert_param(&b.params, STEM "embeddings.weight", 7, 5);
        if (i)
            assert_param(&b.params, STEM "position_embeddings.weight", 8, 5);
        b.x[0] = ids(text[0], 6);
        b.x[1] = ids(text[1], 2);
        b.x[2] = ids(text[2], 4);
        assert_int_equal(bind(&b, 3), 0);
        assert_int_equal(b.batch.tokens.n, 6);
        check_rows(&b, text_row, "text");
        for (int k = 0; k < 18; k++)
            assert_int_equal(b.batch.tokens.mask[k], text[k / 6][k % 6] != 0);
        stem_close(&b);
    }
}

static void refuse_text(bound *b, const int32_t *id, size_t n,
                        const char *message)
{
    b->x[0] = ids(id, n);
    assert_int_equal(bind(b, 1), -1);
    assert_failed(EX_DATAERR, message);
    forget(b);
}

static void test_text_refused(void **state)
{
    static const int32_t id[9] = { 1, 7, -1, 0, 0, 0, 0, 0, 0 };
    const pcv_stem_spec spec = { .modality = PCV_BYTES, .vocab = 7, .embed = 5,
                                 .size = { 8 } };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    refuse_text(&b, id, 9, "a text of 9 ids, want at most 8");
    refuse_text(&b, id, 2, "id 7 at 1, want 0 to 6");
    refuse_text(&b, id + 2, 1, "id -1 at 0");
    refuse_text(&b, id + 3, 4, "an empty text");
    refuse_text(&b, id, 0, "an empty text");
    stem_close(&b);
}

/* ---- points ---------------------------------------------------------- */

static void points_row(const bound *b, int item, int j, double *out)
{
    const pcv_stem_spec *s = &b->stem.spec;
    const pcv_array *a = &b->x[item];
    double x[3] = { 0 };

    for (int k = 0; k < s->channels; k++) {
        double v = (size_t)j < a->dim[0]
                       ? (double)((const float *)a->data)[j * s->channels + k]
                       : 0;

        if (k < 3)
            x[k] = v;
        else
            *out++ = v;
    }
    if (s->position == PCV_POS_NONE)
        memcpy(out, x, sizeof x);
    else
        features(s, 3, x, s->max_res, out);
}

static void test_points(void **state)
{
    static const size_t size[ITEMS] = { 5, 9, 1 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        pcv_stem_spec spec = { .modality = PCV_POINTS, .channels = 3 + 2 * i,
                               .bands = 3, .max_res = { 8, 9, 10 } };
        bound b;

        spec.position = i ? PCV_POS_FOURIER : PCV_POS_NONE;
        stem_open(&b, &spec);
        for (int item = 0; item < ITEMS; item++)
            b.x[item] = floats((uint64_t)item, 2, size[item],
                               (size_t)spec.channels, 1);
        assert_int_equal(bind(&b, ITEMS), 0);
        assert_int_equal(b.batch.tokens.n, 9);
        check_rows(&b, points_row, "points");
        for (int k = 0; k < 27; k++)
            assert_int_equal(b.batch.tokens.mask[k],
                             (size_t)(k % 9) < size[k / 9]);
        stem_close(&b);
    }
}

/* ---- refusals -------------------------------------------------------- */

static void test_refused_inputs(void **state)
{
    const pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                                 .position = PCV_POS_FOURIER, .bands = 2 };
    bound b;

    (void)state;
    stem_open(&b, &spec);
    b.x[0] = floats(0, 3, 1, 4, 4);
    assert_int_equal(bind(&b, 1), -1);
    assert_failed(EX_DATAERR, "shape [1x4x4], want [channels, height, width]");
    forget(&b);
    b.x[0] = floats(0, 2, 4, 4, 1);
    assert_int_equal(bind(&b, 1), -1);
    assert_failed(EX_DATAERR, "shape [4x4]");
    forget(&b);
    b.x[0] = floats(0, 3, 3, 4, 4);
    b.x[1] = floats(0, 3, 3, 4, 5);
    assert_int_equal(bind(&b, 2), -1);
    assert_failed(EX_DATAERR, "inputs of a batch differ in size");
    stem_close(&b);
}

static void test_refused_specs(void **state)
{
    static const struct {
        pcv_stem_spec spec;
        const char *message;
    } bad[] = {
        { { .modality = PCV_BYTES, .embed = 5, .size = { 8 } },
          "a text model needs a vocabulary" },
        { { .modality = PCV_POINTS, .channels = 2 },
          "points need 3 coordinates or more" },
        { { .modality = PCV_POINTS, .channels = 3, .bands = 2,
            .position = PCV_POS_FOURIER, .max_res = { 3, 0, 3 } },
          "points need a maximum resolution" },
        { { .modality = PCV_IMAGE, .channels = 3, .size = { 4, 4 },
            .position = PCV_POS_LEARNED },
          "learned positions need" },
        { { .modality = 77 }, "no input of modality 77" },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        pcv_params p = {0};
        pcv_stem s;

        assert_int_equal(pcv_stem_init(&s, &p, &bad[i].spec), -1);
        assert_failed(EX_DATAERR, bad[i].message);
        pcv_params_free(&p);
    }
}

/* ---- memory ends ----------------------------------------------------- */

/* The k-th allocation of a bind fails: -1, a message, and the next bind of
 * the same batch works. */
static void exhaust(bound *b, define *f)
{
    for (long k = 1; k < 20; k++) {
        int r;

        pcv_batch_free(&b->batch);
        pcv_alloc_fail_at(k);
        r = bind(b, 2);
        pcv_alloc_fail_at(0);
        if (r == 0)
            return;
        assert_int_equal(pcv_error_code(), EX_OSERR);
        pcv_error_clear();
        assert_int_equal(bind(b, 2), 0);
        check_rows(b, f, "after a failure");
    }
    fail_msg("a bind of 20 allocations");
}

static void test_memory(void **state)
{
    const pcv_stem_spec image = { .modality = PCV_IMAGE, .channels = 3,
                                  .position = PCV_POS_FOURIER, .bands = 2 };
    const pcv_stem_spec bytes = { .modality = PCV_BYTES, .vocab = 7,
                                  .embed = 5, .size = { 8 } };
    const pcv_stem_spec points = { .modality = PCV_POINTS, .channels = 4 };
    bound b;

    (void)state;
    stem_open(&b, &image);
    b.x[0] = floats(0, 3, 3, 4, 4);
    b.x[1] = floats(0, 3, 3, 4, 4);
    exhaust(&b, image_row);
    stem_close(&b);
    stem_open(&b, &bytes);
    b.x[0] = ids(text[0], 6);
    b.x[1] = ids(text[1], 2);
    exhaust(&b, text_row);
    stem_close(&b);
    stem_open(&b, &points);
    b.x[0] = floats(0, 2, 5, 4, 1);
    b.x[1] = floats(0, 2, 3, 4, 1);
    exhaust(&b, points_row);
    stem_close(&b);
}

/* ---- rows in memory and queries -------------------------------------- */

static void test_rows(void **state)
{
    real rows[2 * 5 * 3], drows[2 * 5 * 3], out[2 * 3];
    pcv_row_tokens r;

    (void)state;
    help_fill(1, rows, 30, 0, 1);
    memset(drows, 0, sizeof drows);
    pcv_rows_bind(&r, rows, drows, 2, 5, 3);
    r.tokens.tile(&r.tokens, 1, 2, 2, out);
    assert_memory_equal(out, rows + 21, sizeof out);
    for (int i = 0; i < 2; i++)
        r.tokens.tile_backward(&r.tokens, 1, 2, 2, out);
    for (int i = 0; i < 30; i++)
        assert_true(drows[i] == (i >= 21 && i < 27 ? 2 * rows[i] : 0));
    pcv_rows_bind(&r, rows, NULL, 2, 5, 3);
    assert_null(r.tokens.tile_backward);
}

static void test_queries_grid(void **state)
{
    const pcv_queries_spec spec = { .kind = PCV_ASK_GRID, .axes = 2,
                                    .len = { 3, 4 }, .bands = 2,
                                    .position = PCV_POS_FOURIER,
                                    .max_res = { 0, 9 } };
    const pcv_stem_spec like = { .position = PCV_POS_FOURIER, .bands = 2 };
    const double max_res[2] = { 3, 9 };
    static const int index[2] = { 11, 5 };
    pcv_params p = {0};
    pcv_queries q;
    real out[20];

    (void)state;
    assert_int_equal(pcv_queries_init(&q, &p, &spec), 0);
    assert_int_equal(q.n, 12);
    assert_int_equal(q.e, 10);
    pcv_queries_rows(&q, NULL, 0, index, 2, out, q.e);
    for (int i = 0; i < 2; i++) {
        double x[2] = { linspace(index[i] / 4, 3), linspace(index[i] % 4, 4) };
        double want[10];

        features(&like, 2, x, max_res, want);
        for (int k = 0; k < 10; k++)
            near(out[10 * i + k], want[k], "queries", k);
    }
    pcv_queries_backward(&q, index, 2, out, q.e);    /* nothing to learn */
    pcv_queries_free(&q);
    pcv_params_free(&p);
}

/* Queries by index stop one step short of the end; a grid too large to count
 * is refused. */
static void test_queries_by_index(void **state)
{
    pcv_queries_spec spec = { .kind = PCV_ASK_GRID, .axes = 1, .len = { 4 },
                              .bands = 2, .position = PCV_POS_FOURIER,
                              .by_index = true };
    pcv_params p = {0};
    pcv_queries q;
    real out[4 * 5];

    (void)state;
    assert_int_equal(pcv_queries_init(&q, &p, &spec), 0);
    pcv_queries_rows(&q, NULL, 0, NULL, 4, out, 5);
    for (int i = 0; i < 4; i++) {
        double x = -1 + 0.5 * i;

        near(out[5 * i], x, "by index", i);
        near(out[5 * i + 2], sin(pi * 2 * x), "by index, sine", i);
        near(out[5 * i + 3], cos(pi * x), "by index, cosine", i);
    }
    pcv_queries_free(&q);
    spec.axes = 3;
    spec.len[0] = spec.len[1] = spec.len[2] = 4096;
    assert_int_equal(pcv_queries_init(&q, &p, &spec), -1);
    assert_failed(EX_DATAERR, "more than 2^30");
    pcv_queries_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_grid_position),
        TEST(test_fourier_1d),
        TEST(test_grid_in_place),
        TEST(test_fourier_2d),
        TEST(test_bands),
        TEST(test_high_frequency),
        TEST(test_channels),
        TEST(test_grid_image),
        TEST(test_grid_long),
        TEST(test_line),
        TEST(test_grid_sound),
        TEST(test_grid_mel),
        TEST(test_grid_squares),
        TEST(test_grid_plain),
        TEST(test_grid_segment),
        TEST(test_learned),
        TEST(test_text),
        TEST(test_text_refused),
        TEST(test_points),
        TEST(test_refused_inputs),
        TEST(test_refused_specs),
        TEST(test_memory),
        TEST(test_rows),
        TEST(test_queries_grid),
        TEST(test_queries_by_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

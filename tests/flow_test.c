/* flow_test.c - .flo out and in, byte for byte, and every broken header
 * refused; the colour wheel against colours worked out by hand; tiles: where
 * they begin against a plain list of the rule, and whatever is cut into them
 * and blended is what it was.  Where PCV_SHARED names the reference data, the
 * ground truth of its pairs is read, measured and written again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

/* ---- .flo ------------------------------------------------------------ */

/* Two pixels: (1, -2) and (1e10, not a number), unknown. */
#define TWO "PIEH\2\0\0\0\1\0\0\0" "\0\0\x80\x3f\0\0\0\xc0" \
            "\xf9\x02\x15\x50\0\0\xc0\x7f"

/* From a copy of exactly n bytes, so that a sanitizer sees the first beyond;
 * a modality, so that what is not recognised is not taken as bytes. */
static int decode(const void *data, size_t n, pcv_media *out, size_t *used)
{
    unsigned char *copy = test_malloc(n ? n : 1);
    pcv_reading how;
    int status;

    pcv_reading_default(&how);
    how.modality = PCV_PLAIN;
    memcpy(copy, data, n);
    status = pcv_decode(copy, n, "x", &how, out, used);
    test_free(copy);
    return status;
}

static void refuse(const void *data, size_t n, const char *what)
{
    pcv_media m;

    assert_int_equal(decode(data, n, &m, NULL), -1);
    assert_failed(EX_DATAERR, what);
    assert_int_equal(m.kind, 0);
    assert_null(m.array.data);
}

/* data, a .flo of n bytes, is read, has these sides, and is written again as
 * it was; the pixels are the caller's. */
static void assert_round(const void *data, size_t n, int height, int width,
                         pcv_media *m)
{
    pcv_buf b = {0};
    size_t used;

    if (decode(data, n, m, &used) != 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(used, n);
    assert_int_equal(m->kind, PCV_MEDIA_ARRAY);
    assert_int_equal(m->array.dtype, PCV_F32);
    assert_int_equal(m->array.rank, 3);
    assert_int_equal(m->array.dim[0], height);
    assert_int_equal(m->array.dim[1], width);
    assert_int_equal(m->array.dim[2], 2);
    assert_int_equal(pcv_flo_write(&b, m->array.data, height, width), 0);
    assert_int_equal(b.len, n);
    assert_memory_equal(b.data, data, n);
    pcv_buf_free(&b);
}

static void flo_there_and_back(void **state)
{
    const float *uv;
    pcv_media m;

    (void)state;
    assert_round(TWO, 28, 1, 2, &m);
    uv = m.array.data;
    assert_true(uv[0] == 1 && uv[1] == -2 && uv[2] == 1e10f && isnan(uv[3]));
    pcv_media_free(&m);
}

static void flo_truncated(void **state)
{
    (void)state;
    for (size_t n = 1; n < 28; n++)
        refuse(TWO, n, n < 4 ? "x: unknown kind of file"
               : n < 12 ? "x: truncated .flo: " : "x: .flo: ");
    refuse(TWO, 11, "x: truncated .flo: 11 of 12 bytes of the header");
    refuse(TWO, 27, "x: .flo: 15 bytes of elements, want 16 for 1 x 2 x 2 "
           "F32");
    refuse(TWO, 29, "x: .flo: 17 bytes of elements, want 16");
}

static void flo_headers_refused(void **state)
{
    static const struct {
        int32_t width, height;
        const char *what;
    } row[] = {
        {0, 1, "x: .flo of 0 x 1 pixels, want 1 to 65535 each way"},
        {1, 0, "x: .flo of 1 x 0 pixels"},
        {-1, 1, "x: .flo of -1 x 1 pixels"},
        {2, -4, "x: .flo of 2 x -4 pixels"},
        {-1, -2, "x: .flo of -1 x -2 pixels"},
        {INT32_MIN, 1, "x: .flo of -2147483648 x 1 pixels"},
        {INT32_MAX, INT32_MAX, "x: .flo of 2147483647 x 2147483647 pixels"},
        {65536, 1, "x: .flo of 65536 x 1 pixels"},
        {65535, 65535, "x: .flo: 16 bytes of elements, want 34358689800"},
        {1, 1, "x: .flo: 16 bytes of elements, want 8"},
        {2, 2, "x: .flo: 16 bytes of elements, want 32"},
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        unsigned char data[] = TWO;

        memcpy(data + 4, &row[i].width, 4);
        memcpy(data + 8, &row[i].height, 4);
        refuse(data, 28, row[i].what);
    }
}

static void flo_not_written(void **state)
{
    const float uv[2] = {0};
    pcv_buf b = {0};

    (void)state;
    assert_int_equal(pcv_flo_write(&b, uv, 0, 1), -1);
    assert_failed(EX_USAGE, ".flo of 1 x 0 pixels, want 1 to 65535");
    assert_int_equal(pcv_flo_write(&b, uv, 1, 65536), -1);
    assert_failed(EX_USAGE, ".flo of 65536 x 1 pixels");
    assert_int_equal(b.len, 0);
    pcv_alloc_fail_at(1);
    assert_int_equal(pcv_flo_write(&b, uv, 1, 1), -1);
    assert_int_equal(pcv_error_code(), EX_OSERR);
    pcv_buf_free(&b);
}

/* ---- colours --------------------------------------------------------- */

static void assert_colour(float u, float v, const int *want, int tolerance)
{
    const float uv[2] = {u, v};
    uint8_t rgb[3];

    pcv_flow_colours(uv, 1, 1, 1, rgb);
    for (int c = 0; c < 3; c++)
        if (abs(rgb[c] - want[c]) > tolerance)
            fail_msg("(%g, %g) is %d %d %d, want %d %d %d", (double)u,
                     (double)v, rgb[0], rgb[1], rgb[2], want[0], want[1],
                     want[2]);
}

/* A quarter turn is 13.5 colours.  Down: between colours 13 and 14 of 15
 * from red to yellow, 255 * 13 / 15 = 221 and 238.  Left: the third of 11
 * from cyan to blue, 255 - 46.  Up: between the fifth and sixth of 13 from
 * blue to magenta, 78 and 98.  Parts of a whole are cut off. */
static void colours_of_the_axes(void **state)
{
    static const struct {
        float u, v;
        int rgb[3];
    } row[] = {
        {0, 0, {255, 255, 255}}, {-0.f, -0.f, {255, 255, 255}},
        {1, 0, {255, 0, 0}}, {1, -0.f, {255, 0, 0}},
        {0.5f, 0, {255, 127, 127}}, {2, 0, {191, 0, 0}},
        {1e9f, 0, {191, 0, 0}},
        {0, 1, {255, 229, 0}}, {0, 0.5f, {255, 242, 127}},
        {0, 1.5f, {191, 172, 0}},
        {-1, 0, {0, 209, 255}}, {-1, -0.f, {0, 209, 255}},
        {-0.5f, 0, {127, 232, 255}}, {-9, 0, {0, 156, 191}},
        {0, -1, {88, 0, 255}}, {0, -0.5f, {171, 127, 255}},
        {1.1e9f, 0, {0}}, {0, -1.1e9f, {0}}, {NAN, 0, {0}}, {0, NAN, {0}},
        {INFINITY, 1, {0}}, {1, -INFINITY, {0}},
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++)
        assert_colour(row[i].u, row[i].v, row[i].rgb, 0);
}

/* The first colour of each part, full (a little less: at 1 a rounding may
 * darken it), half and beyond. */
static void colours_of_the_wheel(void **state)
{
    static const struct {
        int place;      /* of 54 to a turn */
        int rgb[3];
    } row[] = {
        {0, {255, 0, 0}}, {15, {255, 255, 0}}, {21, {0, 255, 0}},
        {25, {0, 255, 255}}, {36, {0, 0, 255}}, {49, {255, 0, 255}},
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        const double turn = row[i].place * 2 * acos(-1) / 54;
        const float u = (float)cos(turn), v = (float)sin(turn);
        int half[3], dark[3];

        for (int c = 0; c < 3; c++) {
            half[c] = 255 - (255 - row[i].rgb[c]) / 2;
            dark[c] = 3 * row[i].rgb[c] / 4;
        }
        assert_colour(u * 0.999f, v * 0.999f, row[i].rgb, 1);
        assert_colour(u / 2, v / 2, half, 1);
        assert_colour(u * 3, v * 3, dark, 1);
    }
}

static void colours_of_the_largest(void **state)
{
    const float uv[] = {3, 4, 1e10f, 0, 6, -8, 0, NAN};
    const float still[] = {0, 0, 0, -0.f}, unknown[] = {NAN, 0, 2e9f, 2e9f};
    const uint8_t white[] = {255, 255, 255, 255, 255, 255}, black[6] = {0};
    const double none[] = {0, -3, (double)NAN};
    uint8_t self[12], given[12];

    (void)state;
    pcv_flow_colours(uv, 2, 2, 10, given);
    for (int i = 0; i < 3; i++) {
        pcv_flow_colours(uv, 2, 2, none[i], self);
        assert_memory_equal(self, given, 12);
    }
    pcv_flow_colours(still, 1, 2, 0, self);
    assert_memory_equal(self, white, 6);
    pcv_flow_colours(unknown, 1, 2, 0, self);
    assert_memory_equal(self, black, 6);
}

/* ---- tiles ----------------------------------------------------------- */

/* The rule word by word: a range, each drawn back into the picture, the last
 * flush, what repeats dropped. */
static int list_offsets(int n, int tile, int overlap, int *at)
{
    int last = n > tile ? n - tile : 0, count = 0, kept = 0;

    for (int i = 0; i < n; i += tile - overlap)
        at[count++] = i < last ? i : last;
    at[count - 1] = last;
    for (int i = 0; i < count; i++)
        if (i == 0 || at[i] != at[kept - 1])
            at[kept++] = at[i];
    return kept;
}

static void offsets_of_many_sizes(void **state)
{
    static const struct {
        int tile, overlap;
    } row[] = {{368, 20}, {496, 20}, {8, 0}, {8, 3}, {8, 7}, {1, 0}};
    int have[1500], want[1500];

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++)
        for (int n = 1; n <= 1500; n++) {
            const int t = row[i].tile, o = row[i].overlap;
            const int count = list_offsets(n, t, o, want);

            assert_int_equal(pcv_tile_offsets(n, t, o, NULL, 0), count);
            assert_int_equal(pcv_tile_offsets(n, t, o, have, 1500), count);
            assert_memory_equal(have, want, (size_t)count * sizeof *have);
            for (int k = 1; k < count; k++)
                assert_true(have[k] > have[k - 1] &&
                            have[k] <= have[k - 1] + t - o);
            assert_true(have[count - 1] + t == n || (n < t && count == 1));
        }
}

static void offsets_by_hand(void **state)
{
    static const struct {
        int n, tile, count, at[4];
    } row[] = {
        {436, 368, 2, {0, 68}}, {1024, 496, 3, {0, 476, 528}},
        {368, 368, 1, {0}}, {369, 368, 2, {0, 1}}, {100, 368, 1, {0}},
        {716, 368, 2, {0, 348}}, {1080, 368, 4, {0, 348, 696, 712}},
        {962, 496, 2, {0, 466}},    /* range(0, 962, 476) has 476, too far */
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        int at[5] = {-1, -1, -1, -1, -1};

        assert_int_equal(pcv_tile_offsets(row[i].n, row[i].tile, 20, at, 4),
                         row[i].count);
        assert_memory_equal(at, row[i].at,
                            (size_t)row[i].count * sizeof *at);
        assert_int_equal(at[row[i].count], -1);
    }
    for (int room = 0; room < 4; room++) {
        int at[4] = {-1, -1, -1, -1};

        assert_int_equal(pcv_tile_offsets(1080, 368, 20, at, room), 4);
        assert_int_equal(at[room], -1);
    }
}

/* ---- blending -------------------------------------------------------- */

static void weights_by_hand(void **state)
{
    static const float tile[15] = {0};
    static const struct {
        int y, x;
        float weight[15];
    } row[] = {
        {0, 0, {1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1}},
        {1, 2, {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 2, 2}},
        {-1, -2, {2, 2, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}},
        {3, 0, {0}}, {0, -5, {0}},
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        float sum[15] = {0}, weight[15] = {0};

        pcv_tile_blend(tile, 3, 5, 1, row[i].y, row[i].x, 3, 5, sum, weight);
        assert_memory_equal(weight, row[i].weight, sizeof weight);
    }
}

static float field(bool constant, int y, int x, int k)
{
    return constant ? (float)(3.3 - 2 * k)
                    : (float)(sin(0.3 * y + k) + 0.1 * x);
}

/* Cut out of the field, where it goes on beyond the picture. */
static void cut(bool constant, int y, int x, int th, int tw, int c,
                float *tile)
{
    for (int i = 0; i < th; i++)
        for (int j = 0; j < tw; j++)
            for (int k = 0; k < c; k++)
                *tile++ = field(constant, y + i, x + j, k);
}

static double sum_of_weights(const float *weight, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        assert_true(weight[i] >= 1);
        sum += (double)weight[i];
    }
    return sum;
}

/* Of one tile of th x tw within a picture. */
static double weight_of_tile(int th, int tw)
{
    double sum = 0;

    for (int i = 1; i <= th; i++)
        for (int j = 1; j <= tw; j++)
            sum += fmin(fmin(i, th + 1 - i), fmin(j, tw + 1 - j));
    return sum;
}

static void blend(bool constant, int height, int width, int th, int tw, int c,
                  int overlap)
{
    const size_t pixels = (size_t)height * (size_t)width;
    float *sum = pcv_alloc(pixels * (size_t)c, sizeof *sum);
    float *weight = pcv_alloc(pixels, sizeof *weight);
    float *tile = pcv_alloc((size_t)(th * tw * c), sizeof *tile);
    int ys[99], xs[99];
    const int ny = pcv_tile_offsets(height, th, overlap, ys, 99);
    const int nx = pcv_tile_offsets(width, tw, overlap, xs, 99);

    for (int i = 0; i < ny * nx; i++) {
        const int y = ys[i / nx], x = xs[i % nx];

        cut(constant, y, x, th, tw, c, tile);
        pcv_tile_blend(tile, th, tw, c, y, x, height, width, sum, weight);
    }
    if (height >= th && width >= tw)
        assert_true(sum_of_weights(weight, (int)pixels) ==
                    ny * nx * weight_of_tile(th, tw));
    pcv_blend_finish(sum, weight, pixels, c);
    for (int i = 0; i < (int)pixels * c; i++) {
        const float want = field(constant, i / c / width, i / c % width,
                                 i % c);

        if (!(fabsf(sum[i] - want) <= 1e-6f * (1 + fabsf(want))))
            fail_msg("%d of %d x %d: %g, want %g", i, height, width,
                     (double)sum[i], (double)want);
    }
    pcv_free(sum);
    pcv_free(weight);
    pcv_free(tile);
}

static void tiles_blend_to_what_they_were(void **state)
{
    (void)state;
    for (int constant = 0; constant < 2; constant++) {
        for (int n = 1; n < 30; n++)
            blend(constant, n, 31 - n, 6, 9, 2, 3);
        blend(constant, 20, 25, 8, 11, 3, 0);
        blend(constant, 436, 1024, 368, 496, 2, 20);
    }
}

static void places_without_tiles_stay_zero(void **state)
{
    float sum[6] = {0, 0, 4, 6, 0, 0};

    (void)state;
    pcv_blend_finish(sum, (const float[]){0, 2, 0}, 3, 2);
    assert_memory_equal(sum, ((const float[]){0, 0, 2, 3, 0, 0}), sizeof sum);
}

/* ---- the reference data ---------------------------------------------- */

/* A file of the archive; false when there is no archive. */
static bool unpack(const char *shared, const char *name, pcv_buf *b)
{
    char command[5000], block[4096];
    size_t n;
    FILE *f;

    snprintf(command, sizeof command, "tar -xJOf '%s/data/flow/"
             "flow-shared.tar.xz' %s 2>/dev/null", shared, name);
    f = popen(command, "r");
    assert_non_null(f);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        pcv_buf_add(b, block, n);
    return pclose(f) == 0 && b->len > 0 && !b->failed;
}

/* As the archive's index gives them: the share of unknown pixels, the mean
 * and the largest magnitude of the others. */
static void assert_measures(const float *uv, int pixels, double unknown,
                            double mean, double most)
{
    double sum = 0, top = 0;
    int known = 0;

    for (int i = 0; i < pixels; i++, uv += 2) {
        const double m = hypot((double)uv[0], (double)uv[1]);

        if (fabs((double)uv[0]) > 1e9 || fabs((double)uv[1]) > 1e9)
            continue;
        known++;
        sum += m;
        top = m > top ? m : top;
    }
    assert_true(fabs(1 - (double)known / pixels - unknown) < 0.0006);
    assert_true(fabs(sum / known - mean) < 0.0006);
    assert_true(fabs(top - most) < 0.006);
}

static void ground_truth(void **state)
{
    static const struct {
        const char *name;
        int width, height;
        double unknown, mean, most;
    } row[] = {
        {"RubberWhale/flow.flo", 584, 388, 0.016, 1.256, 4.62},
        {"Venus/flow.flo", 420, 380, 0, 3.802, 9.38},
        {"chairs_50x50/flow.flo", 50, 50, 0, 1.783, 12.51},
    };
    const char *shared = getenv("PCV_SHARED");

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        pcv_buf b = {0};
        pcv_media m;

        if (!shared || !unpack(shared, row[i].name, &b))
            skip();
        assert_round(b.data, b.len, row[i].height, row[i].width, &m);
        assert_measures(m.array.data, row[i].height * row[i].width,
                        row[i].unknown, row[i].mean, row[i].most);
        pcv_media_free(&m);
        pcv_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flo_there_and_back),
        TEST(flo_truncated),
        TEST(flo_headers_refused),
        TEST(flo_not_written),
        TEST(colours_of_the_axes),
        TEST(colours_of_the_wheel),
        TEST(colours_of_the_largest),
        TEST(offsets_of_many_sizes),
        TEST(offsets_by_hand),
        TEST(weights_by_hand),
        TEST(tiles_blend_to_what_they_were),
        TEST(places_without_tiles_stay_zero),
        TEST(ground_truth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

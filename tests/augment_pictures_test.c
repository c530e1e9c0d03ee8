/* augment_pictures_test.c - augmentation of pictures: shifts, flips, crops,
 * rectangles against what they do to pictures for which that is known. */
#include "augment_help.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

enum { H = 9, W = 8, AREA = H * W };

/* Pixel (y, x) of channel k, the nearest one where there is none. */
static float edge(const pcv_array *a, int k, int y, int x)
{
    const int h = (int)a->dim[1], w = (int)a->dim[2];

    y = y < 0 ? 0 : y >= h ? h - 1 : y;
    x = x < 0 ? 0 : x >= w ? w - 1 : x;
    return augment_values(a)[(k * h + y) * w + x];
}

/* ---- shift, flip ----------------------------------------------------- */

/* Where a shift has always gone. */
static int moved(uint64_t stream, uint64_t which, int most)
{
    double u = pcv_uniform(7919, stream, which);

    return (int)(u * (2 * most + 1)) - most;
}

static void test_shift(void **state)
{
    pcv_run_spec r = augment_settings("shift=3");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array x = augment_example(3, H, W, 1), y;
    int seen[49] = {0};

    (void)state;
    for (uint64_t s = 0; s < 1000; s++) {
        int dy = moved(s, 0, 3), dx = moved(s, 1, 3);

        y = augment_made(&r, &prep, s, &x);
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < AREA; i++)
                assert_true(augment_values(&y)[k * AREA + i] ==
                            edge(&x, k, i / W - dy, i % W - dx));
        seen[(dy + 3) * 7 + dx + 3] = 1;
        pcv_array_free(&y);
    }
    for (int i = 0; i < 49; i++)
        assert_true(seen[i]);
    pcv_array_free(&x);
}

/* Bit 0: columns mirrored, bit 1: rows. */
static int mirrored(const pcv_array *x, const pcv_array *y)
{
    for (int way = 0; way < 4; way++) {
        bool same = true;

        for (int i = 0; i < 3 * AREA; i++) {
            int row = i / W % H, column = i % W;

            same &= augment_values(y)[i] ==
                    edge(x, i / AREA, way & 2 ? H - 1 - row : row,
                         way & 1 ? W - 1 - column : column);
        }
        if (same)
            return way;
    }
    fail();
    return -1;
}

static void check_flip(const char *settings, int ways)
{
    pcv_run_spec r = augment_settings(settings);
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array x = augment_example(3, H, W, 1), y, z;
    int seen[4] = {0};

    for (uint64_t s = 0; s < 2000; s++) {
        y = augment_made(&r, &prep, s, &x);
        z = augment_made(&r, &prep, s, &y);
        seen[mirrored(&x, &y)]++;
        assert_true(augment_same(&x, &z));
        pcv_array_free(&y);
        pcv_array_free(&z);
    }
    for (int way = 0; way < 4; way++)
        if (way & ~ways)
            assert_int_equal(seen[way], 0);
        else
            augment_chance(seen[way], 2000, ways == 3 ? 0.25 : 0.5, settings);
    pcv_array_free(&x);
}

static void test_flip(void **state)
{
    (void)state;
    check_flip("flip=horizontal", PCV_FLIP_HORIZONTAL);
    check_flip("flip=vertical", PCV_FLIP_VERTICAL);
    check_flip("flip=both", PCV_FLIP_BOTH);
}

/* ---- crop ------------------------------------------------------------ */

/* Channel 0 is a constant, 1 the row, 2 the column of its pixels. */
static pcv_array slopes(size_t h, size_t w)
{
    pcv_array x = augment_example(3, h, w, 1);

    for (size_t i = 0; i < h * w; i++) {
        augment_values(&x)[i] = 0.3F;
        augment_values(&x)[h * w + i] = (float)(i / w);
        augment_values(&x)[2 * h * w + i] = (float)(i % w);
    }
    return x;
}

static double inside(double v, int n)
{
    return v < 0 ? 0 : v > n - 1 ? n - 1 : v;
}

/* The whole is itself; a part shows the rows and columns that are there. */
static void test_crop_box(void **state)
{
    static const double boxes[][4] = {
        { 2, 3, 4, 4 }, { 0, 0, 4.5, 8 }, { 3.25, 1.5, 5.75, 2.5 },
        { 8, 7, 1, 1 }, { 0, 0, 9, 8 }
    };

    (void)state;
    for (size_t b = 0; b < PCV_LEN(boxes); b++) {
        pcv_array x = slopes(H, W);
        const double *o = boxes[b];

        assert_int_equal(pcv_crop_box(&x, o), 0);
        for (int i = 0; i < AREA; i++) {
            const float *v = augment_values(&x) + i;
            double row = inside(o[0] + (i / W + 0.5) * o[2] / H - 0.5, H);
            double column = inside(o[1] + (i % W + 0.5) * o[3] / W - 0.5, W);

            assert_true(v[0] == 0.3F);
            assert_true(fabs((double)v[AREA] - row) < 1e-5);
            assert_true(fabs((double)v[2 * AREA] - column) < 1e-5);
        }
        pcv_array_free(&x);
    }
    pcv_array x = augment_example(2, H, W, 1), y = augment_copy(&x);
    const double whole[4] = { 0, 0, H, W };

    assert_int_equal(pcv_crop_box(&x, whole), 0);
    assert_true(augment_same(&x, &y));
    pcv_array_free(&x);
    pcv_array_free(&y);
}

/* The box of a crop, read off the slopes in its middle. */
static void read_box(const pcv_array *y, double box[4])
{
    const int n = (int)y->dim[1], m = n / 2;
    double row = (double)edge(y, 1, m, m), column = (double)edge(y, 2, m, m);

    box[2] = n * ((double)edge(y, 1, m + 1, m) - row);
    box[3] = n * ((double)edge(y, 2, m, m + 1) - column);
    box[0] = row + 0.5 - (m + 0.5) * box[2] / n;
    box[1] = column + 0.5 - (m + 0.5) * box[3] / n;
}

static void test_crop(void **state)
{
    pcv_run_spec r = augment_settings("crop-area=0.25");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array x = slopes(40, 40), y;
    double least = 1, most = 0, flat = 1, tall = 1;
    double low[2] = { 40, 40 }, high[2] = {0}, along[2] = {0};

    (void)state;
    for (uint64_t s = 0; s < 1000; s++) {
        double box[4], area, aspect;

        y = augment_made(&r, &prep, s, &x);
        read_box(&y, box);
        area = box[2] * box[3] / 1600;
        aspect = box[2] / box[3];
        for (int k = 0; k < 2; k++) {
            low[k] = fmin(low[k], box[k]);
            high[k] = fmax(high[k], box[k] + box[k + 2]);
            along[k] += box[k + 2] < 39 ? box[k] / (40 - box[k + 2]) : 0.5;
        }
        least = fmin(least, area);
        most = fmax(most, area);
        flat = fmin(flat, aspect);
        tall = fmax(tall, aspect);
        pcv_array_free(&y);
    }
    assert_true(least > 0.249 && least < 0.27 && most < 1.001 && most > 0.9);
    assert_true(flat > 0.749 && flat < 0.77 && tall < 1.335 && tall > 1.3);
    for (int k = 0; k < 2; k++)
        assert_true(low[k] > -0.01 && low[k] < 0.5 && high[k] < 40.01 &&
                    high[k] > 39.5 && fabs(along[k] / 1000 - 0.5) < 0.05);
    pcv_array_free(&x);
}

/* A strip has no parts of the shape that is wanted, and gets one anyway. */
static void test_crop_strip(void **state)
{
    pcv_run_spec r = augment_settings("crop-area=0.25 erase=1");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);

    (void)state;
    for (uint64_t s = 0; s < 50; s++) {
        pcv_array x = augment_example(1, s % 2 ? 1 : 200, s % 2 ? 200 : 1, 1);

        assert_int_equal(pcv_augment(&r, &prep, s, &x), 0);
        for (int i = 0; i < 200; i++)
            assert_true(isfinite(augment_values(&x)[i]));
        pcv_array_free(&x);
    }
}

/* ---- erase ----------------------------------------------------------- */

/* What was changed is a rectangle, the same of all channels: its sides. */
static int changed(const pcv_array *x, const pcv_array *y, int *h, int *w)
{
    const int n = (int)x->dim[1], m = (int)x->dim[2];
    int count = 0, top = n, bottom = -1, left = m, right = -1;

    for (int i = 0; i < n * m; i++) {
        const bool is = augment_values(x)[i] != augment_values(y)[i];

        for (size_t k = 1; k < x->dim[0]; k++) {
            size_t at = k * (size_t)(n * m) + (size_t)i;

            assert_int_equal(augment_values(x)[at] != augment_values(y)[at],
                             is);
        }
        if (!is)
            continue;
        count++;
        top = i / m < top ? i / m : top;
        bottom = i / m > bottom ? i / m : bottom;
        left = i % m < left ? i % m : left;
        right = i % m > right ? i % m : right;
    }
    *h = bottom < 0 ? 0 : bottom - top + 1;
    *w = bottom < 0 ? 0 : right - left + 1;
    assert_int_equal(count, *h * *w);
    return count;
}

static void test_erase(void **state)
{
    enum { SIDE = 40, ALL = SIDE * SIDE };
    pcv_run_spec r = augment_settings("erase=0.3");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array x = augment_example(3, SIDE, SIDE, 1), y;
    double least = 1, most = 0, flat = 1, tall = 1;
    double sum = 0, square = 0, cells = 0;
    int erased = 0, h, w;

    (void)state;
    for (uint64_t s = 0; s < 2000; s++) {
        y = augment_made(&r, &prep, s, &x);
        int count = changed(&x, &y, &h, &w);

        if (count) {
            erased++;
            least = fmin(least, (double)count / ALL);
            most = fmax(most, (double)count / ALL);
            flat = fmin(flat, (double)h / w);
            tall = fmax(tall, (double)h / w);
        }
        for (int i = 0; i < 3 * ALL; i++)
            if (augment_values(&x)[i] != augment_values(&y)[i]) {
                int k = i / ALL;
                double level = (double)augment_values(&y)[i] * prep.std[k] +
                               prep.mean[k];

                assert_true(level > -1e-6 && level < 1 + 1e-6);
                sum += level;
                square += level * level;
                cells++;
            }
        pcv_array_free(&y);
    }
    augment_chance(erased, 2000, 0.3, "erased");
    assert_true(least > 0.015 && least < 0.04 && most < 0.35 && most > 0.3);
    assert_true(flat > 0.26 && flat < 0.4 && tall < 3.8 && tall > 2.5);
    help_below(fabs(sum / cells - 0.5), 5 / sqrt(12 * cells), "levels", 0);
    help_below(fabs(square / cells - 1.0 / 3), 5 * sqrt(4 / 45.0 / cells),
               "levels squared", 0);
    pcv_array_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shift), TEST(test_flip), TEST(test_crop_box),
        TEST(test_crop), TEST(test_crop_strip), TEST(test_erase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

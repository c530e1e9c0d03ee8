/* randaugment_test.c - each operation of RandAugment against its rule, worked
 * out here pixel by pixel, and which are chosen how often. */
#include "augment_help.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

/* ---- operations ------------------------------------------------------ */

enum { SIDE = 17, ALL = SIDE * SIDE };  /* its centre is a pixel */

static int number_of(const char *name)
{
    const char *one;

    for (int i = 0; (one = pcv_randaugment_name(i)); i++)
        if (!strcmp(one, name))
            return i;
    fail_msg("no operation %s", name);
    return -1;
}

/* Levels of a picture, and of the same after an operation. */
typedef struct {
    pcv_array x;
    pcv_prep prep;
    double was[3 * ALL], is[3 * ALL];
} trial;

static double level(const trial *t, int i)
{
    return 255 * ((double)augment_values(&t->x)[i] * t->prep.std[i / ALL] +
                  t->prep.mean[i / ALL]);
}

static void try(trial *t, const char *name, double strength)
{
    t->prep = augment_prep(PCV_IMAGE, 3, 0);
    t->x = augment_example(3, SIDE, SIDE, 1);
    for (int i = 0; i < 3 * ALL; i++) {
        double v = floor(256 * pcv_uniform(5, 5, (uint64_t)i));

        augment_values(&t->x)[i] = (float)((v / 255 - t->prep.mean[i / ALL]) /
                                           t->prep.std[i / ALL]);
        t->was[i] = v;
    }
    assert_int_equal(pcv_randaugment_apply(number_of(name), &t->prep, strength,
                                           &t->x), 0);
    for (int i = 0; i < 3 * ALL; i++)
        t->is[i] = level(t, i);
    pcv_array_free(&t->x);
}

static double limited(double v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static double luma(const trial *t, int i)
{
    i %= ALL;
    return 0.299 * t->was[i] + 0.587 * t->was[i + ALL] +
           0.114 * t->was[i + 2 * ALL];
}

static double mean_luma(const trial *t)
{
    double sum = 0;

    for (int i = 0; i < ALL; i++)
        sum += luma(t, i);
    return sum / ALL;
}

/* Nothing at strength 0, and the two that have none. */
static void test_nothing(void **state)
{
    trial t;
    const char *name;

    (void)state;
    for (int i = 0; (name = pcv_randaugment_name(i)); i++) {
        double worst = 0;

        if (!strcmp(name, "autocontrast") || !strcmp(name, "equalize"))
            continue;
        try(&t, name, 0);
        for (int k = 0; k < 3 * ALL; k++)
            worst = fmax(worst, fabs(t.is[k] - t.was[k]));
        help_below(worst, 1e-4, name, i);
    }
    try(&t, "identity", 1);
    for (int k = 0; k < 3 * ALL; k++)
        assert_true(fabs(t.is[k] - t.was[k]) < 1e-4);
}

/* What a level becomes, by the rule of each operation. */
static double wanted(const trial *t, const char *name, double s, int i)
{
    const double v = t->was[i];
    double sum = 0;

    if (!strcmp(name, "solarize"))
        return v >= 256 - 256 * fabs(s) ? 255 - v : v;
    if (!strcmp(name, "posterize")) {
        int step = 1 << (int)round(4 * fabs(s));

        return floor(v / step) * step;
    }
    if (!strcmp(name, "brightness"))
        return limited(v * (1 + 0.9 * s));
    if (!strcmp(name, "contrast"))
        return limited(v * (1 + 0.9 * s) - mean_luma(t) * 0.9 * s);
    if (!strcmp(name, "colour"))
        return limited(v * (1 + 0.9 * s) - luma(t, i) * 0.9 * s);
    if (i / SIDE % SIDE % (SIDE - 1) == 0 || i % SIDE % (SIDE - 1) == 0)
        return v;
    for (int k = 0; k < 9; k++)
        sum += t->was[i + (k / 3 - 1) * SIDE + k % 3 - 1] * (k == 4 ? 5 : 1);
    return limited(v * (1 + 0.9 * s) - sum / 13 * 0.9 * s);
}

static void test_levels(void **state)
{
    static const char *const name[] = { "solarize", "posterize", "brightness",
                                        "contrast", "colour", "sharpness" };
    static const double strength[] = { -1, -0.5, 0.3, 0.4, 1 };
    trial t;

    (void)state;
    for (size_t n = 0; n < PCV_LEN(name); n++)
        for (size_t k = 0; k < PCV_LEN(strength); k++) {
            double worst = 0;

            try(&t, name[n], strength[k]);
            for (int i = 0; i < 3 * ALL; i++)
                worst = fmax(worst, fabs(t.is[i] - wanted(&t, name[n],
                                                          strength[k], i)));
            help_below(worst, 2e-3, name[n], (int)k);
        }
}

static void test_autocontrast(void **state)
{
    trial t;

    (void)state;
    try(&t, "autocontrast", 0.5);
    for (int k = 0; k < 3; k++) {
        double low = 255, high = 0;

        for (int i = k * ALL; i < (k + 1) * ALL; i++) {
            low = fmin(low, t.was[i]);
            high = fmax(high, t.was[i]);
        }
        for (int i = k * ALL; i < (k + 1) * ALL; i++)
            assert_true(fabs(t.is[i] - 255 * (t.was[i] - low) / (high - low)) <
                        1e-3);
    }
}

/* A picture four times as large, of squares of levels, so that there are more
 * pixels than levels. */
static void test_equalize(void **state)
{
    enum { N = 64 };
    pcv_prep prep = augment_prep(PCV_IMAGE, 1, 0);
    pcv_array x = augment_example(1, N, N, 1);
    int was[N * N], top = 0, same = 0, step;

    (void)state;
    for (int i = 0; i < N * N; i++) {
        was[i] = (int)(200 * pow(pcv_uniform(6, 6, (uint64_t)i), 2));
        top = was[i] > top ? was[i] : top;
        augment_values(&x)[i] = (float)((was[i] / 255.0 - prep.mean[0]) /
                                        prep.std[0]);
    }
    for (int i = 0; i < N * N; i++)
        same += was[i] == top;
    step = (N * N - same) / 255;
    assert_int_equal(pcv_randaugment_apply(number_of("equalize"), &prep, 1, &x),
                     0);
    for (int i = 0; i < N * N; i++) {
        double is = 255 * ((double)augment_values(&x)[i] * prep.std[0] +
                           prep.mean[0]);
        int below = 0;

        for (int k = 0; k < N * N; k++)
            below += was[k] < was[i];
        assert_true(fabs(is - limited((below + step / 2) / step)) < 1e-3);
    }
    pcv_array_free(&x);
}

/* Moves by whole pixels: where each pixel comes from, and what there is when
 * it is from outside. */
static void check_moves(const char *name, double s, int yy, int yx, int y0,
                        int xy, int xx, int x0)
{
    const int c = SIDE / 2;
    double worst = 0;
    trial t;

    try(&t, name, s);
    for (int i = 0; i < 3 * ALL; i++) {
        int y = i / SIDE % SIDE - c, x = i % SIDE - c;
        int from_y = c + yy * y + yx * x + y0;
        int from_x = c + xy * y + xx * x + x0;
        double want = 255 * t.prep.mean[i / ALL];

        if (from_y >= 0 && from_y < SIDE && from_x >= 0 && from_x < SIDE)
            want = t.was[i / ALL * ALL + from_y * SIDE + from_x];
        worst = fmax(worst, fabs(t.is[i] - want));
    }
    help_below(worst, 1e-3, name, (int)(10 * s));
}

static void test_moves(void **state)
{
    const double pixel = 1 / (0.45 * SIDE), slope = 1 / 0.3;

    (void)state;
    check_moves("rotate", 3, 0, 1, 0, -1, 0, 0);
    check_moves("rotate", -3, 0, -1, 0, 1, 0, 0);
    check_moves("rotate", 6, -1, 0, 0, 0, -1, 0);
    check_moves("shear-x", slope, 1, 0, 0, 1, 1, 0);
    check_moves("shear-x", -slope, 1, 0, 0, -1, 1, 0);
    check_moves("shear-y", slope, 1, 1, 0, 0, 1, 0);
    check_moves("translate-x", 2 * pixel, 1, 0, 0, 0, 1, -2);
    check_moves("translate-x", -3 * pixel, 1, 0, 0, 0, 1, 3);
    check_moves("translate-y", 4 * pixel, 1, 0, -4, 0, 1, 0);
}

/* ---- which ----------------------------------------------------------- */

/* The operation that made y of x, of strength *sign 0.9; -1 there is none. */
static int made_by(const pcv_prep *prep, const pcv_array *x,
                   const pcv_array *y, int *sign)
{
    for (int i = 0; pcv_randaugment_name(i); i++)
        for (*sign = -1; *sign <= 1; *sign += 2) {
            pcv_array z = augment_copy(x);
            bool same;

            assert_int_equal(pcv_randaugment_apply(i, prep, *sign * 0.9, &z),
                             0);
            same = augment_same(&z, y);
            pcv_array_free(&z);
            if (same)
                return i;
        }
    return -1;
}

static void check_choice(int channels, int count)
{
    enum { N = 1400 };
    pcv_run_spec r = augment_settings("randaugment=1");
    pcv_run_spec two = augment_settings("randaugment=2");
    pcv_prep prep = augment_prep(PCV_IMAGE, channels, 0);
    pcv_array x = augment_example((size_t)channels, 20, 20, 1), y, z;
    int seen[14] = {0}, up[14] = {0}, differ = 0;

    for (uint64_t s = 0; s < N; s++) {
        int which, sign;

        y = augment_made(&r, &prep, s, &x);
        z = augment_made(&two, &prep, s, &x);
        which = made_by(&prep, &x, &y, &sign);
        assert_true(which >= 0);
        seen[which]++;
        up[which] += sign > 0;
        differ += !augment_same(&y, &z);
        pcv_array_free(&y);
        pcv_array_free(&z);
    }
    for (int i = 0; i < 14; i++)
        if (i < count)
            augment_chance(seen[i], N, 1.0 / count, pcv_randaugment_name(i));
        else
            assert_int_equal(seen[i], 0);
    for (int i = number_of("contrast"); i < count; i++)
        augment_chance(up[i], seen[i], 0.5, pcv_randaugment_name(i));
    augment_chance(up[number_of("rotate")], seen[number_of("rotate")], 0.5,
                   "rotate");
    assert_true(differ > N * 8 / 10);
    pcv_array_free(&x);
}

static void test_choice(void **state)
{
    (void)state;
    assert_null(pcv_randaugment_name(14));
    assert_int_equal(number_of("colour"), 13);
    check_choice(3, 14);
    check_choice(1, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing), TEST(test_levels), TEST(test_autocontrast),
        TEST(test_equalize), TEST(test_moves), TEST(test_choice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* augment_test.c - what is done to examples in training: sound and points
 * against what the settings say, two examples that are mixed against sums and
 * rectangles worked out here; which settings go with which inputs; and that
 * all of it is a function of (seed, stream). */
#include "augment_help.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

/* Every operation alone, and an example that it is for. */
static const struct {
    const char *settings;
    int modality, mels;
    size_t dim[3];
} cases[] = {
    { "shift=3", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "delay=30", PCV_SOUND, 0, { 100 } },
    { "delay=3", PCV_SOUND, 8, { 20, 8 } },
    { "crop-area=0.3", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "flip=both", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "randaugment=2", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "randaugment=2", PCV_IMAGE, 0, { 1, 9, 8 } },
    { "erase=0.7", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "gain=6", PCV_SOUND, 0, { 100 } },
    { "time-masks=2 time-mask=4", PCV_SOUND, 8, { 20, 8 } },
    { "frequency-masks=2 frequency-mask=3", PCV_SOUND, 8, { 20, 8 } },
    { "drop-points=0.5", PCV_POINTS, 0, { 20, 4 } },
    { "scale=0.2", PCV_POINTS, 0, { 20, 4 } },
    { "rotate=90", PCV_POINTS, 0, { 20, 4 } },
    { "jitter=0.1", PCV_POINTS, 0, { 20, 4 } },
    { "noise=0.1", PCV_IMAGE, 0, { 3, 9, 8 } },
    { "noise=0.1", PCV_SOUND, 0, { 100 } },
    { "noise=0.1", PCV_POINTS, 0, { 20, 4 } },
    { "noise=0.1", PCV_PLAIN, 0, { 20, 4 } },
};

/* ---- a function of (seed, stream) ------------------------------------ */

enum { STREAMS = 16 };

typedef struct {
    const pcv_run_spec *run;
    const pcv_prep *prep;
    pcv_array x[STREAMS];
    int result[STREAMS];
} batch;

static void change_one(void *arg, int i)
{
    batch *b = arg;

    b->result[i] = pcv_augment(b->run, b->prep, (uint64_t)i, &b->x[i]);
}

static void check_function(int which)
{
    pcv_run_spec r = augment_settings(cases[which].settings);
    const size_t *d = cases[which].dim;
    pcv_prep prep = augment_prep(cases[which].modality, (int)d[0],
                                 cases[which].mels);
    pcv_array x = augment_example(d[0], d[1], d[2], 1), first, other;
    batch b = { .run = &r, .prep = &prep };
    int streams = 0, seeds = 0;

    assert_int_equal(augment_check(&r, &prep), 0);
    for (int i = 0; i < STREAMS; i++)
        b.x[i] = augment_copy(&x);
    assert_int_equal(pcv_threads_set(4), 0);
    pcv_parallel(STREAMS, change_one, &b);
    first = augment_made(&r, &prep, 0, &x);
    for (int i = 0; i < STREAMS; i++) {
        pcv_array alone = augment_made(&r, &prep, (uint64_t)i, &x);

        assert_int_equal(b.result[i], 0);
        assert_true(augment_same(&alone, &b.x[i]));
        r.seed = 1;
        other = augment_made(&r, &prep, (uint64_t)i, &x);
        r.seed = 0;
        streams += !augment_same(&alone, &first);
        seeds += !augment_same(&alone, &other);
        pcv_array_free(&alone);
        pcv_array_free(&other);
        pcv_array_free(&b.x[i]);
    }
    assert_true(streams > 0 && seeds > 0);
    pcv_array_free(&first);
    pcv_array_free(&x);
}

static void test_function(void **state)
{
    (void)state;
    for (int i = 0; i < (int)PCV_LEN(cases); i++)
        check_function(i);
}

/* Nothing on, nothing changed; and an operation has the same random numbers
 * whatever else is on. */
static void test_alone(void **state)
{
    pcv_run_spec none = augment_settings(""), one, two;
    pcv_prep prep = augment_prep(PCV_POINTS, 4, 0);
    pcv_array x = augment_example(20, 4, 0, 1), y, z;

    (void)state;
    y = augment_made(&none, &prep, 5, &x);
    assert_true(augment_same(&x, &y));
    pcv_array_free(&y);
    one = augment_settings("jitter=0.1");
    two = augment_settings("jitter=0.1 scale=0.5");
    y = augment_made(&one, &prep, 5, &x);
    z = augment_made(&two, &prep, 5, &x);
    for (int i = 0; i < 20; i++) {
        const float *v = augment_values(&x) + 4 * i;
        const float *j = augment_values(&y) + 4 * i;
        const float *s = augment_values(&z) + 4 * i;
        float factor = (s[0] - (j[0] - v[0])) / v[0];

        assert_true(fabsf(s[1] - (factor * v[1] + j[1] - v[1])) <
                    1e-4F * (1 + fabsf(v[1] / v[0])));
    }
    pcv_array_free(&y);
    pcv_array_free(&z);
    pcv_array_free(&x);
}

/* Two operations do not draw the same numbers: a point at (1, 0, 0) that is
 * scaled and turned says what both drew. */
static void test_keys(void **state)
{
    pcv_run_spec r = augment_settings("scale=0.5 rotate=180");
    pcv_prep prep = augment_prep(PCV_POINTS, 3, 0);
    pcv_array x = augment_example(1, 3, 0, 1), y;
    int alike = 0;

    (void)state;
    memcpy(x.data, (float[]){ 1, 0, 0 }, 12);
    for (uint64_t s = 0; s < 100; s++) {
        y = augment_made(&r, &prep, s, &x);
        const double a = (double)augment_values(&y)[0];
        const double b = (double)augment_values(&y)[1];

        alike += fabs(hypot(a, b) - 0.5 -
                      (atan2(b, a) / acos(-1) + 1) / 2) < 1e-3;
        pcv_array_free(&y);
    }
    assert_true(alike < 10);
    pcv_array_free(&x);
}

/* ---- texts ----------------------------------------------------------- */

enum { IDS = 40, PLACES = 50 };

/* [CLS], bytes 10 to 47, [SEP]; changed. */
static pcv_array text(const pcv_run_spec *r, uint64_t stream)
{
    pcv_prep prep = { .modality = PCV_BYTES, .length = PLACES };
    pcv_array x = { PCV_I32, 1, { IDS }, pcv_alloc(IDS, sizeof(int32_t)) };
    int32_t *id = x.data;

    assert_non_null(id);
    for (int i = 0; i < IDS; i++)
        id[i] = i == 0 ? PCV_CLS : i == IDS - 1 ? PCV_SEP
                : PCV_FIRST_BYTE + 9 + i;
    assert_int_equal(pcv_augment(r, &prep, stream, &x), 0);
    return x;
}

/* All of it is there, behind as many [PAD]s as places are drawn. */
static void test_indent(void **state)
{
    pcv_run_spec r = augment_settings("indent=30");
    int seen[PLACES] = {0};

    (void)state;
    for (uint64_t s = 0; s < 2000; s++) {
        pcv_array x = text(&r, s);
        const int32_t *id = x.data;
        size_t d = x.dim[0] - IDS;

        assert_in_range(x.dim[0], IDS, PLACES);
        for (size_t i = 0; i < d; i++)
            assert_int_equal(id[i], PCV_PAD);
        for (int i = 1; i < IDS - 1; i++)
            assert_int_equal(id[d + (size_t)i], PCV_FIRST_BYTE + 9 + i);
        seen[d]++;
        pcv_array_free(&x);
    }
    for (int d = 0; d <= PLACES - IDS; d++)
        augment_chance(seen[d], 2000, 1.0 / (PLACES - IDS + 1), "indent");
}

/* A byte is itself or [MASK]; what frames the text stays. */
static void test_hide(void **state)
{
    pcv_run_spec r = augment_settings("hide=0.2");
    double hidden = 0;

    (void)state;
    for (uint64_t s = 0; s < 500; s++) {
        pcv_array x = text(&r, s);
        const int32_t *id = x.data;

        assert_int_equal(id[0], PCV_CLS);
        assert_int_equal(id[IDS - 1], PCV_SEP);
        for (int i = 1; i < IDS - 1; i++) {
            assert_true(id[i] == PCV_MASK || id[i] == PCV_FIRST_BYTE + 9 + i);
            hidden += id[i] == PCV_MASK;
        }
        pcv_array_free(&x);
    }
    augment_chance(hidden, 500 * (IDS - 2), 0.2, "hide");
}

/* ---- settings and inputs --------------------------------------------- */

static void refused(const char *settings, int modality, int mels,
                    const char *message)
{
    pcv_run_spec r = augment_settings(settings);
    pcv_prep prep = augment_prep(modality, 3, mels);

    assert_int_equal(augment_check(&r, &prep), -1);
    assert_failed(EX_USAGE, message);
}

static void test_check(void **state)
{
    (void)state;
    refused("flip=horizontal", PCV_SOUND, 0, "flip: 'horizontal' changes "
            "pictures; the model takes samples of sound: leave it out");
    refused("shift=2", PCV_POINTS, 0, "shift: '2' changes pictures; the model "
            "takes points: leave it out");
    refused("delay=2", PCV_POINTS, 0, "delay: '2' changes samples of sound, "
            "log-mel frames of sound; the model takes points: leave it out");
    refused("gain=2", PCV_SOUND, 40, "gain: '2' changes samples of sound; the "
            "model takes log-mel frames of sound: leave it out");
    refused("noise=2", PCV_BYTES, 0, "noise: '2' changes pictures, samples of "
            "sound, points, arrays; the model takes texts: leave it out");
    refused("hide=0.2", PCV_IMAGE, 0, "hide: '0.2' changes texts; the model "
            "takes pictures: leave it out");
    refused("mixup=1", PCV_PLAIN, 0, "mixup: '1' changes pictures, samples of "
            "sound, log-mel frames of sound; the model takes arrays: leave it "
            "out");
    refused("magnitude=3", PCV_IMAGE, 0,
            "magnitude does nothing without randaugment");
    refused("time-mask=3", PCV_SOUND, 40,
            "time-mask does nothing without time-masks");
    refused("frequency-masks=3", PCV_SOUND, 40,
            "frequency-masks does nothing without frequency-mask");
}

/* A setting that is at home with one input only is refused for the others. */
static void test_check_all(void **state)
{
    static const struct {
        int modality, mels;
    } input[] = { { PCV_IMAGE, 0 }, { PCV_SOUND, 0 }, { PCV_SOUND, 8 },
                  { PCV_POINTS, 0 }, { PCV_PLAIN, 0 }, { PCV_BYTES, 0 } };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++)
        for (size_t k = 0; k < PCV_LEN(input); k++) {
            pcv_run_spec r = augment_settings(cases[i].settings);
            pcv_prep prep = augment_prep(input[k].modality, 3, input[k].mels);
            int want = -1;

            for (size_t j = 0; j < PCV_LEN(cases); j++)
                if (!strcmp(cases[j].settings, cases[i].settings) ||
                    (!strncmp(cases[j].settings, "delay", 5) &&
                     !strncmp(cases[i].settings, "delay", 5)))
                    if (cases[j].modality == input[k].modality &&
                        cases[j].mels == input[k].mels)
                        want = 0;
            assert_int_equal(augment_check(&r, &prep), want);
            pcv_error_clear();
        }
}

static void test_bad_examples(void **state)
{
    pcv_run_spec r = augment_settings("delay=1");
    pcv_prep prep = augment_prep(PCV_SOUND, 0, 0);
    pcv_array x = { PCV_STORED, 1, { 5 }, NULL };

    (void)state;
    assert_int_equal(pcv_augment(&r, &prep, 0, &x), -1);
    assert_failed(EX_DATAERR, "an example of rank 1 of values in a file cannot "
                  "be augmented, want rank 1 of F32");
    x = augment_example(5, 2, 0, 1);
    assert_int_equal(pcv_augment(&r, &prep, 0, &x), -1);
    assert_failed(EX_DATAERR, "an example of rank 2 of F32 cannot be "
                  "augmented, want rank 1 of F32");
    pcv_array_free(&x);
}

/* ---- sound ----------------------------------------------------------- */

/* Where a shift has always gone. */
static int moved(uint64_t stream, uint64_t which, int most)
{
    double u = pcv_uniform(7919, stream, which);

    return (int)(u * (2 * most + 1)) - most;
}

static void test_delay_sound(void **state)
{
    pcv_run_spec r = augment_settings("delay=7");
    pcv_prep prep = augment_prep(PCV_SOUND, 0, 0);
    pcv_array x = augment_example(50, 0, 0, 1), y;
    int seen[15] = {0};

    (void)state;
    for (uint64_t s = 0; s < 200; s++) {
        int d = moved(s, 0, 7);

        y = augment_made(&r, &prep, s, &x);
        for (int i = 0; i < 50; i++) {
            float want = i < d || i >= 50 + d ? 0 : augment_values(&x)[i - d];

            assert_true(augment_values(&y)[i] == want);
        }
        seen[d + 7] = 1;
        pcv_array_free(&y);
    }
    for (int i = 0; i < 15; i++)
        assert_true(seen[i]);
    pcv_array_free(&x);
}

static void test_delay_frames(void **state)
{
    pcv_run_spec r = augment_settings("delay=4");
    pcv_prep prep = augment_prep(PCV_SOUND, 0, 6);
    pcv_array x = augment_example(11, 6, 0, 1), y;

    (void)state;
    for (uint64_t s = 0; s < 50; s++) {
        y = augment_made(&r, &prep, s, &x);
        for (int i = 0; i < 11; i++) {
            int from = i - moved(s, 0, 4);

            from = from < 0 ? 0 : from > 10 ? 10 : from;
            assert_memory_equal(augment_values(&y) + 6 * i,
                                augment_values(&x) + 6 * from, 24);
        }
        pcv_array_free(&y);
    }
    pcv_array_free(&x);
}

static void test_gain(void **state)
{
    pcv_run_spec r = augment_settings("gain=6");
    pcv_prep prep = augment_prep(PCV_SOUND, 0, 0);
    pcv_array x = augment_example(20, 0, 0, 1), y;
    double low = 0, high = 0, sum = 0;

    (void)state;
    for (uint64_t s = 0; s < 1000; s++) {
        y = augment_made(&r, &prep, s, &x);
        double g = (double)(augment_values(&y)[0] / augment_values(&x)[0]);
        double decibels = 20 * log10(g);

        for (int i = 0; i < 20; i++)
            assert_true(fabs((double)augment_values(&y)[i] -
                             g * (double)augment_values(&x)[i]) < 1e-5);
        low = fmin(low, decibels);
        high = fmax(high, decibels);
        sum += decibels;
        pcv_array_free(&y);
    }
    assert_true(low > -6.001 && low < -5.9 && high < 6.001 && high > 5.9);
    help_below(fabs(sum / 1000), 5 * 6 / sqrt(3.0) / sqrt(1000.0), "gain", 0);
    pcv_array_free(&x);
}

static void test_noise(void **state)
{
    pcv_run_spec r = augment_settings("noise=0.3");
    pcv_prep prep = augment_prep(PCV_PLAIN, 10, 0);
    pcv_array x = augment_example(10000, 10, 0, 1), y;
    double sum = 0, square = 0;

    (void)state;
    y = augment_made(&r, &prep, 3, &x);
    for (int i = 0; i < 100000; i++) {
        double d = (double)(augment_values(&y)[i] - augment_values(&x)[i]);

        sum += d;
        square += d * d;
    }
    help_below(fabs(sum / 1e5), 5 * 0.3 / sqrt(1e5), "mean of the noise", 0);
    help_below(fabs(square / 1e5 / 0.09 - 1), 5 * sqrt(2 / 1e5),
               "variance of the noise", 0);
    pcv_array_free(&y);
    pcv_array_free(&x);
}

/* ---- SpecAugment ----------------------------------------------------- */

/* Lines along `axis` that were blanked: all of each, with the mean; others are
 * as they were.  *runs is how many stretches they make. */
static int blanked(const pcv_array *x, const pcv_array *y, int axis, int *runs)
{
    const int n = (int)x->dim[axis], m = (int)x->dim[1 - axis];
    double mean = 0;
    int lines = 0, before = 0;

    for (size_t i = 0; i < pcv_array_count(x); i++)
        mean += (double)augment_values(x)[i] / (double)pcv_array_count(x);
    *runs = 0;
    for (int i = 0; i < n; i++) {
        int changed = 0;

        for (int k = 0; k < m; k++) {
            int at = axis == 0 ? i * m + k : k * n + i;
            float have = augment_values(y)[at];

            changed += have != augment_values(x)[at];
            if (have != augment_values(x)[at])
                assert_true(fabs((double)have - mean) < 1e-6);
        }
        assert_true(changed == 0 || changed == m);
        lines += changed == m;
        *runs += changed == m && !before;
        before = changed == m;
    }
    return lines;
}

static void check_masks(const char *settings, int axis, int masks, int width)
{
    pcv_run_spec r = augment_settings(settings);
    pcv_prep prep = augment_prep(PCV_SOUND, 0, 12);
    pcv_array x = augment_example(30, 12, 0, 1), y;
    const int n = (int)x.dim[axis], most = width < n ? width : n;
    int longest = 0, ends = 0, runs;

    for (uint64_t s = 0; s < 400; s++) {
        y = augment_made(&r, &prep, s, &x);
        int lines = blanked(&x, &y, axis, &runs);

        assert_true(lines <= masks * most && runs <= masks);
        longest = lines > longest ? lines : longest;
        ends |= augment_values(&y)[0] != augment_values(&x)[0];
        ends |= 2 * (augment_values(&y)[30 * 12 - 1] !=
                     augment_values(&x)[30 * 12 - 1]);
        pcv_array_free(&y);
    }
    assert_true(longest >= (masks == 1 ? most : most + 1));
    assert_int_equal(ends, 3);
    pcv_array_free(&x);
}

static void test_masks(void **state)
{
    (void)state;
    check_masks("time-masks=1 time-mask=5", 0, 1, 5);
    check_masks("time-masks=2 time-mask=8", 0, 2, 8);
    check_masks("time-masks=1 time-mask=1000", 0, 1, 1000);
    check_masks("frequency-masks=1 frequency-mask=3", 1, 1, 3);
    check_masks("frequency-masks=2 frequency-mask=4", 1, 2, 4);
}

/* ---- points ---------------------------------------------------------- */

static void test_jitter(void **state)
{
    pcv_run_spec r = augment_settings("jitter=0.02");
    pcv_prep prep = augment_prep(PCV_POINTS, 4, 0);
    pcv_array x = augment_example(10000, 4, 0, 1), y;
    double sum = 0, square = 0;

    (void)state;
    y = augment_made(&r, &prep, 3, &x);
    for (int i = 0; i < 40000; i++) {
        double d = (double)augment_values(&y)[i] -
                   (double)augment_values(&x)[i];

        assert_true(i % 4 != 3 || d == 0);
        sum += d;
        square += d * d;
    }
    help_below(fabs(sum / 3e4), 5 * 0.02 / sqrt(3e4), "mean of jitter", 0);
    help_below(fabs(square / 3e4 / 0.0004 - 1), 5 * sqrt(2 / 3e4),
               "variance of jitter", 0);
    pcv_array_free(&y);
    pcv_array_free(&x);
}

static void test_scale(void **state)
{
    pcv_run_spec r = augment_settings("scale=0.2");
    pcv_prep prep = augment_prep(PCV_POINTS, 4, 0);
    pcv_array x = augment_example(9, 4, 0, 1), y;
    float low = 1, high = 1;

    (void)state;
    for (uint64_t s = 0; s < 300; s++) {
        y = augment_made(&r, &prep, s, &x);
        float f = augment_values(&y)[0] / augment_values(&x)[0];

        for (int i = 0; i < 36; i++)
            assert_true(fabsf(augment_values(&y)[i] -
                              augment_values(&x)[i] * (i % 4 < 3 ? f : 1)) <
                        (i % 4 < 3 ? 1e-5F : 1e-30F));
        low = f < low ? f : low;
        high = f > high ? f : high;
        pcv_array_free(&y);
    }
    assert_true(low > 0.7999F && low < 0.82F && high < 1.2001F &&
                high > 1.18F);
    pcv_array_free(&x);
}

/* One angle for all points, about the third axis. */
static void test_rotate(void **state)
{
    pcv_run_spec r = augment_settings("rotate=30");
    pcv_prep prep = augment_prep(PCV_POINTS, 4, 0);
    pcv_array x = augment_example(9, 4, 0, 1), y;
    double low = 0, high = 0;

    (void)state;
    for (uint64_t s = 0; s < 300; s++) {
        double angle = 0;

        y = augment_made(&r, &prep, s, &x);
        for (int i = 0; i < 9; i++) {
            const float *a = augment_values(&x) + 4 * i;
            const float *b = augment_values(&y) + 4 * i;
            double dot = (double)(a[0] * b[0] + a[1] * b[1]);
            double cross = (double)(a[0] * b[1] - a[1] * b[0]);
            double one = atan2(cross, dot) * 180 / acos(-1);

            angle = i ? angle : one;
            assert_memory_equal(a + 2, b + 2, 8);
            assert_true(fabs(angle - one) < 1e-3);
            assert_true(fabsf(hypotf(a[0], a[1]) - hypotf(b[0], b[1])) < 1e-5F);
        }
        low = fmin(low, angle);
        high = fmax(high, angle);
        pcv_array_free(&y);
    }
    assert_true(low > -30.01 && low < -29 && high < 30.01 && high > 29);
    pcv_array_free(&x);
}

/* The rows left are rows of x in their order; every point goes as often. */
static void test_drop(void **state)
{
    pcv_run_spec r = augment_settings("drop-points=0.3");
    pcv_prep prep = augment_prep(PCV_POINTS, 4, 0);
    pcv_array x = augment_example(20, 4, 0, 1), y;
    int kept[20] = {0};

    (void)state;
    for (uint64_t s = 0; s < 2000; s++) {
        size_t k = 0;

        y = augment_made(&r, &prep, s, &x);
        assert_int_equal(y.dim[0], 14);
        for (size_t i = 0; i < 20 && k < 14; i++)
            if (!memcmp(augment_values(&y) + 4 * k, augment_values(&x) + 4 * i,
                        16)) {
                kept[i]++;
                k++;
            }
        assert_int_equal(k, 14);
        pcv_array_free(&y);
    }
    for (int i = 0; i < 20; i++)
        augment_chance(kept[i], 2000, 0.7, "a point stays");
    pcv_array_free(&x);
    r = augment_settings("drop-points=0.99");
    for (size_t n = 1; n < 4; n++) {
        x = augment_example(n, 4, 0, 1);
        y = augment_made(&r, &prep, n, &x);
        assert_int_equal(y.dim[0], n - (size_t)(0.99 * (double)n));
        assert_true(y.dim[0] >= 1);
        pcv_array_free(&y);
        pcv_array_free(&x);
    }
}

/* ---- memory ---------------------------------------------------------- */

/* Whichever allocation fails, the example is still one that can be freed. */
static void check_memory(int which)
{
    pcv_run_spec r = augment_settings(cases[which].settings);
    const size_t *d = cases[which].dim;
    pcv_prep prep = augment_prep(cases[which].modality, (int)d[0],
                                 cases[which].mels);
    pcv_array x = augment_example(d[0], d[1], d[2], 1);
    long before = pcv_alloc_count(), taken;

    assert_int_equal(pcv_augment(&r, &prep, 0, &x), 0);
    taken = pcv_alloc_count() - before;
    assert_true(taken <= 2);
    for (long k = 1; k <= taken; k++) {
        pcv_alloc_fail_at(k);
        assert_int_equal(pcv_augment(&r, &prep, 0, &x), -1);
        pcv_alloc_fail_at(0);
        assert_int_equal(pcv_error_code(), EX_OSERR);
        pcv_error_clear();
    }
    pcv_array_free(&x);
}

static void test_memory(void **state)
{
    (void)state;
    for (int i = 0; i < (int)PCV_LEN(cases); i++)
        check_memory(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_function), TEST(test_alone), TEST(test_keys),
        TEST(test_check), TEST(test_check_all), TEST(test_bad_examples),
        TEST(test_delay_sound),
        TEST(test_delay_frames), TEST(test_indent), TEST(test_hide),
        TEST(test_gain), TEST(test_noise),
        TEST(test_masks), TEST(test_jitter), TEST(test_scale),
        TEST(test_rotate), TEST(test_drop), TEST(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

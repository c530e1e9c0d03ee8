/* augment_mix_test.c - two examples as one: Beta against its moments, MixUp
 * against the sum, CutMix against the rectangle and its area. */
#include "augment_help.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

enum { H = 30, W = 20, AREA = H * W };

/* ---- Beta ------------------------------------------------------------ */

/* Mean 1/2; variance 1 / (4 (2 alpha + 1)), whose own comes from the fourth
 * moment, 3 / (16 (2 alpha + 1) (2 alpha + 3)). */
static void check_beta(double alpha)
{
    enum { N = 10000 };
    const double want = 1 / (4 * (2 * alpha + 1));
    const double fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3));
    double sum = 0, square = 0, low = 1, high = 0;

    for (uint64_t s = 0; s < N; s++) {
        pcv_change c = { .seed = 3, .stream = s };
        double v = pcv_draw_beta(&c, alpha);

        assert_true(v >= 0 && v <= 1);
        sum += v;
        square += (v - 0.5) * (v - 0.5);
        low += v < 0.1;
        high += v > 0.9;
    }
    help_below(fabs(sum / N - 0.5), 5 * sqrt(want / N), "mean",
               (int)(100 * alpha));
    help_below(fabs(square / N - want), 5 * sqrt((fourth - want * want) / N),
               "variance", (int)(100 * alpha));
    if (alpha > 0.99 && alpha < 1.01) {
        augment_chance(low - 1, N, 0.1, "below 0.1");
        augment_chance(high, N, 0.1, "above 0.9");
    }
}

static void test_beta(void **state)
{
    static const double alpha[] = { 0.001, 0.1, 0.2, 0.4, 1, 2, 8, 100 };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(alpha); i++)
        check_beta(alpha[i]);
}

/* ---- MixUp ----------------------------------------------------------- */

/* a as it becomes; b must stay. */
static pcv_array mixed(const pcv_run_spec *r, const pcv_prep *prep,
                       uint64_t stream, const pcv_array *a, const pcv_array *b,
                       double *share)
{
    pcv_array y = augment_copy(a), same = augment_copy(b);

    assert_int_equal(pcv_mix(r, prep, stream, &y, b, share), 0);
    assert_true(augment_same(b, &same));
    pcv_array_free(&same);
    return y;
}

static double blend_error(const pcv_array *a, const pcv_array *b,
                          const pcv_array *y, double share)
{
    double worst = 0;

    for (size_t i = 0; i < pcv_array_count(a); i++)
        worst = fmax(worst, fabs((double)augment_values(y)[i] -
                                 share * (double)augment_values(a)[i] -
                                 (1 - share) * (double)augment_values(b)[i]));
    return worst;
}

static void check_mixup(int modality, int mels, size_t d0, size_t d1,
                        size_t d2)
{
    enum { N = 1000 };
    pcv_run_spec r = augment_settings("mixup=0.2");
    pcv_prep prep = augment_prep(modality, 3, mels);
    pcv_array a = augment_example(d0, d1, d2, 1);
    pcv_array b = augment_example(d0, d1, d2, 2), y, z;
    double share, again, sum = 0, square = 0;

    assert_int_equal(augment_check(&r, &prep), 0);
    for (uint64_t s = 0; s < N; s++) {
        y = mixed(&r, &prep, s, &a, &b, &share);
        z = mixed(&r, &prep, s, &a, &b, &again);
        assert_true(augment_same(&y, &z) && share == again);
        help_below(blend_error(&a, &b, &y, share), 1e-6, "MixUp", (int)s);
        sum += share;
        square += (share - 0.5) * (share - 0.5);
        pcv_array_free(&y);
        pcv_array_free(&z);
    }
    help_below(fabs(sum / N - 0.5), 5 * sqrt(1 / 5.6 / N), "share", 0);
    help_below(fabs(square / N - 1 / 5.6), 0.02, "variance of share", 0);
    pcv_array_free(&a);
    pcv_array_free(&b);
}

static void test_mixup(void **state)
{
    (void)state;
    check_mixup(PCV_IMAGE, 0, 3, H, W);
    check_mixup(PCV_SOUND, 0, 100, 0, 0);
    check_mixup(PCV_SOUND, 8, 20, 8, 0);
}

/* ---- CutMix ---------------------------------------------------------- */

typedef struct {
    int top, bottom, left, right, area;
} rectangle;

/* What of y is b's, which is a rectangle, the same of all channels; all else
 * is a's.  false: it is not. */
static bool find_rectangle(const pcv_array *a, const pcv_array *b,
                           const pcv_array *y, rectangle *r)
{
    *r = (rectangle){ H, -1, W, -1, 0 };
    for (int i = 0; i < AREA; i++) {
        bool is = augment_values(y)[i] == augment_values(b)[i];

        for (int k = 0; k < 3; k++)
            if (augment_values(y)[i + k * AREA] !=
                augment_values(is ? b : a)[i + k * AREA])
                return false;
        if (!is)
            continue;
        r->area++;
        r->top = i / W < r->top ? i / W : r->top;
        r->bottom = i / W > r->bottom ? i / W : r->bottom;
        r->left = i % W < r->left ? i % W : r->left;
        r->right = i % W > r->right ? i % W : r->right;
    }
    return r->area == 0 || r->area == (r->bottom - r->top + 1) *
                                          (r->right - r->left + 1);
}

static void test_cutmix(void **state)
{
    enum { N = 2000 };
    pcv_run_spec r = augment_settings("cutmix=1");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array a = augment_example(3, H, W, 1), b = augment_example(3, H, W, 2);
    int corner[4] = {0};
    double share;
    rectangle o;

    (void)state;
    for (uint64_t s = 0; s < N; s++) {
        pcv_array y = mixed(&r, &prep, s, &a, &b, &share);

        assert_true(find_rectangle(&a, &b, &y, &o));
        assert_true(fabs(share - (1 - (double)o.area / AREA)) < 1e-12);
        if (o.area > 0 && o.area < AREA)
            for (int k = 0; k < 4; k++)
                corner[k] += (k & 1 ? o.top == 0 : o.bottom == H - 1) &&
                             (k & 2 ? o.left == 0 : o.right == W - 1);
        pcv_array_free(&y);
    }
    for (int k = 0; k < 4; k++)
        assert_true(corner[k] > N / 20);
    pcv_array_free(&a);
    pcv_array_free(&b);
}

/* A rectangle that is wholly inside has 1 - l of the area but for its sides'
 * fractions of a pixel, and the shape of the whole. */
static void test_cutmix_area(void **state)
{
    pcv_run_spec r = augment_settings("cutmix=1");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array a = augment_example(3, H, W, 1), b = augment_example(3, H, W, 2);
    int whole = 0, cut = 0;
    rectangle o;

    (void)state;
    for (uint64_t s = 0; s < 1000; s++) {
        const pcv_change c = { &r, &prep, 9, s };
        pcv_array y = augment_copy(&a);
        double side = sqrt(1 - pcv_draw_beta(&c, 1));

        pcv_cut_mix(&c, &y, &b);
        assert_true(find_rectangle(&a, &b, &y, &o));
        pcv_array_free(&y);
        cut += o.area > 0 && o.top == 0 && o.bottom < H - 1 &&
               o.bottom + 1 < (int)(side * H);
        if (o.area == 0 || o.top == 0 || o.left == 0 || o.bottom == H - 1 ||
            o.right == W - 1)
            continue;
        whole++;
        assert_true(fabs(o.bottom - o.top + 1.5 - side * H) <= 0.5);
        assert_true(fabs(o.right - o.left + 1.5 - side * W) <= 0.5);
    }
    assert_true(whole > 100 && cut > 100);
    pcv_array_free(&a);
    pcv_array_free(&b);
}

/* ---- which ----------------------------------------------------------- */

static void test_both(void **state)
{
    enum { N = 2000 };
    pcv_run_spec r = augment_settings("mixup=1 cutmix=1");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array a = augment_example(3, H, W, 1), b = augment_example(3, H, W, 2);
    int cut = 0;
    double share;
    rectangle o;

    (void)state;
    for (uint64_t s = 0; s < N; s++) {
        pcv_array y = mixed(&r, &prep, s, &a, &b, &share);
        bool is = find_rectangle(&a, &b, &y, &o);

        cut += is;
        assert_true(is || blend_error(&a, &b, &y, share) < 1e-6);
        pcv_array_free(&y);
    }
    augment_chance(cut, N, 0.5, "CutMix");
    pcv_array_free(&a);
    pcv_array_free(&b);
}

static void test_neither(void **state)
{
    pcv_run_spec r = augment_settings("flip=both");
    pcv_prep prep = augment_prep(PCV_IMAGE, 3, 0);
    pcv_array a = augment_example(3, H, W, 1), b = augment_example(3, W, H, 2);
    double share = 0;
    pcv_array y = mixed(&r, &prep, 0, &a, &b, &share);

    (void)state;
    assert_true(augment_same(&a, &y) && share == 1);
    pcv_array_free(&y);
    r = augment_settings("mixup=1");
    assert_int_equal(pcv_mix(&r, &prep, 0, &a, &b, &share), -1);
    assert_failed(EX_DATAERR, "examples of different sizes cannot be mixed: "
                  "30 and 20 along axis 1");
    pcv_array_free(&a);
    pcv_array_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_beta), TEST(test_mixup), TEST(test_cutmix),
        TEST(test_cutmix_area), TEST(test_both), TEST(test_neither),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

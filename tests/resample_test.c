/* resample_test.c - stretched grids against PyTorch's interpolate
 * (mode="bicubic", align_corners=False, 1.13 in double): larger, smaller, and
 * along one axis alone; channels do not see each other; the same size is the
 * same grid, bit for bit. */
#include "help.h"

#include <math.h>
#include <string.h>

/* Channel k of an example: in [h][w][c]. */
static void fill(real *in, int h, int w, int c)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++)
                *in++ = (real)((k + 1) * (sin(0.7 * y - 1.1 * x + 0.3) +
                                          0.2 * x * y) - 3 * k);
}

static const double larger[35] = {      /* 3 x 4 -> 5 x 7 */
    0.346189608012, -0.099206728118, -0.727607045362, -1.067610254019,
    -0.946486651522, -0.440439475057, -0.056803282869, 0.591677272282,
    0.193433759433, -0.389770129094, -0.808246259822, -0.825861077809,
    -0.422880470951, -0.100439218636, 0.915020592423, 0.627755639085,
    0.171783514700, -0.321652339611, -0.539137355064, -0.316225211700,
    -0.107374528088, 1.000936121992, 0.916830171106, 0.735250825340,
    0.322822897408, -0.008648020886, 0.008940138813, 0.070381991180,
    1.001961098191, 1.059919685910, 1.075058109695, 0.744746173356,
    0.362965849043, 0.251483607255, 0.216910234613,
};
static const double smaller[6] = {      /* 7 x 6 -> 3 x 2 */
    -0.253254542620, 0.967838102901, 1.563558185417, 1.490702573174,
    1.244025028790, 4.029609089621,
};
static const double wider[36] = {       /* 4 x 5 -> 4 x 9 */
    0.397641479461, -0.010629146453, -0.609191449223, -0.988014063561,
    -0.946300087687, -0.611001858736, 0.000071008131, 0.560976911319,
    0.915006450235, 0.916211552033, 0.643219914127, 0.209924151288,
    -0.284540509994, -0.532039085967, -0.490377804034, -0.009864980361,
    0.698833959062, 1.176654413541, 0.994389284765, 1.018939334638,
    1.009533778140, 0.689916153449, 0.320574461396, 0.099971832658,
    0.281866551053, 0.859884240488, 1.270639651490, 0.585922737674,
    0.964209136969, 1.492793164424, 1.614212993601, 1.398669330795,
    1.121489631123, 1.035087570218, 1.320249055972, 1.538495669177,
};

static void stretch(int h, int w, int oh, int ow, int c, const double *want)
{
    real in[7 * 7 * 3], out[36 * 3];

    fill(in, h, w, c);
    pcv_bicubic_grid(in, h, w, c, out, oh, ow);
    for (int i = 0; i < oh * ow * c; i++) {
        const double e = (i % c + 1) * want[i / c] - 3 * (i % c);

        help_below(fabs((double)out[i] - e), HELP_TOL(5e-6, 1e-11),
                   "bicubic", i);
    }
}

static void as_torch(void **state)
{
    (void)state;
    for (int c = 1; c <= 3; c++) {
        stretch(3, 4, 5, 7, c, larger);
        stretch(7, 6, 3, 2, c, smaller);
        stretch(4, 5, 4, 9, c, wider);
    }
}

static void same_size(void **state)
{
    real in[5 * 6 * 7], out[5 * 6 * 7];

    (void)state;
    fill(in, 5, 6, 7);
    pcv_bicubic_grid(in, 5, 6, 7, out, 5, 6);
    assert_memory_equal(out, in, sizeof in);
}

static void one_place_fills_all(void **state)
{
    const real in[2] = {3, -5};
    real out[4 * 3 * 2];

    (void)state;
    pcv_bicubic_grid(in, 1, 1, 2, out, 4, 3);
    for (int i = 0; i < 24; i++)
        help_below(fabs((double)(out[i] - in[i % 2])), HELP_TOL(2e-6, 1e-14),
                   "one place", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_torch),
        cmocka_unit_test(same_size),
        cmocka_unit_test(one_place_fills_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

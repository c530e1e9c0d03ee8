/* metric_test.c - mean average precision against its definition. */
#include "help.h"
#include "scratch.h"

#include "../lib/train/train.h"

#include <math.h>
#include <string.h>

enum { MOST = 60 };

/* For each label the mean over the examples that have it: of those that score
 * as high or higher the share that have it. */
static double naive(const real *want, const real *out, int n, int k)
{
    double sum = 0, labels = 0;

    for (int l = 0; l < k; l++) {
        double ap = 0, have = 0;

        for (int i = 0; i < n; i++) {
            double above = 0, right = 0;

            if (want[i * k + l] == 0)
                continue;
            have++;
            for (int j = 0; j < n; j++)
                if (out[j * k + l] >= out[i * k + l]) {
                    above++;
                    right += want[j * k + l] > 0;
                }
            ap += right / above;
        }
        sum += have > 0 ? ap / have : 0;
        labels += have > 0;
    }
    return labels > 0 ? sum / labels : (double)NAN;
}

static double ranked(const real *want, const real *out, int n, int k)
{
    pcv_ranking r = {0};
    double mean;

    for (int i = 0; i < n; i++)
        pcv_ranking_add(&r, want + i * k, out + i * k, k);
    mean = pcv_ranking_mean(&r);
    pcv_ranking_free(&r);
    return mean;
}

/* Scores of `levels` values: few of them are many ties. */
static void test_random(void **state)
{
    static const int levels[] = { 1, 2, 5, 1000000 };

    (void)state;
    for (uint64_t c = 0; c < 200; c++) {
        int n = help_int(1, c, 1, MOST), k = help_int(2, c, 1, 4);
        int most = levels[c % PCV_LEN(levels)], rare = help_int(3, c, 0, 9);
        real want[MOST * 4], out[MOST * 4];

        for (int i = 0; i < n * k; i++) {
            uint64_t at = c * MOST * 4 + (uint64_t)i;

            want[i] = (real)(help_int(4, at, 0, rare) == 0);
            out[i] = (real)help_int(5, at, -most, most) / 8;
        }
        for (int i = 0; i < n && c % 3 == 0; i++)
            want[i * k] = 0;            /* nobody has it */
        if (isnan(naive(want, out, n, k)))
            assert_true(isnan(ranked(want, out, n, k)));
        else
            help_below(fabs(ranked(want, out, n, k) - naive(want, out, n, k)),
                       1e-12, "mean average precision", (int)c);
    }
}

/* By hand. */
static void test_known(void **state)
{
    static const real out[] = { 9, 8, 7, 6, 5 };
    static const real last[] = { 0, 0, 0, 0, 1 }, some[] = { 1, 0, 1, 0, 0 };
    static const real same[] = { 3, 3, 3, 3, 3 }, none[5] = {0};
    pcv_ranking empty = {0};

    (void)state;
    help_below(fabs(ranked(last, out, 5, 1) - 0.2), 1e-15, "last", 0);
    help_below(fabs(ranked(some, out, 5, 1) - (1 + 2.0 / 3) / 2), 1e-15, "some",
               0);
    help_below(fabs(ranked(some, same, 5, 1) - 0.4), 1e-15, "ties", 0);
    assert_true(isnan(ranked(none, out, 5, 1)));
    assert_true(isnan(pcv_ranking_mean(&empty)));
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_known),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

/* cost_test.c - the counts of cost.c against counting each multiply-add of the
 * plain algorithm, and against the published sizes. */
#include "help.h"

#include "../lib/model/model.h"

#include <math.h>

/* Multiply-adds, counted one by one. */
static double naive_read(int n, int m, int c, int qk, int v, int heads)
{
    double count = 0;

    for (int j = 0; j < m; j++)
        for (int o = 0; o < qk + v; o++)
            for (int k = 0; k < c; k++)
                count += 2;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            for (int h = 0; h < heads; h++)
                for (int k = 0; k < qk / heads + v / heads; k++)
                    count += 2;
    return count;
}

static double naive_folded(int n, int m, int c, int qk, int v, int heads)
{
    double count = 0;

    for (int i = 0; i < n; i++)
        for (int h = 0; h < heads; h++) {
            for (int k = 0; k < c * (qk / heads + v / heads); k++)
                count += 2;     /* the query folded, the sum unfolded */
            for (int j = 0; j < m; j++)
                for (int k = 0; k < 2 * c; k++)
                    count += 2; /* score and sum */
        }
    return count;
}

static void test_read(void **state)
{
    pcv_params p = {0};
    pcv_norm norm;
    pcv_linear key, value;
    pcv_reader r = { &norm, &key, &value, 2 };
    pcv_tokens t = { .items = 1, .n = 11, .c = 7 };

    (void)state;
    pcv_norm_init(&norm, &p, "n", 7);
    pcv_linear_init(&key, &p, "k", 7, 6, true, 1);
    pcv_linear_init(&value, &p, "v", 7, 10, true, 1);
    help_below(fabs(pcv_read_cost(&r, &t, 5, PCV_FORM_PLAIN) -
               naive_read(5, 11, 7, 6, 10, 2)), 1e-9, "plain", 0);
    help_below(fabs(pcv_read_cost(&r, &t, 5, PCV_FORM_TILED) -
               naive_read(5, 11, 7, 6, 10, 2)), 1e-9, "tiled", 0);
    help_below(fabs(pcv_read_cost(&r, &t, 5, PCV_FORM_FOLDED) -
               naive_folded(5, 11, 7, 6, 10, 2)), 1e-9, "folded", 0);
    pcv_params_free(&p);
}

/* A structured attend: its cost grows with the content channels and the
 * elements, and does not know the width of positions but by the tables. */
static void test_grid(void **state)
{
    pcv_params p = {0};
    pcv_norm norm;
    pcv_linear key, value;
    pcv_reader r = { &norm, &key, &value, 1 };
    pcv_segment s = { .axes = 2, .len = { 30, 20 }, .cols = { 9, 9 }, .c = 3 };
    pcv_tokens t = { .items = 1, .n = 600, .c = 21, .segment = &s,
                     .segments = 1 };
    double one, more;

    (void)state;
    pcv_norm_init(&norm, &p, "n", 21);
    pcv_linear_init(&key, &p, "k", 21, 8, true, 1);
    pcv_linear_init(&value, &p, "v", 21, 8, true, 1);
    one = pcv_read_cost(&r, &t, 4, PCV_FORM_GRID);
    assert_true(one < pcv_read_cost(&r, &t, 4, PCV_FORM_PLAIN));
    s.c = 4;                    /* one more: a score's and a sum's */
    more = pcv_read_cost(&r, &t, 4, PCV_FORM_GRID);
    help_below(fabs(more - one - 4.0 * 4 * 600), 1e-6, "content", 0);
    s.cols[0] = 10;             /* a column: into T, and out of the marginal */
    one = more;
    more = pcv_read_cost(&r, &t, 4, PCV_FORM_GRID);
    help_below(fabs(more - one - 4.0 * 4 * 30), 1e-6, "column", 0);
    assert_int_equal(pcv_read_form(&r, &t, 4, PCV_FORM_AUTO), PCV_FORM_GRID);
    pcv_params_free(&p);
}

/* One self-attention layer of vision-perceiver-fourier: four projections, two
 * layers of the MLP, scores and sums. */
static void test_block(void **state)
{
    pcv_params p = {0};
    pcv_block b;
    const pcv_block_shape shape = { .d = 1024, .qk = 1024, .v = 1024,
                                    .heads = 8, .widening = 1,
                                    .act = PCV_GELU, .residual = true };
    double n = 512, d = 1024, layer;

    (void)state;
    pcv_block_init(&b, &p, "b", &shape);
    layer = pcv_block_cost(&b, n) + 2 * n * d * (d + d) +
            pcv_core_cost(&b, n, n);
    help_below(fabs(layer - (6 * 2 * n * d * d + 2 * 2 * n * n * d)), 1e-3,
               "layer", 0);
    help_below(fabs(48 * layer / 360.8e9 - 1), 1e-4, "published", 0);
    pcv_params_free(&p);
}

/* Queries of a grid that are kept: their projection, the fold of each head and
 * its products with each axis; and a second output projection. */
static void test_folds(void **state)
{
    pcv_params p = {0};
    pcv_block b, twice;
    pcv_block_shape shape = { .d = 8, .kv = 21, .qk = 6, .v = 10, .heads = 2,
                              .widening = 1, .act = PCV_GELU,
                              .outer = true };
    pcv_segment s = { .axes = 2, .len = { 5, 4 }, .cols = { 9, 7 }, .c = 3 };
    pcv_tokens t = { .items = 1, .n = 20, .c = 21, .segment = &s,
                     .segments = 1 };
    double count = 0;

    (void)state;
    pcv_block_init(&b, &p, "b", &shape);
    for (int i = 0; i < 3; i++) {
        for (int o = 0; o < 6; o++)
            for (int k = 0; k < 8 + 21; k++)
                count += 2;     /* a query's value, and its share of C */
        for (int h = 0; h < 2; h++)
            for (int a = 0; a < 2; a++)
                for (int l = 0; l < s.len[a]; l++)
                    for (int k = 0; k < s.cols[a]; k++)
                        count += 2;
    }
    help_below(fabs(pcv_folds_cost(&b, &t, 3) - count), 1e-9, "folds", 0);
    shape.out_twice = true;
    pcv_block_init(&twice, &p, "t", &shape);
    help_below(fabs(pcv_block_cost(&twice, 3) - pcv_block_cost(&b, 3) -
               2 * 3 * 8 * 8), 1e-9, "twice", 0);
    pcv_params_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_folds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

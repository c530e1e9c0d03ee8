/* nn_test.c - the small parts of the layers that differences cannot judge:
 * what dropout drops, the numbers of the losses, the table of parameters,
 * and which form of reading is chosen. */
#include "help.h"

#include <math.h>
#include <string.h>

/* ---- dropout --------------------------------------------------------- */

enum { DROPS = 100003 };

/* The share that is dropped, and what the rest is multiplied by. */
static double dropped(const pcv_pass *pass, uint64_t layer, real *x)
{
    int zeros = 0;

    for (int i = 0; i < DROPS; i++)
        x[i] = 1;
    pcv_dropout(pass, layer, x, 1, DROPS);
    for (int i = 0; i < DROPS; i++) {
        zeros += x[i] == 0;
        if (x[i] != 0)          /* the rate is rounded to 1 / 65536 */
            assert_true(fabs((double)x[i] * (1 - pass->dropout) - 1) < 2e-4);
    }
    return (double)zeros / DROPS;
}

static void test_dropout(void **state)
{
    static const double rate[] = { 0, 0.1, 0.5, 0.9 };
    real *x = pcv_alloc(DROPS, sizeof *x);

    (void)state;
    for (size_t i = 0; i < PCV_LEN(rate); i++) {
        const pcv_pass pass = { 1, 2, rate[i], 0 };

        assert_true(fabs(dropped(&pass, 3, x) - rate[i]) < 0.006);
    }
    pcv_free(x);
}

static bool same(const pcv_pass *a, uint64_t la, const pcv_pass *b, uint64_t lb)
{
    real *x = pcv_alloc(DROPS, sizeof *x), *y = pcv_alloc(DROPS, sizeof *y);
    bool equal;

    dropped(a, la, x);
    dropped(b, lb, y);
    equal = memcmp(x, y, DROPS * sizeof *x) == 0;
    pcv_free(x);
    pcv_free(y);
    return equal;
}

/* The mask is a function of seed, step and layer, on any number of threads. */
static void test_dropout_keys(void **state)
{
    const pcv_pass a = { 1, 2, 0.3, 0 };
    const pcv_pass seed = { 2, 2, 0.3, 0 }, step = { 1, 3, 0.3, 0 };

    (void)state;
    assert_true(same(&a, 5, &a, 5));
    assert_false(same(&a, 5, &a, 6));
    assert_false(same(&a, 5, &seed, 5));
    assert_false(same(&a, 5, &step, 5));
    for (int n = 1; n <= 3; n++) {
        static real first[DROPS], x[DROPS];

        assert_int_equal(pcv_threads_set(n), 0);
        dropped(&a, 5, n == 1 ? first : x);
        if (n > 1)
            assert_memory_equal(x, first, sizeof x);
    }
    assert_int_equal(pcv_threads_set(1), 0);
}

/* ---- losses ---------------------------------------------------------- */

static void test_softmax(void **state)
{
    double p[3] = { 1000, 999, -1000 };

    (void)state;
    pcv_softmax(p, 3);
    assert_true(fabs(p[0] - 1 / (1 + exp(-1.0))) < 1e-12);
    assert_true(fabs(p[0] + p[1] - 1) < 1e-12 && p[2] == 0);
    p[1] = (double)NAN;
    pcv_softmax(p, 2);
    assert_true(isnan(p[0]) && isnan(p[1]));
}

static void test_cross_entropy(void **state)
{
    const real x[6] = { 1, 2, 3, 4, 1, 0 };
    const int label[2] = { 2, 1 };
    double p[3], want = 0, have;
    real t[6];

    (void)state;
    for (int r = 0; r < 2; r++) {
        for (int k = 0; k < 3; k++)
            p[k] = (double)x[3 * r + k];
        pcv_softmax(p, 3);
        for (int k = 0; k < 3; k++) {
            t[3 * r + k] = (real)(0.3 / 3 + (k == label[r] ? 0.7 : 0));
            want -= log(p[k]) * (double)t[3 * r + k];
        }
    }
    have = pcv_cross_entropy(x, t, 2, 3, 1, NULL);
    assert_true(fabs(have - want) < 1e-6);
    t[0] = (real)NAN;           /* the first row wants nothing */
    have -= pcv_cross_entropy(x, t, 2, 3, 1, NULL);
    assert_true(fabs(have - log(1 + exp(-1.0) + exp(-2.0)) -
                     0.1 * (1 + 2)) < 1e-6);
}

/* -log of the probability of what is there and of what is not, in logits far
 * from zero, too. */
static void test_binary_cross_entropy(void **state)
{
    const real y[4] = { 1, -2, 500, -500 }, t[4] = { 1, 0, 1, 1 };
    real dy[4];
    double want = log(1 + exp(-1.0)) + log(1 + exp(-2.0)) + 0 + 500;

    (void)state;
    assert_true(fabs(pcv_binary_cross_entropy(y, t, 1, 4, 4, dy) - want / 4) <
                1e-12 * want);
    assert_true(fabs((double)dy[0] - (1 / (1 + exp(-1.0)) - 1)) < 1e-6);
    assert_true(fabs((double)dy[1] - 1 / (1 + exp(2.0))) < 1e-6);
    assert_true(dy[2] == 0 && dy[3] == -1);
}

static void test_squared_error(void **state)
{
    const real y[2] = { 1, 2 }, target[2] = { 3, 1 };
    real dy[2];

    (void)state;
    assert_true(pcv_squared_error(y, target, 1, 2, 1, dy) == 2.5);
    assert_true(dy[0] == -2 && dy[1] == 1);
    assert_true(pcv_squared_error(y, target, 2, 1, 3, dy) == 5);
    assert_true(dy[0] == -12 && dy[1] == 6);
    assert_true(pcv_squared_error(y, target, 1, 2, 1, NULL) == 2.5);
}

/* ---- parameters ------------------------------------------------------ */

static void test_params(void **state)
{
    pcv_params p = {0};
    pcv_linear l, unbiased;
    pcv_norm n;

    (void)state;
    pcv_linear_init(&l, &p, "a.b", 30, 40, true, 0.5);
    pcv_linear_init(&unbiased, &p, "c", 3, 4, false, 0);
    pcv_norm_init(&n, &p, "n", 7);
    assert_int_equal(p.count, 5);
    assert_int_equal(p.total, 1200 + 40 + 12 + 7 + 7);
    assert_ptr_equal(pcv_params_find(&p, "a.b.weight"), l.w);
    assert_ptr_equal(pcv_params_find(&p, "n.bias"), n.b);
    assert_null(pcv_params_find(&p, "c.bias"));
    assert_null(unbiased.b);
    assert_true(l.w->decay && !l.b->decay && !n.g->decay && !n.b->decay);
    assert_int_equal(pcv_params_weights(&p), 0);
    assert_null(l.w->g);
    assert_int_equal(pcv_params_grads(&p), 0);
    assert_ptr_equal(l.b->w, l.w->w + 1200);
    assert_ptr_equal(n.b->g, p.g + p.total - 7);
    pcv_params_free(&p);
}

/* mean + std * a normal cut at two deviations (whose own deviation is .88). */
static void test_params_init(void **state)
{
    pcv_params p = {0};
    pcv_param *q = pcv_param_add(&p, "x", "", 200, 200, 3, (real)0.5, true);
    double sum = 0, square = 0;
    real first;

    (void)state;
    assert_int_equal(pcv_params_weights(&p), 0);
    pcv_params_init(&p, 1);
    for (size_t i = 0; i < q->count; i++) {
        double z = ((double)q->w[i] - 3) / 0.5;

        assert_true(fabs(z) <= 2.00001);
        sum += z;
        square += z * z;
    }
    assert_true(fabs(sum / 40000) < 0.02);
    assert_true(fabs(sqrt(square / 40000) - 0.8796) < 0.01);
    first = q->w[0];
    pcv_params_init(&p, 2);
    assert_true(q->w[0] != first);
    pcv_params_init(&p, 1);
    assert_true(q->w[0] == first);
    pcv_params_free(&p);
}

/* Whichever allocation fails, it is told when weights are wanted. */
static void test_params_memory(void **state)
{
    (void)state;
    for (long k = 1; k < 20; k++) {
        pcv_params p = {0};
        pcv_linear l;
        int r;

        pcv_alloc_fail_at(k);
        pcv_linear_init(&l, &p, "l", 3, 4, true, 1);
        r = pcv_params_weights(&p);
        pcv_alloc_fail_at(0);
        assert_non_null(l.w);
        assert_non_null(l.b);
        pcv_params_free(&p);
        if (r == 0)
            return;
        assert_int_equal(pcv_error_code(), EX_OSERR);
        pcv_error_clear();
    }
    fail_msg("20 allocations for two parameters");
}

/* ---- the choice of a form -------------------------------------------- */

static void test_form(void **state)
{
    static const pcv_segment s = { .axes = 1, .len = { 10 } };
    pcv_tokens t = { .items = 1, .n = 100, .c = 50 };
    help_reader r;

    (void)state;
    help_reader_open(&r, 50, 1, 32, 32, 1);
    assert_int_equal(pcv_read_form(&r.reader, &t, 8, PCV_FORM_AUTO),
                     PCV_FORM_FOLDED);
    assert_int_equal(pcv_read_form(&r.reader, &t, 200, PCV_FORM_AUTO),
                     PCV_FORM_PLAIN);
    assert_int_equal(pcv_read_form(&r.reader, &t, 8, PCV_FORM_GRID),
                     PCV_FORM_TILED);
    t.n = 10000000;
    assert_int_equal(pcv_read_form(&r.reader, &t, 8, PCV_FORM_AUTO),
                     PCV_FORM_FOLDED);
    assert_int_equal(pcv_read_form(&r.reader, &t, 200, PCV_FORM_AUTO),
                     PCV_FORM_TILED);
    t.segment = &s;
    t.segments = 1;
    for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++)
        assert_int_equal(pcv_read_form(&r.reader, &t, 8, form), form);
    assert_int_equal(pcv_read_form(&r.reader, &t, 8, PCV_FORM_AUTO),
                     PCV_FORM_FOLDED);
    t.n = 1000;
    assert_int_equal(pcv_read_form(&r.reader, &t, 8, PCV_FORM_AUTO),
                     PCV_FORM_GRID);
    pcv_params_free(&r.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_dropout_keys),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_binary_cross_entropy),
        cmocka_unit_test(test_squared_error),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_params_init),
        cmocka_unit_test(test_params_memory),
        cmocka_unit_test(test_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

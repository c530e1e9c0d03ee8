/* lowp_test.c - 16 and 8 bits: quantising what was quantised changes nothing;
 * products and attention within what rounding explains, with the same bits on
 * any number of threads and wherever a row stands.  Without oneDNN: what is
 * said then.  (The loops: kern_test.c.) */
#include "help.h"

#include "../lib/nn/nn.h"

#include <math.h>
#include <string.h>

#define U (1.0 / 256)           /* rounding to bfloat16, relative */

/* ---- quantising -------------------------------------------------------- */

static void test_quantise(void **state)
{
    float x[257], bad[2] = { 1, (float)INFINITY }, zero[2] = { 0, 0 };
    int8_t q[257], again[257];

    (void)state;
    for (uint64_t s = 0; s < 500; s++) {
        float scale, largest = 0;

        for (size_t i = 0; i < 257; i++) {
            x[i] = (float)(pcv_normal(3, s, i) * exp(pcv_normal(4, s, 0)));
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        }
        scale = pcv_quantise(x, 257, q);
        assert_true((double)scale <= (double)largest / 127 * 1.00002);
        for (size_t i = 0; i < 257; i++) {
            assert_true(fabsf((float)q[i] * scale - x[i]) <= scale * 0.50001f);
            x[i] = (float)q[i] * scale;
        }
        assert_true(memcmp(&(float){ pcv_quantise(x, 257, again) }, &scale,
                           sizeof scale) == 0);
        assert_memory_equal(q, again, sizeof q);
    }
    assert_true(isnan(pcv_quantise(bad, 2, q)));
    assert_true(fpclassify(pcv_quantise(zero, 2, q)) == FP_ZERO && q[0] == 0);
}

/* ---- products -------------------------------------------------------- */

static bool there(int precision)
{
    pcv_lowp *l = pcv_lowp_open(precision);
    pcv_packed *p = NULL;
    real w = 1;

    if (l)
        p = pcv_packed_open(l, &w, 1, 1);
    pcv_packed_close(p);
    pcv_lowp_close(l);
    if (p)
        return true;
    assert_int_equal(pcv_error_code(), EX_USAGE);
    print_message("skipped: %s\n", pcv_error());
    pcv_error_clear();
    return false;
}

static double largest(const real *x, int n)
{
    double m = 0;

    for (int i = 0; i < n; i++)
        m = fmax(m, fabs((double)x[i]));
    return m;
}

/* One element in double, and how far rounding may take it. */
static double element(int precision, const real *x, const real *w, int n,
                      double *bound)
{
    double y = 0, size = 0, sx = largest(x, n) / 127, sw = largest(w, n) / 127;

    *bound = 0;
    for (int i = 0; i < n; i++) {
        double a = fabs((double)x[i]), b = fabs((double)w[i]);

        y += (double)x[i] * (double)w[i];
        size += a * b;
        *bound += a * sw / 2 + b * sx / 2 + sx * sw / 4;
    }
    if (precision == PCV_BF16_PRODUCTS)
        *bound = size * (2 * U + U * U + n * 1.2e-7);
    *bound = *bound * 1.0001 + 1e-6 * (size + 1);
    return y;
}

static void check_product(int precision, int rows, int in, int out)
{
    pcv_lowp *l = pcv_lowp_open(precision);
    real *x = help_normal(5, (size_t)(rows * in), 2);
    real *w = help_normal(6, (size_t)(in * out), 0.5);
    real *b = help_normal(7, (size_t)out, 1);
    real *y = pcv_alloc((size_t)(rows * out), sizeof *y);
    real *one = pcv_alloc((size_t)out, sizeof *one);
    pcv_packed *p = pcv_packed_open(l, w, out, in);

    assert_non_null(p);
    pcv_packed_product(p, x, rows, b, y);
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < out; o++) {
            double bound, want = element(precision, x + r * in, w + o * in, in,
                                         &bound);

            assert_true(fabs((double)y[r * out + o] - want - (double)b[o]) <=
                        bound);
        }
    for (int r = 0; r < rows; r += 13) {
        pcv_packed_product(p, x + r * in, 1, b, one);
        assert_memory_equal(one, y + r * out, (size_t)out * sizeof *one);
    }
    for (int t = 2; t <= 4; t += 2) {
        real *many = pcv_alloc((size_t)(rows * out), sizeof *many);

        assert_int_equal(pcv_threads_set(t), 0);
        pcv_packed_product(p, x, rows, b, many);
        assert_memory_equal(many, y, (size_t)(rows * out) * sizeof *y);
        pcv_free(many);
    }
    assert_int_equal(pcv_threads_set(1), 0);
    pcv_packed_close(p);
    pcv_lowp_close(l);
    pcv_free(x);
    pcv_free(w);
    pcv_free(b);
    pcv_free(y);
    pcv_free(one);
}

static void test_products(void **state)
{
    static const int row[] = { 1, 7, 130 };
    static const int shape[][2] = { { 1, 1 }, { 5, 7 }, { 64, 64 },
                                    { 261, 322 }, { 130, 65 }, { 1024, 96 } };

    (void)state;
    for (int p = PCV_BF16_PRODUCTS; p <= PCV_INT8_PRODUCTS; p++)
        for (size_t i = 0; there(p) && i < PCV_LEN(shape); i++)
            for (size_t r = 0; r < PCV_LEN(row); r++)
                check_product(p, row[r], shape[i][0], shape[i][1]);
}

/* A NaN or an infinity is seen in its row, and nowhere else. */
static void test_nan(void **state)
{
    real x[6] = { 1, (real)NAN, 3, 4, (real)INFINITY, 1 };
    real w[4] = { 1, 2, 3, 4 }, y[6];

    (void)state;
    for (int i = PCV_BF16_PRODUCTS; i <= PCV_INT8_PRODUCTS && there(i); i++) {
        pcv_lowp *l = pcv_lowp_open(i);
        pcv_packed *p = pcv_packed_open(l, w, 2, 2);

        pcv_packed_product(p, x, 3, NULL, y);
        assert_true(isnan(y[0]) && isnan(y[1]));
        assert_true(fabs((double)y[2] - 11) < 0.3);
        assert_true(!isfinite(y[4]) && !isfinite(y[5]));
        pcv_packed_close(p);
        pcv_lowp_close(l);
    }
}

static void check_waiting(const pcv_packed *p)
{
    real x[2 * 640], y[2 * 640];

    for (int i = 0; i < 2 * 640; i++)
        x[i] = (real)(i % 2);
    assert_int_equal(pcv_threads_set(4), 0);
    pcv_alloc_fail_at(1);
    pcv_packed_product(p, x, 640, NULL, y);
    pcv_alloc_fail_at(0);
    assert_int_equal(pcv_threads_set(1), 0);
    for (int i = 0; i < 640; i++)
        assert_true(fabs((double)y[2 * i] - 2) < 0.1 &&
                    fabs((double)y[2 * i + 1] - 4) < 0.1);
}

/* Whichever allocation fails, opening says so and leaves nothing; a product has
 * its place already, and a thread without one waits. */
static void test_no_memory(void **state)
{
    (void)state;
    if (!there(PCV_INT8_PRODUCTS))
        return;
    for (long k = 1;; k++) {
        pcv_lowp *l = pcv_lowp_open(PCV_INT8_PRODUCTS);
        real w[4] = { 1, 2, 3, 4 };
        pcv_packed *p;

        pcv_alloc_fail_at(k);
        p = pcv_packed_open(l, w, 2, 2);
        pcv_alloc_fail_at(0);
        pcv_lowp_close(p ? NULL : l);
        if (p) {
            check_waiting(p);
            pcv_packed_close(p);
            pcv_lowp_close(l);
            break;
        }
        assert_int_equal(pcv_error_code(), EX_OSERR);
        pcv_error_clear();
    }
}

/* ---- attention ------------------------------------------------------- */

typedef struct {
    pcv_core c;
    real *q, *k, *v, *y, *lse;
    unsigned char *mask;
} attention;

static void attention_open(attention *a, pcv_core c)
{
    size_t keys = (size_t)(c.items * c.m), rows = (size_t)(c.items * c.n);

    a->c = c;
    a->q = help_normal(11, rows * (size_t)c.qk, 1);
    a->k = help_normal(12, keys * (size_t)c.qk, 1);
    a->v = help_normal(13, keys * (size_t)c.v, 1);
    a->y = pcv_alloc(rows * (size_t)c.v, sizeof *a->y);
    a->lse = pcv_alloc(rows * (size_t)c.heads, sizeof *a->lse);
    a->mask = pcv_alloc(keys, 1);
    for (size_t i = 0; i < keys; i++)
        a->mask[i] = pcv_random(14, 0, i) % 4 != 0;
    for (int i = 0; i < c.items; i++)
        a->mask[i * c.m] = 1;
    a->c.mask = a->mask;
}

static void attention_close(attention *a)
{
    pcv_free(a->q);
    pcv_free(a->k);
    pcv_free(a->v);
    pcv_free(a->y);
    pcv_free(a->lse);
    pcv_free(a->mask);
}

static void attention_run(const attention *a, pcv_lowp *l, real *y, real *lse)
{
    pcv_core c = a->c;
    pcv_arena scratch;

    c.low = l;
    assert_int_equal(pcv_arena_open(&scratch, pcv_core_scratch(&c, false)), 0);
    pcv_core_forward(&c, a->q, a->k, a->v, y, lse, &scratch);
    pcv_arena_close(&scratch);
}

/* The largest error of a score there can be, over all. */
static double score_error(const attention *a)
{
    int dh = a->c.qk / a->c.heads;
    double q = largest(a->q, a->c.items * a->c.n * a->c.qk);
    double k = largest(a->k, a->c.items * a->c.m * a->c.qk);

    return 2.01 * U * q * k * dh / sqrt((double)dh);
}

/* Rounding moves a score by d at the most, a weight by e^2d and its own
 * rounding, the result by that much of the largest value; typical errors are a
 * hundredth of it, so there is a second, measured bound on the mean. */
static void check_near(const attention *a, const real *y, const real *lse)
{
    const pcv_core *c = &a->c;
    int n = c->items * c->n * c->v;
    double d = score_error(a), square = 0, size = 0;
    double most = largest(a->v, c->items * c->m * c->v) *
                  (exp(2 * d) * (1 + 3 * U) - 1);

    for (int i = 0; i < n; i++) {
        double e = (double)y[i] - (double)a->y[i];

        assert_true(fabs(e) <= most);
        square += e * e;
        size += (double)a->y[i] * (double)a->y[i];
    }
    assert_true(sqrt(square / size) < 0.01);
    for (int i = 0; i < c->items * c->n * c->heads; i++)
        assert_true(fabs((double)lse[i] - (double)a->lse[i]) <= d + 1e-4);
}

static void check_attention(pcv_lowp *l, pcv_core c)
{
    size_t rows = (size_t)(c.items * c.n);
    real *y = pcv_alloc(rows * (size_t)c.v, sizeof *y);
    real *lse = pcv_alloc(rows * (size_t)c.heads, sizeof *lse);
    attention a;

    attention_open(&a, c);
    assert_int_equal(pcv_lowp_heads(l, c.qk / c.heads, c.v / c.heads), 0);
    attention_run(&a, NULL, a.y, a.lse);
    attention_run(&a, l, y, lse);
    check_near(&a, y, lse);
    memcpy(a.y, y, rows * (size_t)c.v * sizeof *y);
    for (int t = 2; t <= 4; t += 2) {
        assert_int_equal(pcv_threads_set(t), 0);
        attention_run(&a, l, y, lse);
        assert_memory_equal(a.y, y, rows * (size_t)c.v * sizeof *y);
    }
    assert_int_equal(pcv_threads_set(1), 0);
    attention_close(&a);
    pcv_free(y);
    pcv_free(lse);
}

static void test_attention(void **state)
{
    static const pcv_core core[] = {
        { .items = 2, .n = 5, .m = 7, .heads = 2, .qk = 6, .v = 10 },
        { .items = 1, .n = 70, .m = 129, .heads = 1, .qk = 64, .v = 64 },
        { .items = 2, .n = 130, .m = 1100, .heads = 3, .qk = 48, .v = 96 },
    };
    pcv_lowp *l;

    (void)state;
    if (!there(PCV_BF16_PRODUCTS))
        return;
    l = pcv_lowp_open(PCV_BF16_PRODUCTS);
    for (size_t i = 0; i < PCV_LEN(core); i++)
        check_attention(l, core[i]);
    pcv_lowp_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_attention),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

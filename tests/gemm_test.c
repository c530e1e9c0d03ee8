/* gemm_test.c - matrix products against three nested loops; NaN comes out
 * where NaN went in; a product has the same bits on any number of threads. */
#include "help.h"

#include <math.h>
#include <string.h>

typedef struct {
    bool ta, tb;
    int m, n, k, pad;
    real beta;
    real *a, *b, *c;
    int lda, ldb, ldc;
    size_t size;                /* of c */
} product;

/* Strides are `pad` wider than the matrices; the padding holds NaN, and that
 * of c must stay as it is. */
static real *matrix(uint64_t stream, int rows, int cols, int pad, int *ld)
{
    real *x;

    *ld = cols + pad;
    x = help_normal(stream, (size_t)(rows * *ld), 1);
    for (int i = 0; i < rows; i++)
        for (int k = cols; k < *ld; k++)
            x[i * *ld + k] = (real)NAN;
    return x;
}

static void product_open(product *p, int which)
{
    uint64_t u = 1000 + (uint64_t)which;

    p->ta = which & 1;
    p->tb = which & 2;
    p->pad = which & 4 ? 3 : 0;
    p->beta = (real)(which % 3) / 2;
    p->m = which % 5 ? help_int(u, 1, 1, 90) : help_int(u, 1, 257, 600);
    p->n = which % 7 ? help_int(u, 2, 1, 90) : help_int(u, 2, 257, 1100);
    p->k = help_int(u, 3, 1, 70);
    p->a = matrix(u, p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->pad, &p->lda);
    p->b = matrix(u + 1, p->tb ? p->n : p->k, p->tb ? p->k : p->n, p->pad,
                  &p->ldb);
    p->c = matrix(u + 2, p->m, p->n, p->pad, &p->ldc);
    p->size = (size_t)p->m * (size_t)p->ldc;
}

static void product_close(product *p)
{
    pcv_free(p->a);
    pcv_free(p->b);
    pcv_free(p->c);
}

static double naive_element(const product *p, int i, int j)
{
    double sum = 0;

    for (int k = 0; k < p->k; k++)
        sum += (double)p->a[p->ta ? k * p->lda + i : i * p->lda + k] *
               (double)p->b[p->tb ? j * p->ldb + k : k * p->ldb + j];
    return 1.5 * sum + (double)p->beta * (double)p->c[i * p->ldc + j];
}

typedef void multiply(bool ta, bool tb, int m, int n, int k, real alpha,
                      const real *a, int lda, const real *b, int ldb, real beta,
                      real *c, int ldc);

static real *call(const product *p, multiply *f)
{
    real *c = pcv_alloc(p->size, sizeof *c);

    memcpy(c, p->c, p->size * sizeof *c);
    f(p->ta, p->tb, p->m, p->n, p->k, (real)1.5, p->a, p->lda, p->b, p->ldb,
      p->beta, c, p->ldc);
    return c;
}

static void check_product(const product *p, multiply *f, int which)
{
    real *c = call(p, f);

    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->ldc; j++) {
            real have = c[i * p->ldc + j];

            if (j < p->n)
                help_below(fabs((double)have - naive_element(p, i, j)),
                           HELP_TOL(4e-5, 1e-13), pcv_blas_name(), which);
            else
                assert_true(isnan(have));
        }
    pcv_free(c);
}

static void test_product(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        product p;

        product_open(&p, i);
        check_product(&p, pcv_gemm, i);
        check_product(&p, pcv_matmul, i);
        product_close(&p);
    }
}

static void test_product_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        product p;
        real *one, *many;

        product_open(&p, i);
        one = call(&p, pcv_matmul);
        for (int n = 2; n <= 4; n += 2) {
            assert_int_equal(pcv_threads_set(n), 0);
            many = call(&p, pcv_matmul);
            assert_memory_equal(one, many, p.size * sizeof *one);
            pcv_free(many);
        }
        assert_int_equal(pcv_threads_set(1), 0);
        pcv_free(one);
        product_close(&p);
    }
}

/* A NaN in a reaches its row of c and nothing else; c with beta 0 may hold
 * anything; an empty product touches nothing. */
static void test_product_nan(void **state)
{
    real a[6] = { 1, (real)NAN, 3, 4, 5, 6 }, b[6] = { 0 };
    real c[4] = { (real)NAN, (real)NAN, (real)NAN, (real)NAN };

    (void)state;
    pcv_matmul(false, false, 2, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    assert_true(isnan(c[0]) && isnan(c[1]) && c[2] == 0 && c[3] == 0);
    pcv_matmul(false, false, 0, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    pcv_matmul(false, false, 2, 0, 3, 1, a, 3, b, 2, 0, c, 2);
    assert_true(isnan(c[0]) && c[3] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_product_threads),
        cmocka_unit_test(test_product_nan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

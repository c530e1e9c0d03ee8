/* measure.c - time, medians, the rate of products. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_need(bool fine)
{
    if (fine)
        return;
    fprintf(stderr, "bench: %s\n", pcv_error());
    exit(EXIT_FAILURE);
}

void bench_add(bench_samples *s, double value)
{
    if (s->n < BENCH_MOST)
        s->at[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double bench_median(const bench_samples *s)
{
    bench_samples t = *s;

    if (t.n == 0)
        return (double)NAN;
    qsort(t.at, (size_t)t.n, sizeof *t.at, compare);
    return t.n % 2 ? t.at[t.n / 2]
                   : (t.at[t.n / 2 - 1] + t.at[t.n / 2]) / 2;
}

double bench_difference(const real *a, const real *b, size_t n)
{
    double d = 0, s = 0;

    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        s += (double)b[i] * (double)b[i];
    }
    return sqrt(d / s);
}

/* ---- the rate -------------------------------------------------------- */

enum { M = 512, N = 1024, K = 1024, TIMES = 4 * BENCH_THREADS };

typedef struct {
    real *a[BENCH_THREADS], *b[BENCH_THREADS], *c[BENCH_THREADS];
} products;

static void multiply(void *arg, int i)
{
    const products *p = arg;
    int t = pcv_thread_id();

    (void)i;
    pcv_gemm(false, true, M, N, K, 1, p->a[t], K, p->b[t], K, 0, p->c[t], N);
}

static products *operands(void)
{
    static products p;

    for (int i = 0; !p.a[BENCH_THREADS - 1] && i < BENCH_THREADS; i++) {
        p.a[i] = bench_random((size_t)M * K, 20);
        p.b[i] = bench_random((size_t)N * K, 21);
        p.c[i] = bench_random((size_t)M * N, 22);
    }
    return &p;
}

double bench_rate(void)
{
    static bool warm;           /* pages and buffers of the first time */
    products *p = operands();
    double start;

    if (!warm)
        pcv_parallel(TIMES, multiply, p);
    warm = true;
    start = bench_now();
    pcv_parallel(TIMES, multiply, p);
    return 2.0 * M * N * K * TIMES / (bench_now() - start) * 1e-9;
}

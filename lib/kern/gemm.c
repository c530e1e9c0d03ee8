/* gemm.c - matrix products: the only file that includes cblas.h.
 *
 * Bit-identical results for every thread count need two things of a BLAS.
 * It must compute each product on one thread (OpenBLAS splits sums when it
 * uses several), which is set inside every calling thread because the OpenMP
 * flavour keeps the number per thread.  And a product must always be cut in
 * the same way, because a row's bits can depend on the height of the matrix
 * around it: panels depend on the shape alone.  The serial flavour of
 * OpenBLAS is not safe to call from two threads (wrong results were seen), so
 * it runs under a lock. */
#include "kern.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER;

/* OpenBLAS starts a thread per processor when it is loaded, and each spins for
 * a tenth of a second before it sleeps: time taken from ours.  They are not
 * wanted; the call that ends them (OpenBLAS makes it before a fork) is no part
 * of cblas.h, and the serial flavour lacks it.  Setting the number of threads
 * starts them again: first that, once, then the end. */
static void end_blas_threads(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "blas_thread_shutdown_");
    int (*end)(void);

    openblas_set_num_threads(1);
    memcpy(&end, &symbol, sizeof end);
    if (end && openblas_get_parallel() == OPENBLAS_THREAD)
        end();
}

static bool blas_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local bool ready;
    static _Thread_local int flavour;

    if (!ready) {
        pthread_once(&once, end_blas_threads);
        flavour = openblas_get_parallel();
        if (flavour == OPENBLAS_OPENMP)     /* it is a number of the thread */
            openblas_set_num_threads(1);
        ready = true;
    }
    return flavour != OPENBLAS_SEQUENTIAL;
}

/* The configuration starts with name and version; the rest is of no use. */
const char *pcv_blas_name(void)
{
    static _Thread_local char name[128];
    const char *config = openblas_get_config();
    size_t n = strcspn(config, " ");

    if (config[n])
        n += 1 + strcspn(config + n + 1, " ");
    snprintf(name, sizeof name, "%.*s %.40s", (int)(n < 60 ? n : 60), config,
             openblas_get_corename());
    return name;
}

const char *pcv_blas_better(void)
{
    static const char *const old[] = { "Prescott", "Core2", "Penryn",
                                       "Nehalem", "Athlon", "Opteron",
                                       "Barcelona", "Bobcat" };
    bool behind = false;

    for (size_t i = 0; i < PCV_LEN(old); i++)
        behind |= strcmp(openblas_get_corename(), old[i]) == 0;
#if defined __x86_64__
    __builtin_cpu_init();
    if (behind && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (behind && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}

/* OpenBLAS takes this much at its first product of a thread and, when it
 * cannot have it, tries for ever. */
enum { BLAS_BUFFER = 136 << 20 };

int pcv_blas_room(void)
{
    void *p = malloc(BLAS_BUFFER);      /* never touched: address space only */

    free(p);
    return p ? 0 : pcv_fail(EX_OSERR, "out of memory: %d MB of address space "
                            "per thread wanted for products",
                            BLAS_BUFFER >> 20);
}

void pcv_gemm(bool ta, bool tb, int m, int n, int k, real alpha,
              const real *a, int lda, const real *b, int ldb,
              real beta, real *c, int ldc)
{
    bool safe = blas_ready();
    CBLAS_TRANSPOSE oa = ta ? CblasTrans : CblasNoTrans;
    CBLAS_TRANSPOSE ob = tb ? CblasTrans : CblasNoTrans;

    if (m == 0 || n == 0)
        return;
    if (!safe)
        pthread_mutex_lock(&serial);
#ifdef PCV_DOUBLE
    cblas_dgemm(CblasRowMajor, oa, ob, m, n, k, alpha, a, lda, b, ldb, beta,
                c, ldc);
#else
    cblas_sgemm(CblasRowMajor, oa, ob, m, n, k, alpha, a, lda, b, ldb, beta,
                c, ldc);
#endif
    if (!safe)
        pthread_mutex_unlock(&serial);
}

typedef struct {
    bool ta, tb;
    int m, n, k, lda, ldb, ldc, step;
    bool rows;                  /* panels of rows of C, else of columns */
    real alpha, beta;
    const real *a, *b;
    real *c;
} product;

static void panel(void *arg, int i)
{
    const product *p = arg;
    int at = i * p->step, all = p->rows ? p->m : p->n;
    int len = at + p->step < all ? p->step : all - at;

    if (p->rows)
        pcv_gemm(p->ta, p->tb, len, p->n, p->k, p->alpha,
                 p->a + (size_t)at * (p->ta ? 1 : (size_t)p->lda), p->lda,
                 p->b, p->ldb, p->beta, p->c + (size_t)at * (size_t)p->ldc,
                 p->ldc);
    else
        pcv_gemm(p->ta, p->tb, p->m, len, p->k, p->alpha, p->a, p->lda,
                 p->b + (size_t)at * (p->tb ? (size_t)p->ldb : 1), p->ldb,
                 p->beta, p->c + at, p->ldc);
}

/* How wide a panel of a side of n is.  A power of two of them, so that threads
 * get equal shares; few, since each packs the other operand again: two are
 * worth it from 96 on, up to eight of 128, more only of 256. */
static int panel_step(int n)
{
    int panels = 1;

    while (n / (2 * panels) >= (panels < 2 ? 48 : panels < 8 ? 128 : 256))
        panels *= 2;
    return ((n + panels - 1) / panels + 15) / 16 * 16;
}

/* Panels of the longer side of C. */
void pcv_matmul(bool ta, bool tb, int m, int n, int k, real alpha,
                const real *a, int lda, const real *b, int ldb,
                real beta, real *c, int ldc)
{
    bool rows = m >= n;
    int all = rows ? m : n;
    bool small = (double)m * n * k < 64 * 1024; /* not worth waking a thread */
    int step = small ? all : panel_step(all);
    product p = { ta, tb, m, n, k, lda, ldb, ldc, step, rows, alpha, beta,
                  a, b, c };

    if (m == 0 || n == 0)
        return;
    pcv_parallel((all + step - 1) / step, panel, &p);
}

/* mem.c - checked, counted allocation.  Every block of the library comes
 * from pcv_alloc, so one counter sees them all and one switch makes any of
 * them fail: the test of each error path is "fail at 1, 2, 3, ...". */
#include "base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64    /* a cache line, and the widest vector */

static atomic_long allocations;
static atomic_long countdown;       /* 0: nothing is made to fail */

bool pcv_mul(size_t a, size_t b, size_t *out)
{
    if (a && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

bool pcv_add(size_t a, size_t b, size_t *out)
{
    if (b > SIZE_MAX - a)
        return false;
    *out = a + b;
    return true;
}

/* True for exactly one call: the one that takes the countdown from 1 to 0. */
static bool made_to_fail(void)
{
    long left = atomic_load_explicit(&countdown, memory_order_relaxed);

    while (left > 0)
        if (atomic_compare_exchange_weak(&countdown, &left, left - 1))
            return left == 1;
    return false;
}

void *pcv_alloc(size_t count, size_t size)
{
    size_t bytes;
    void *p = NULL;

    if (!pcv_mul(count, size, &bytes) || bytes > PTRDIFF_MAX) {
        pcv_fail(EX_OSERR, "out of memory: %zu x %zu bytes cannot be "
                 "addressed", count, size);
        return NULL;
    }
    /* posix_memalign takes any size (aligned_alloc wants multiples), so the
     * sanitizers see the first byte beyond. */
    if (made_to_fail() ||
        posix_memalign(&p, ALIGNMENT, bytes ? bytes : 1) != 0) {
        pcv_fail(EX_OSERR, "out of memory: %zu bytes wanted", bytes);
        return NULL;
    }
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return memset(p, 0, bytes ? bytes : 1);
}

void pcv_free(void *p)
{
    free(p);
}

char *pcv_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = pcv_alloc(n, 1);

    return copy ? memcpy(copy, s, n) : NULL;
}

long pcv_alloc_count(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

void pcv_alloc_fail_at(long k)
{
    atomic_store(&countdown, k > 0 ? k : 0);
}

/* cpu.c - which table of vector loops runs here.  The best that the processor
 * has, unless PCV_CPU names a lower one: the one place below cmd/ that reads
 * the environment, so that any user can force the slow path. */
#include "kern.h"

#include <stdlib.h>
#include <string.h>

extern const pcv_rows pcv_rows_base, pcv_rows_avx2, pcv_rows_avx512;
extern const pcv_rows pcv_rows_neon;

int pcv_rows_all(const pcv_rows *out[4])
{
    int n = 0;

    out[n++] = &pcv_rows_base;
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        out[n++] = &pcv_rows_avx2;
        if (__builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl"))
            out[n++] = &pcv_rows_avx512;
    }
#elif defined __aarch64__
    out[n++] = &pcv_rows_neon;      /* every such processor has it */
#endif
    return n;
}

static const pcv_rows *choose(void)
{
    const pcv_rows *all[4];
    const char *want = getenv("PCV_CPU");
    int n = pcv_rows_all(all);

    for (int i = 0; want && i < n; i++)
        if (!strcmp(all[i]->name, want))
            return all[i];
    return all[n - 1];
}

/* Two threads may both choose; they choose the same. */
const pcv_rows *pcv_rows_get(void)
{
    static const pcv_rows *chosen;
    const pcv_rows *rows = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);

    if (!rows) {
        rows = choose();
        __atomic_store_n(&chosen, rows, __ATOMIC_RELEASE);
    }
    return rows;
}

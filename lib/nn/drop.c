/* drop.c - dropout.  The mask is a pure function of (seed, step, layer,
 * index): forward, backward and a recomputed forward see the same one and
 * nothing is stored.  One 64-bit draw serves four elements. */
#include "nn.h"

typedef struct {
    uint64_t seed, stream;
    real *x, keep;
    size_t first, n;            /* index of x[0]; how many */
    unsigned limit;             /* dropped when 16 random bits are below */
} drop_job;

enum { CHUNK = 4096 };

/* A draw serves four elements, by their indices. */
static void drop_chunk(void *arg, int i)
{
    const drop_job *j = arg;
    size_t at = (size_t)i * CHUNK, end = at + CHUNK < j->n ? at + CHUNK : j->n;
    size_t index = j->first + at, skip = index % 4;
    uint64_t bits[CHUNK / 4 + 1];

    pcv_random_fill(j->seed, j->stream, index / 4, bits,
                    (skip + end - at + 3) / 4);
    for (size_t k = skip; at < end; at++, k++)
        j->x[at] *= (bits[k / 4] >> 16 * (k % 4) & 0xffff) < j->limit ? 0
                    : j->keep;
}

void pcv_dropout(const pcv_pass *pass, uint64_t layer, real *x, int items,
                 size_t each)
{
    drop_job j;

    if (pass->dropout <= 0)
        return;
    j.seed = pass->seed;
    j.stream = (pass->step << 12) + layer + 1;
    j.x = x;
    j.first = (size_t)pass->first * each;
    j.n = (size_t)items * each;
    j.limit = (unsigned)(pass->dropout * 65536);
    j.keep = (real)(65536.0 / (65536.0 - j.limit));
    pcv_parallel((int)((j.n + CHUNK - 1) / CHUNK), drop_chunk, &j);
}

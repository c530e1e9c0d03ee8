/* drop.c - dropout.  The mask is a pure function of (seed, step, layer,
 * index): forward, backward and a recomputed forward see the same one and
 * nothing is stored.  One 64-bit draw serves four elements. */
#include "nn.h"

typedef struct {
    uint64_t seed, stream;
    real *x, keep;
    size_t n;
    unsigned limit;             /* dropped when 16 random bits are below */
} drop_job;

enum { CHUNK = 4096 };

static void drop_chunk(void *arg, int i)
{
    const drop_job *j = arg;
    size_t at = (size_t)i * CHUNK, end = at + CHUNK < j->n ? at + CHUNK : j->n;

    for (; at < end; at += 4) {
        uint64_t bits = pcv_random(j->seed, j->stream, at / 4);

        for (size_t k = at; k < at + 4 && k < end; k++, bits >>= 16)
            j->x[k] *= (bits & 0xffff) < j->limit ? 0 : j->keep;
    }
}

void pcv_dropout(const pcv_pass *pass, uint64_t layer, real *x, size_t n)
{
    drop_job j;

    if (pass->dropout <= 0)
        return;
    j.seed = pass->seed;
    j.stream = (pass->step << 12) + layer + 1;
    j.x = x;
    j.n = n;
    j.limit = (unsigned)(pass->dropout * 65536);
    j.keep = (real)(65536.0 / (65536.0 - j.limit));
    pcv_parallel((int)((n + CHUNK - 1) / CHUNK), drop_chunk, &j);
}

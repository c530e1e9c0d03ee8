/* arena.c - bump allocation.  Invariant: used is a multiple of 64, and
 * peak is the largest used so far.  Without memory the same calls only move
 * the two numbers; a sum that overflows stops at SIZE_MAX, which no
 * pcv_arena_open can then satisfy. */
#include "base.h"

#include <assert.h>

#define ALIGNMENT ((size_t)64)

static size_t round_up(size_t n)
{
    size_t more;

    if (!pcv_add(n, ALIGNMENT - 1, &more))
        return SIZE_MAX;
    return more & ~(ALIGNMENT - 1);
}

int pcv_arena_open(pcv_arena *a, size_t size)
{
    *a = (pcv_arena){0};
    size = round_up(size);
    a->base = pcv_alloc(size, 1);
    if (!a->base)
        return -1;
    a->size = size;
    return 0;
}

int pcv_arena_reserve(pcv_arena *a, size_t size)
{
    if (!a->base || a->size < round_up(size)) {
        pcv_arena_close(a);
        return pcv_arena_open(a, size);
    }
    a->used = a->peak = 0;
    return 0;
}

void pcv_arena_close(pcv_arena *a)
{
    pcv_free(a->base);
    *a = (pcv_arena){0};
}

void *pcv_arena_take(pcv_arena *a, size_t count, size_t size)
{
    size_t bytes, used, mark = a->used;

    if (!pcv_mul(count, size, &bytes) ||
        !pcv_add(mark, round_up(bytes), &used))
        used = SIZE_MAX;
    assert(!a->base || used <= a->size);
    a->used = used;
    if (used > a->peak)
        a->peak = used;
    return a->base ? a->base + mark : NULL;
}

void pcv_arena_release(pcv_arena *a, size_t mark)
{
    assert(mark <= a->used);
    a->used = mark;
}

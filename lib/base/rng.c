/* rng.c - random numbers without state.
 *
 *     key    = mix(mix(seed) + stream)
 *     number = mix(mix(key + index * GOLDEN) ^ rotate(key))
 *
 * mix is the finisher of SplitMix64 (Stafford's variant 13), a bijection
 * in which every output bit depends on every input bit.  The inner line is
 * SplitMix64 started at key; the outer one keeps two streams apart whose
 * keys happen to lie on the same orbit. */
#include "base.h"

#include <math.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)     /* 2^64 / golden ratio, odd */
#define TWO_PI 6.283185307179586476925

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* mix(0) = 0: the constant keeps seed 0, stream 0 from being special. */
static uint64_t key_of(uint64_t seed, uint64_t stream)
{
    return mix(mix(seed + GOLDEN) + stream * GOLDEN);
}

static uint64_t draw(uint64_t key, uint64_t index)
{
    return mix(mix(key + index * GOLDEN) ^ (key << 32 | key >> 32));
}

uint64_t pcv_random(uint64_t seed, uint64_t stream, uint64_t index)
{
    return draw(key_of(seed, stream), index);
}

void pcv_random_fill(uint64_t seed, uint64_t stream, uint64_t index,
                     uint64_t *out, size_t n)
{
    uint64_t key = key_of(seed, stream);

    for (size_t i = 0; i < n; i++)
        out[i] = draw(key, index + i);
}

double pcv_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(pcv_random(seed, stream, index) >> 11) * 0x1p-53;
}

/* Box-Muller; 1 - u lies in (0, 1], so the logarithm is finite. */
double pcv_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double u = pcv_uniform(seed, stream, 2 * index);
    double v = pcv_uniform(seed, stream, 2 * index + 1);

    return sqrt(-2 * log(1 - u)) * cos(TWO_PI * v);
}

/* Fisher-Yates.  The modulo's bias is at most n / 2^64. */
void pcv_shuffle(uint64_t seed, uint64_t stream, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t drawn = pcv_random(seed, stream, i);
        uint32_t j = (uint32_t)(drawn % ((uint64_t)i + 1));

        order[i] = order[j];
        order[j] = i;
    }
}

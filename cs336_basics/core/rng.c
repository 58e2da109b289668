#include "core/rng.h"

#include <assert.h>
#include <math.h>

static const double TWO_PI = 6.283185307179586476925286766559;

/*
 * The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection in which each input bit changes about half of
 * the output bits. The constant 0x9e37..., 2^64 divided by the golden ratio, is from the same paper.
 */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

Rng rng_seeded(uint64_t seed)
{
    return rng_stream(seed, 0);
}

Rng rng_stream(uint64_t seed, uint64_t stream)
{
    return (Rng){.seed = mix(mix(seed + UINT64_C(0x9e3779b97f4a7c15)) + stream)};
}

/* Mixes twice and adds the seed in between: after one mix, sequences of neighbouring seeds could still be correlated.
 */
uint64_t rng_bits(Rng *rng)
{
    return mix(mix(rng->seed ^ (++rng->counter * UINT64_C(0x9e3779b97f4a7c15))) + rng->seed);
}

double rng_uniform(Rng *rng)
{
    return (double)(rng_bits(rng) >> 11) * 0x1p-53;
}

uint64_t rng_below(Rng *rng, uint64_t bound)
{
    assert(bound > 0);
    /* 2^64 is no multiple of bound: the first 2^64 mod bound values would make some results likelier. Draw again. */
    const uint64_t rejected = (UINT64_MAX - bound + 1) % bound;
    uint64_t bits;
    do
        bits = rng_bits(rng);
    while (bits < rejected);
    return bits % bound;
}

double rng_normal(Rng *rng)
{
    const double radius = sqrt(-2 * log(1 - rng_uniform(rng)));
    return radius * cos(TWO_PI * rng_uniform(rng));
}

void rng_truncated_normal(Rng *rng, float *values, size_t count, double sigma, double limit)
{
    assert(limit > 0);
    for (size_t i = 0; i < count; i++) {
        double z;
        do
            z = rng_normal(rng);
        while (fabs(z) > limit);
        values[i] = (float)(sigma * z);
    }
}

#include "core/rng.h"

#include "core/rng_hash.h"

#include <assert.h>
#include <math.h>

static const double TWO_PI = 6.283185307179586476925286766559;

Rng rng_seeded(uint64_t seed)
{
    return rng_stream(seed, 0);
}

Rng rng_stream(uint64_t seed, uint64_t stream)
{
    return (Rng){.seed = rng_mix(rng_mix(seed + UINT64_C(0x9e3779b97f4a7c15)) + stream)};
}

uint64_t rng_bits(Rng *rng)
{
    return rng_hash(rng->seed, ++rng->counter);
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

/**
 * @file
 * @brief The hash behind rng_bits(): the n-th number of a generator, without a state that changes. It is inline, so
 * that a loop over n becomes vector instructions.
 */
#ifndef CS336_CORE_RNG_HASH_H
#define CS336_CORE_RNG_HASH_H

#include <stdint.h>

/**
 * @brief Mixes the bits of x.
 *
 * The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection in which each input bit changes about half of
 * the output bits.
 */
static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/**
 * @brief Returns number @p n of the sequence of a seed; the first is number 1.
 *
 * It mixes twice and adds the seed in between: after one mix, sequences of neighbouring seeds could still be
 * correlated. The constant 0x9e37..., 2^64 divided by the golden ratio, is from the same paper as the mixing.
 */
static inline uint64_t rng_hash(uint64_t seed, uint64_t n)
{
    return rng_mix(rng_mix(seed ^ (n * UINT64_C(0x9e3779b97f4a7c15))) + seed);
}

#endif

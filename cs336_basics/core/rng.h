/**
 * @file
 * @brief Seeded random numbers whose state is two integers.
 *
 * - Counter-based: the n-th number is a hash of (seed, n), so the state saves, restores and skips at no cost.
 * - Same seed, same bits and uniforms on every machine; normals are as equal as the logarithms and cosines of the
 *   mathematical libraries. The number of threads plays no part: a generator is used from one thread at a time.
 * @see Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
 */
#ifndef CS336_CORE_RNG_H
#define CS336_CORE_RNG_H

#include "core/api.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

typedef struct {
    uint64_t seed;    /**< which sequence */
    uint64_t counter; /**< numbers drawn so far */
} Rng;

/** @brief A generator at the start of the sequence of @p seed. */
Rng rng_seeded(uint64_t seed);

/** @brief A generator for another purpose (weights, batches, samples) under the same seed, independent of the first. */
Rng rng_stream(uint64_t seed, uint64_t stream);

/** @brief 64 uniform bits. */
uint64_t rng_bits(Rng *rng);

/** @brief Uniform in [0, 1), a multiple of 2^-53. */
double rng_uniform(Rng *rng);

/** @brief Uniform integer in [0, bound), without bias; bound > 0. */
uint64_t rng_below(Rng *rng, uint64_t bound);

/** @brief Standard normal; each draw uses two uniforms (Box and Muller, the cosine half). */
double rng_normal(Rng *rng);

/** @brief Fills @p values with N(0, sigma^2) truncated at +-limit * sigma, by rejection. */
void rng_truncated_normal(Rng *rng, float *values, size_t count, double sigma, double limit);

CS336_API_END

#endif

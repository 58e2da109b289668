/**
 * @file
 * @brief Random numbers from a seed. The state of a generator is two integers.
 *
 * - The generator is counter-based: its n-th number is a hash of (seed, n). To save, restore or skip ahead is to copy
 *   or change the two integers.
 * - The same seed gives the same bits and uniform numbers on every machine. Normal numbers use log() and cos(), whose
 *   last bits may differ between mathematical libraries.
 * - One thread at a time may use a generator, so the number of threads does not change what is drawn.
 * @see Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
 */
#ifndef CS336_CORE_RNG_H
#define CS336_CORE_RNG_H

#include "core/api.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief A random generator. A copy of the struct draws the same numbers again. */
typedef struct {
    uint64_t seed;    /**< selects the sequence */
    uint64_t counter; /**< numbers drawn so far */
} Rng;

/** @brief Returns a generator at the start of the sequence of @p seed. */
Rng rng_seeded(uint64_t seed);

/** @brief Returns an independent generator for each @p stream (weights, batches, samples) under one seed. */
Rng rng_stream(uint64_t seed, uint64_t stream);

/** @brief Draws 64 random bits. */
uint64_t rng_bits(Rng *rng);

/** @brief Draws a uniform number in [0, 1), a multiple of 2^-53. */
double rng_uniform(Rng *rng);

/** @brief Draws an integer in [0, bound), each with the same probability; bound > 0. */
uint64_t rng_below(Rng *rng, uint64_t bound);

/** @brief Draws from N(0, 1) by the Box-Muller method: two uniform numbers for each draw, of which the cosine is used.
 */
double rng_normal(Rng *rng);

/**
 * @brief Fills @p values from N(0, sigma^2). Draws beyond +-limit * sigma are repeated (truncated normal).
 * @see normal_truncated(), which gives the same numbers sooner
 */
void rng_truncated_normal(Rng *rng, float *values, size_t count, double sigma, double limit);

CS336_API_END

#endif

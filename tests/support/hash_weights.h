/**
 * @file
 * @brief Test inputs from an integer hash. tests/tools/hash_weights.py makes the same bits, so fixtures hold outputs
 * only.
 *
 * - Number i of an array depends on the array's name, the seed and i only.
 * - bits(i) = mix(FNV-1a(name) + seed * GOLDEN + (i + 1) * GOLDEN), with SplitMix64's mix and GOLDEN.
 * - A near-normal number is the sum of the four 16-bit parts of bits(i), centred and scaled to the given deviation: it
 *   lies within 3.47 deviations. All steps are exact but two roundings, which IEEE 754 defines.
 */
#ifndef CS336_TESTS_SUPPORT_HASH_WEIGHTS_H
#define CS336_TESTS_SUPPORT_HASH_WEIGHTS_H

#include "core/parameter.h"
#include "core/tensor.h"

#include <stddef.h>
#include <stdint.h>

/** @brief Returns the 64 hash bits of number @p index. */
uint64_t hash_bits(const char *name, uint64_t seed, uint64_t index);

/** @brief Fills @p values with mean + sigma * near-normal. */
void hash_normal(float *values, size_t count, const char *name, uint64_t seed, double mean, double sigma);

/** @brief Fills @p values with integers in [0, bound). */
void hash_integers(int32_t *values, size_t count, const char *name, uint64_t seed, uint32_t bound);

/**
 * @brief Fills a contiguous weight of a model. Its state-dict name decides the distribution.
 *
 * Gains (names with "ln"): 1 + 0.1 n; "token_embeddings.weight": n; biases (rank 1): 0.1 n; others (d_out, d_in):
 * n * sqrt(2 / (d_in + d_out)), with n near-normal.
 */
void hash_weights(Tensor weight, const char *name, uint64_t seed);

/** @brief Calls hash_weights() for the value of every parameter. */
void hash_parameters(ParameterList parameters, uint64_t seed);

#endif

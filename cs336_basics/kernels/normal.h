/**
 * @file
 * @brief Many normal numbers at once: the same bytes as rng_truncated_normal(), by all threads and in vectors.
 *
 * A model of 162 million parameters draws as many numbers before its first step. With log() and cos() of the
 * mathematical library, one at a time, they take 6 seconds.
 */
#ifndef CS336_KERNELS_NORMAL_H
#define CS336_KERNELS_NORMAL_H

#include "core/api.h"
#include "core/rng.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Fills @p values with the numbers that rng_truncated_normal() gives, byte for byte, and leaves the generator at
 * the same counter, for any number of threads and any instruction set.
 */
void normal_truncated(Rng *rng, float *values, size_t count, double sigma, double limit);

enum { NORMAL_BLOCK = 1024 /**< numbers that one call of a kernel tries to draw; its buffers lie on the stack */ };

/** @brief What becomes of one try to draw a number. */
typedef enum {
    NORMAL_KEPT = 0,     /**< the number is what rng_truncated_normal() gives */
    NORMAL_REPEATED = 1, /**< it lies beyond the limit: rng_truncated_normal() draws again */
    NORMAL_UNSURE = 2    /**< the kernel's rounding errors may decide: compute it with rng_normal() */
} NormalFate;

/** @brief The kernels of one instruction set, for normal.c alone. */
typedef struct {
    /**
     * @brief Computes NORMAL_BLOCK tries, two random numbers for each.
     * @param[out] values  NORMAL_BLOCK numbers from N(0, sigma^2)
     * @param[out] fates   NORMAL_BLOCK values of NormalFate
     * @param[in]  rng     the generator before the first try
     */
    void (*try_block)(float *values, uint64_t *fates, const Rng *rng, double sigma, double limit);
} NormalKernels;

/** @brief The tables that kernels/normal_kernel.h defines. */
extern const NormalKernels normal_portable, /**< 2 numbers at a time, on any CPU */
    normal_avx2,                            /**< 4 numbers at a time */
    normal_avx512;                          /**< 8 numbers at a time */

CS336_INTERNAL_END

#endif

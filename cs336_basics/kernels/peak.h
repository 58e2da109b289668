/**
 * @file
 * @brief Measures the peak of the machine: how many floating-point operations a second (FLOP/s) all threads reach when
 * no memory is read.
 *
 * A fused multiply-add (FMA) counts two operations. No program with matrix products is faster, so the share of the peak
 * that a training reaches, its MFU, says how well it uses the machine (accounting/flops.h).
 */
#ifndef CS336_KERNELS_PEAK_H
#define CS336_KERNELS_PEAK_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief The operations whose peak is measured: those of vectors, or those that a matrix product of a type is made of.
 */
typedef enum {
    PEAK_FMA,     /**< fused multiply-adds of float32 vectors */
    PEAK_FLOAT32, /**< those of matmul(): FMA, or with AMX a sixth of the products of tiles */
    PEAK_BF16,    /**< those of matmul_bf16(): tiles, or pairs of bfloat16 numbers; FMA where the CPU has neither */
    PEAK_BF16X3   /**< those of matmul_bf16x3(): a third of the products of tiles, or FMA */
} PeakOf;

/**
 * @brief Runs @p steps steps of independent operations in registers on each of parallel_threads() threads, with the
 * instructions of isa_in_use(), and takes the CPU time of each thread. So other processes that use the same processors
 * do not make the peak look lower than it is.
 * @return FLOP/s of all threads together
 */
double peak_of_run(PeakOf what, size_t steps);

/** @brief Returns the highest peak_of_run() of a few short runs. It takes about 10 milliseconds, and at most 50. */
double peak_measure(PeakOf what);

/**
 * @brief Measures a product of 256 x 256 x 256 numbers in bfloat16 and in float32, on one thread, for some
 * milliseconds. Call matmul_reserve() before.
 * @return the time of matmul_bf16() divided by the time of matmul(); NaN if memory is exhausted
 */
double peak_time_of_bf16(void);

CS336_INTERNAL_END

#endif

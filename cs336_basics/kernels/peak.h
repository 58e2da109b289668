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

/**
 * @brief Runs @p steps steps of independent FMAs in registers on each of parallel_threads() threads, with the
 * instructions of isa_in_use(), and takes the CPU time of each thread. So other processes that use the same processors
 * do not make the peak look lower than it is.
 * @param bf16  true: pairs of bfloat16 numbers added to float32 sums, if isa_in_use() has instructions for them
 * @return FLOP/s of all threads together
 */
double peak_of_run(bool bf16, size_t steps);

/** @brief Returns the highest peak_of_run() of a few short runs. It takes about 10 milliseconds, and at most 50. */
double peak_measure(bool bf16);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief What the benchmarks share: a clock, the machine's limits measured in the same run, rows of one table.
 *
 * - Machines are shared and noisy: every figure is the best of several runs, and what is compared takes turns.
 * - K in the environment selects rows by part of their name.
 */
#ifndef CS336_TESTS_BENCH_H
#define CS336_TESTS_BENCH_H

#include <stddef.h>

/** @brief Seconds of a steady clock. */
double bench_now(void);

/** @brief Whether K selects the row of this name. */
int bench_selected(const char *name);

/** @brief Fused multiply-adds that all threads do in registers, once: billions of operations (two each) a second. */
double bench_fma_peak(void);

/** @brief Gigabytes a second at which all threads add up @p n floats of @p x, once. */
double bench_read_bandwidth(const float *x, size_t n);

/** @brief Random numbers in [-0.5, 0.5); exits when memory is exhausted. */
float *bench_numbers(size_t n);

/** @brief One row: what was measured, and the limit in the same unit. */
void bench_header(void);
void bench_row(const char *name, int threads, double rate, double limit, const char *unit);

#endif

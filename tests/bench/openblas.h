/**
 * @file
 * @brief OpenBLAS as a line peer (process.h): this program, run with `--peer openblas`, which loads the library.
 *
 * - CS336_OPENBLAS is the library's path; by default the loader looks for libopenblas by its usual names.
 * - "sgemm NT M N K" answers the seconds of one product (forms as in bench_matmul.c), "sgemv N K" those of W x, W (N,
 * K).
 */
#ifndef CS336_TESTS_BENCH_OPENBLAS_H
#define CS336_TESTS_BENCH_OPENBLAS_H

#include "tests/bench/process.h"

/** @brief OpenBLAS with the kernels that it chooses itself, with those for AVX-512, and with those for AVX2. */
extern BenchProcess openblas_default, openblas_avx512, openblas_avx2;

/** @brief The peer's side: answers until its input ends. Returns the exit code. */
int openblas_peer(void);

#endif

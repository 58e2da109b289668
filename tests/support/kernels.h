/**
 * @file
 * @brief What tests of kernels share: every instruction set in turn, a spoiled workspace, random numbers without end.
 */
#ifndef CS336_TESTS_SUPPORT_KERNELS_H
#define CS336_TESTS_SUPPORT_KERNELS_H

#include "kernels/isa.h"

#include <stddef.h>
#include <stdint.h>

/** @brief `FOR_EACH_ISA (isa) statement` runs the statement with each instruction set that this CPU has. */
#define FOR_EACH_ISA(isa)                                       \
    for (Isa isa = ISA_PORTABLE; isa <= ISA_AVX512_BF16; isa++) \
        if (!isa_choose(isa))                                   \
            continue;                                           \
        else

/** @brief Fills every thread's workspace, and that of all, with NaN: what earlier calls leave there must not matter. */
void spoil_workspace(void);

/** @brief The next of a sequence of random bits; the same in every run of a test. */
uint32_t random_bits(void);

/** @brief Uniform in 0 .. n - 1. */
size_t random_below(size_t n);

/** @brief @p n numbers uniform in [-1, 1). */
void random_fill(float *x, size_t n);

#endif

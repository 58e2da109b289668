/**
 * @file
 * @brief Helpers for tests of kernels: a loop over instruction sets, a workspace of NaN, random numbers.
 */
#ifndef CS336_TESTS_SUPPORT_KERNELS_H
#define CS336_TESTS_SUPPORT_KERNELS_H

#include "kernels/isa.h"

#include <stddef.h>
#include <stdint.h>

/** @brief `FOR_EACH_ISA (isa) statement` runs the statement with each instruction set that this CPU has. */
#define FOR_EACH_ISA(isa)                                        \
    for (Isa isa = ISA_PORTABLE; isa <= ISA_AMX_EMULATED; isa++) \
        if (!isa_choose(isa))                                    \
            continue;                                            \
        else

/** @brief Fills the private and the shared workspaces with NaN, because kernels must not read what calls left there. */
void spoil_workspace(void);

/** @brief Returns the next random bits of a sequence that is the same in every run of a test. */
uint32_t random_bits(void);

/** @brief Returns a random number, uniform in 0 .. n - 1. */
size_t random_below(size_t n);

/** @brief Writes @p n random numbers, uniform in [-1, 1). */
void random_fill(float *x, size_t n);

#endif

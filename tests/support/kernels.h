/**
 * @file
 * @brief Helpers for tests of kernels: loops over instruction sets, a workspace of NaN, random numbers.
 */
#ifndef CS336_TESTS_SUPPORT_KERNELS_H
#define CS336_TESTS_SUPPORT_KERNELS_H

#include "kernels/isa.h"

#include <stddef.h>
#include <stdint.h>

/**
 * @brief `FOR_EACH_ISA (isa) statement` runs the statement with each instruction set that this CPU has, and with the
 * twin of the matrix unit in plain C unless the build is instrumented: there the twin takes minutes, and the tests with
 * FOR_EACH_ISA_AND_TWIN run it.
 */
#define FOR_EACH_ISA(isa) FOR_EACH_ISA_UP_TO(isa, last_isa_of_tests())

/** @brief FOR_EACH_ISA with the twin in every build: for tests of small shapes that reach every line of its kernels. */
#define FOR_EACH_ISA_AND_TWIN(isa) FOR_EACH_ISA_UP_TO(isa, ISA_AMX_EMULATED)

/** @brief Returns ISA_AMX_EMULATED, the twin, or in an instrumented build the last that is no emulation. */
Isa last_isa_of_tests(void);

/** @brief The loop of both. */
#define FOR_EACH_ISA_UP_TO(isa, last)                  \
    for (Isa isa = ISA_PORTABLE; isa <= (last); isa++) \
        if (!isa_choose(isa))                          \
            continue;                                  \
        else

/** @brief What isa_name() calls the vectors that every CPU has. */
#if defined(__aarch64__)
#define PORTABLE_VECTORS "NEON"
#else
#define PORTABLE_VECTORS "portable vectors"
#endif

/** @brief Fills the private and the shared workspaces with NaN, because kernels must not read what calls left there. */
void spoil_workspace(void);

/** @brief Returns the next random bits of a sequence that is the same in every run of a test. */
uint32_t random_bits(void);

/** @brief Returns a random number, uniform in 0 .. n - 1. */
size_t random_below(size_t n);

/** @brief Writes @p n random numbers, uniform in [-1, 1). */
void random_fill(float *x, size_t n);

#endif

/**
 * @file
 * @brief Which vector instructions the kernels use in this process.
 *
 * - Each kernel is written once, with kernels/vector.h. isa_portable.c, isa_avx2.c, isa_avx512.c and isa_avx512_bf16.c
 *   compile it, each for its instruction set, into a table of functions; isa_in_use() picks the table at run time.
 * - AVX-512 with bfloat16 instructions differs from AVX-512 only in matmul_bf16(), which the others emulate.
 * - Portable vectors become SSE2 on x86-64 and NEON on ARM.
 * - The order of additions depends on the instruction set. Results are the same bytes with one instruction set, and
 *   agree up to rounding between two.
 */
#ifndef CS336_KERNELS_ISA_H
#define CS336_KERNELS_ISA_H

#include "core/api.h"
#include "core/status.h"

CS336_INTERNAL_BEGIN

typedef enum { ISA_PORTABLE, ISA_AVX2, ISA_AVX512, ISA_AVX512_BF16 } Isa;
enum { ISA_COUNT = 4 };

/**
 * @brief Returns the best instruction set of this CPU, unless CS336_ISA=avx512_bf16|avx512|avx2|portable asks for
 * another. The first call decides.
 */
Isa isa_in_use(void);

/** @brief Chooses another one from now on; returns false, without a change, if this CPU lacks it. For tests. */
int isa_choose(Isa isa);

/** @brief "AVX-512+BF16", "AVX-512", "AVX2+FMA" or "portable vectors". */
const char *isa_name(Isa isa);

/**
 * @brief Checks that CS336_ISA can be obeyed. If not, isa_in_use() returns the best one: a program that wants to warn
 * its user calls this function once.
 * @retval CS336_OK      CS336_ISA is unset, empty, or names an instruction set of this CPU
 * @retval CS336_ERANGE  it has another value, or this CPU lacks what it names
 */
CS336_MUST_CHECK Status isa_check_override(void);

/**
 * @brief Initialises an array of ISA_COUNT pointers to the tables of a kernel family: name_portable, name_avx2 and
 * name_avx512.
 */
#if defined(__x86_64__)
#define ISA_TABLES(name)                                                                             \
    {                                                                                                \
        [ISA_PORTABLE] = &name##_portable, [ISA_AVX2] = &name##_avx2, [ISA_AVX512] = &name##_avx512, \
        [ISA_AVX512_BF16] = &name##_avx512                                                           \
    }
#else
#define ISA_TABLES(name)                  \
    {                                     \
        [ISA_PORTABLE] = &name##_portable \
    }
#endif

CS336_INTERNAL_END

#endif

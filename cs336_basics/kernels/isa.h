/**
 * @file
 * @brief Which vector instructions the kernels use in this process.
 *
 * - Every kernel is one source on kernels/vector.h, compiled once for each instruction set by isa_portable.c,
 * isa_avx2.c and isa_avx512.c; a table of functions is picked by isa_in_use() when the program runs.
 * - AVX-512 with its bfloat16 instructions differs in matmul_bf16() alone, which elsewhere is emulated.
 * - Portable vectors become SSE2 on x86-64 and NEON on ARM.
 * - Each instruction set adds in an order of its own: results agree to rounding between them, to the byte within one.
 */
#ifndef CS336_KERNELS_ISA_H
#define CS336_KERNELS_ISA_H

#include "core/status.h"

typedef enum { ISA_PORTABLE, ISA_AVX2, ISA_AVX512, ISA_AVX512_BF16 } Isa;
enum { ISA_COUNT = 4 };

/** @brief The best that this CPU offers, unless CS336_ISA=avx512_bf16|avx512|avx2|portable asks for another. Decided
 * once. */
Isa isa_in_use(void);

/** @brief Chooses another one from now on; false, and no change, when this CPU does not have it. For tests. */
int isa_choose(Isa isa);

/** @brief "AVX-512+BF16", "AVX-512", "AVX2+FMA" or "portable vectors". */
const char *isa_name(Isa isa);

/**
 * @brief Whether CS336_ISA can be obeyed. If it cannot, isa_in_use() is the best one all the same: a program that
 * wants to tell its user asks here once.
 * @retval CS336_OK      CS336_ISA is unset, empty, or names an instruction set of this CPU
 * @retval CS336_ERANGE  it has another value, or this CPU lacks what it names
 */
CS336_MUST_CHECK Status isa_check_override(void);

/** @brief Initialises an array of ISA_COUNT pointers to a module's tables, name_portable, name_avx2 and name_avx512. */
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

#endif

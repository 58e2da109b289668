/**
 * @file
 * @brief Which vector instructions the kernels use in this process.
 *
 * - Each kernel is written once, with kernels/vector.h. isa_portable.c, isa_avx2.c, isa_avx512.c and isa_avx512_bf16.c
 *   compile it, each for its instruction set, into a table of functions; isa_in_use() picks the table at run time.
 * - AVX-512 with bfloat16 instructions differs from AVX-512 only in matmul_bf16(), which the others emulate.
 * - AMX is the matrix unit of Intel's CPUs, beside AVX-512. Kernels with tiles (kernels/tile.h) use it; the others are
 *   those of AVX-512. Emulated AMX runs the same kernels on every CPU, with a twin of the unit in plain C, slowly: for
 *   tests. Its other kernels are the portable ones, because every CPU has them.
 * - Portable vectors become SSE2 on x86-64 and NEON on ARM.
 * - The order of additions depends on the instruction set. Results are the same bytes with one instruction set, and
 *   agree up to rounding between two.
 */
#ifndef CS336_KERNELS_ISA_H
#define CS336_KERNELS_ISA_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief An instruction set, from the narrowest to the widest. A CPU that has one has those before it. */
typedef enum {
    ISA_PORTABLE,    /**< vectors of 4 floats, which every compiler knows: SSE2 or NEON */
    ISA_AVX2,        /**< vectors of 8 floats, with fused multiply-add */
    ISA_AVX512,      /**< vectors of 16 floats */
    ISA_AVX512_BF16, /**< the same, with products of bfloat16 pairs in one instruction */
    ISA_AMX,         /**< the same, with products of tiles of bfloat16 pairs: the matrix unit */
    ISA_AMX_EMULATED /**< tiles in plain C, everything else portable; every CPU has it, and it is never the best */
} Isa;
enum { ISA_COUNT = 6 /**< values of Isa: the length of an array that has an entry for each */ };

/**
 * @brief Returns the best instruction set of this CPU, unless CS336_ISA=amx|avx512_bf16|avx512|avx2|portable or
 * CS336_ISA=amx-emulated asks for another. The first call decides for the rest of the process. It also asks the kernel
 * for the matrix unit, so it comes before threads start.
 */
Isa isa_in_use(void);

/**
 * @brief Sets the instruction set that isa_in_use() returns from now on. Tests compare the instruction sets with it.
 * @return false, without a change, if this CPU lacks it
 */
bool isa_choose(Isa isa);

/**
 * @brief Returns "AMX", "AVX-512+BF16", "AVX-512", "AVX2+FMA", "portable vectors" or "emulated AMX". On ARM the
 * portable vectors are "NEON".
 */
const char *isa_name(Isa isa);

/** @brief True if the CPU has a matrix unit which kernel or hypervisor do not let this process use (tile_unit.h). */
bool isa_matrix_unit_is_refused(void);

/**
 * @brief Checks that CS336_ISA can be obeyed. If not, isa_in_use() silently returns the best instruction set; a program
 * calls this function once to warn its user.
 * @retval CS336_OK      CS336_ISA is unset, empty, or names an instruction set of this CPU
 * @retval CS336_ERANGE  it has another value, or this CPU lacks what it names
 */
CS336_MUST_CHECK Status isa_check_override(void);

/**
 * @brief Initialises an array of ISA_COUNT pointers to the tables of a kernel family: name_portable, name_avx2 and
 * name_avx512.
 */
#if defined(__x86_64__)
#define ISA_TABLES(name)                                                                                      \
    {                                                                                                         \
        [ISA_PORTABLE] = &name##_portable, [ISA_AVX2] = &name##_avx2, [ISA_AVX512] = &name##_avx512,          \
        [ISA_AVX512_BF16] = &name##_avx512, [ISA_AMX] = &name##_avx512, [ISA_AMX_EMULATED] = &name##_portable \
    }
#else
#define ISA_TABLES(name)                                                         \
    {                                                                            \
        [ISA_PORTABLE] = &name##_portable, [ISA_AMX_EMULATED] = &name##_portable \
    }
#endif

CS336_INTERNAL_END

#endif

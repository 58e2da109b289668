/**
 * @file
 * @brief Which vector instructions the kernels use in this process.
 */
#ifndef CS336_KERNELS_ISA_H
#define CS336_KERNELS_ISA_H

typedef enum { ISA_PORTABLE, ISA_AVX2, ISA_AVX512 } Isa;

/** @brief The best that this CPU offers, unless CS336_ISA=avx512|avx2|portable asks for less. Decided once. */
Isa isa_in_use(void);

/** @brief Chooses another one from now on; false, and no change, when this CPU does not have it. For tests. */
int isa_choose(Isa isa);

/** @brief "AVX-512", "AVX2+FMA" or "portable vectors". */
const char *isa_name(Isa isa);

#endif

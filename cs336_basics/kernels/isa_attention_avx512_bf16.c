/* bfloat16 attention for AVX-512 with BF16 instructions; the Makefile gives this file the flags. */
#if defined(__x86_64__)
#define VECTOR_FLOATS 16
#define KERNEL(name) name##_avx512_bf16
#define WITHOUT_TILES(name) name##_avx512 /* the same function in the same vectors */

#include "kernels/attention_tile_kernel.h"
#else
typedef int nothing_here;
#endif

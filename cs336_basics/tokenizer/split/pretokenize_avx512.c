/* The scanner of pre-tokens for AVX-512; the Makefile gives this file the flags. */
#if defined(__x86_64__)
#define VECTOR_FLOATS 16
#define KERNEL(name) name##_avx512

#include "tokenizer/split/pretokenize_kernel.h"
#else
typedef int nothing_here;
#endif

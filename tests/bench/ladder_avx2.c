/* The ladder for AVX2 and FMA. The Makefile compiles this file with the flags for them. */
#if defined(__x86_64__)
#define VECTOR_FLOATS 8
#define KERNEL(name) name##_avx2

#include "tests/bench/ladder_steps.h"
#else
typedef int nothing_here;
#endif

/* The ladder's vectors for AVX2 and FMA; the Makefile gives this file the flags. */
#if defined(__x86_64__)
#define VECTOR_FLOATS 8
#define KERNEL(name) name##_avx2

#include "tests/bench/ladder_steps.h"
#else
typedef int nothing_here;
#endif

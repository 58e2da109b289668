/* The kernels for AVX2 and FMA; the Makefile gives this file the flags. */
#if defined(__x86_64__)
#define VECTOR_FLOATS 8
#define KERNEL(name) name##_avx2

#include "kernels/attention_kernel.h"
#include "kernels/bytes_kernel.h"
#include "kernels/matmul_kernel.h"
#include "kernels/normal_kernel.h"
#include "kernels/vecmath_kernel.h"
#else
typedef int nothing_here;
#endif

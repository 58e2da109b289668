/* The kernels in portable vectors: SSE2 on x86-64, NEON on ARM. */
#define VECTOR_FLOATS 4
#define KERNEL(name) name##_portable

#include "kernels/attention_kernel.h"
#include "kernels/bytes_kernel.h"
#include "kernels/matmul_kernel.h"
#include "kernels/normal_kernel.h"
#include "kernels/vecmath_kernel.h"

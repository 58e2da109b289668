/* The matrix products for AMX with the twin of its unit, in portable vectors: for tests, on every CPU. */
#define VECTOR_FLOATS 4
#define KERNEL(name) name##_amx_emulated

#include "kernels/matmul_tile_kernel.h"

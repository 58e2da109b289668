/* Matrix products and attention for AMX with the twin of its unit, in portable vectors: for tests, on every CPU. */
#define VECTOR_FLOATS 4
#define KERNEL(name) name##_amx_emulated
#define WITHOUT_TILES(name) name##_portable /* the same function in the same vectors */

#include "kernels/attention_tile_kernel.h"
#include "kernels/matmul_tile_kernel.h"

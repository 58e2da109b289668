#include "tests/support/kernels.h"

#include "core/parallel.h"
#include "tests/support/allclose.h"

#include <string.h>

enum { SPOILED_BYTES = 2 << 20 }; /* 2 MiB: more than attention needs for heads of 100 numbers */

void spoil_workspace(void)
{
    assert_ok(parallel_reserve(SPOILED_BYTES, SPOILED_BYTES));
    const ParallelWorkspace *workspace = parallel_workspace();
    memset(parallel_shared(workspace), 0xff, SPOILED_BYTES);
#pragma omp parallel for schedule(static) num_threads(parallel_threads())
    for (int thread = 0; thread < parallel_threads(); thread++)
        memset(parallel_private(workspace), 0xff, SPOILED_BYTES);
}

static uint32_t state = 1;

uint32_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

size_t random_below(size_t n)
{
    return (size_t)random_bits() % n;
}

void random_fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int32_t)random_bits() * 0x1p-31f;
}

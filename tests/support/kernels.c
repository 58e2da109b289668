#include "tests/support/kernels.h"

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

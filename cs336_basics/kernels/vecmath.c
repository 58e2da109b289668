#include "kernels/vecmath.h"

#include "kernels/isa.h"
#include "kernels/vecmath_table.h"

static const VecmathTable *const tables[ISA_COUNT] = {
    [ISA_PORTABLE] = &vecmath_portable,
#if defined(__x86_64__)
    [ISA_AVX2] = &vecmath_avx2,
    [ISA_AVX512] = &vecmath_avx512,
    [ISA_AVX512_BF16] = &vecmath_avx512,
#endif
};

void vec_exp(float *y, const float *x, size_t n)
{
    tables[isa_in_use()]->exp(y, x, n);
}

float vec_exp_shifted(float *y, const float *x, float shift, size_t n)
{
    return tables[isa_in_use()]->exp_shifted(y, x, shift, n);
}

void vec_sigmoid(float *y, const float *x, size_t n)
{
    tables[isa_in_use()]->sigmoid(y, x, n);
}

float vec_sum(const float *x, size_t n)
{
    return tables[isa_in_use()]->sum(x, n);
}

float vec_max(const float *x, size_t n)
{
    return tables[isa_in_use()]->max(x, n);
}

float vec_dot(const float *x, const float *y, size_t n)
{
    return tables[isa_in_use()]->dot(x, y, n);
}

void vec_scale(float *y, float a, const float *x, size_t n)
{
    tables[isa_in_use()]->scale(y, a, x, n);
}

void vec_axpy(float *y, float a, const float *x, size_t n)
{
    tables[isa_in_use()]->axpy(y, a, x, n);
}

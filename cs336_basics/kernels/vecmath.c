#include "kernels/vecmath.h"

#include "kernels/isa.h"
#include "kernels/vecmath_table.h"

static const VecmathTable *const tables[ISA_COUNT] = ISA_TABLES(vecmath);

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

void vec_swiglu(float *hidden, const float *up, const float *gate, size_t n)
{
    tables[isa_in_use()]->swiglu(hidden, up, gate, n);
}

void vec_swiglu_backward(float *up, float *gate, float *hidden, size_t n)
{
    tables[isa_in_use()]->swiglu_backward(up, gate, hidden, n);
}

void vec_scale_each(float *y, float a, const float *x, const float *factor, size_t n)
{
    tables[isa_in_use()]->scale_each(y, a, x, factor, n);
}

void vec_rmsnorm_backward(float *grad_x, bool add, float *grad_gain, const float *grad_y, const float *x,
                          const float *gain, float inverse_rms, size_t n)
{
    tables[isa_in_use()]->rmsnorm_backward(grad_x, add, grad_gain, grad_y, x, gain, inverse_rms, n);
}

void vec_rotate(float *y, ptrdiff_t y_step, const float *x, ptrdiff_t x_step, size_t rows, const float *cosine,
                const float *sine, float direction, size_t pairs)
{
    tables[isa_in_use()]->rotate(y, y_step, x, x_step, rows, cosine, sine, direction, pairs);
}

void vec_adamw(float *value, float *first, float *second, float *grad, const AdamWScalars *c, size_t n)
{
    tables[isa_in_use()]->adamw(value, first, second, grad, c, n);
}

#include "optim/clip.h"

#include "kernels/vecmath.h"
#include "optim/check.h"

#include <math.h>

/* A tensor is cut into this many parts whatever the number of threads, so that the sum is always the same. */
enum { PARTS = 64 };

static double sum_of_squares_part(const float *x, size_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static double sum_of_squares(Tensor grad)
{
    const size_t count = tensor_count(grad), each = (count + PARTS - 1) / PARTS;
    double part[PARTS], sum = 0;
#pragma omp parallel for if (count > OPTIM_BLOCK)
    for (size_t p = 0; p < PARTS; p++) {
        const size_t start = p * each < count ? p * each : count, left = count - start;
        part[p] = sum_of_squares_part(grad.data + start, left < each ? left : each);
    }
    for (size_t p = 0; p < PARTS; p++)
        sum += part[p];
    return sum;
}

static void scale(Tensor grad, float factor)
{
    const VecmathKernels *vec = vecmath();
    const size_t count = tensor_count(grad);
#pragma omp parallel for if (count > OPTIM_BLOCK)
    for (size_t start = 0; start < count; start += OPTIM_BLOCK)
        vec->scale(grad.data + start, factor, grad.data + start,
                   count - start < OPTIM_BLOCK ? count - start : OPTIM_BLOCK);
}

static Status norm_of(double *norm, const char *function, ParameterList parameters)
{
    double sum = 0;
    const Status s = optim_check(function, parameters, false);
    for (size_t i = 0; !s && i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            sum += sum_of_squares(parameters.items[i].grad);
    *norm = sqrt(sum);
    return s;
}

Status gradient_norm(double *norm, ParameterList parameters)
{
    return norm_of(norm, "gradient_norm", parameters);
}

double clip_factor(double norm, double max_norm)
{
    return norm > max_norm ? max_norm / (norm + 1e-6) : 1;
}

Status clip_gradients(double *norm, ParameterList parameters, double max_norm)
{
    double total;
    /* Infinity is fine: it measures and never clips. */
    if (!(max_norm >= 0))
        return status_fail(CS336_ERANGE, "clip_gradients: max_norm is %g, expected at least 0", max_norm);
    const Status s = norm_of(&total, "clip_gradients", parameters);
    if (s)
        return s;
    if (norm)
        *norm = total;
    if (total > max_norm)
        for (size_t i = 0; i < parameters.count; i++)
            if (parameters.items[i].grad.data)
                scale(parameters.items[i].grad, (float)clip_factor(total, max_norm));
    return CS336_OK;
}

#include "optim/clip.h"

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
    const size_t count = tensor_count(grad);
    float *x = grad.data;
#pragma omp parallel for if (count > OPTIM_BLOCK)
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

Status clip_gradients(double *norm, ParameterList parameters, double max_norm)
{
    /* Infinity is fine: it measures and never clips. */
    if (!(max_norm >= 0))
        return status_fail(CS336_ERANGE, "clip_gradients: max_norm is %g, expected at least 0", max_norm);
    Status s = optim_check("clip_gradients", parameters, false);
    if (s)
        return s;
    double sum = 0;
    for (size_t i = 0; i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            sum += sum_of_squares(parameters.items[i].grad);
    const double total = sqrt(sum);
    if (norm)
        *norm = total;
    if (total > max_norm)
        for (size_t i = 0; i < parameters.count; i++)
            if (parameters.items[i].grad.data)
                scale(parameters.items[i].grad, (float)(max_norm / (total + 1e-6)));
    return CS336_OK;
}

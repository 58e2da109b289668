#include "optim/clip.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "optim/check.h"

#include <math.h>

static void scale(Tensor grad, float factor)
{
    const VecmathKernels *vec = vecmath();
    const size_t count = tensor_count(grad);
#pragma omp parallel for num_threads(parallel_threads_for(count))
    for (size_t first = 0; first < count; first += OPTIM_CHUNK)
        vec->scale(grad.data + first, factor, grad.data + first,
                   count - first < OPTIM_CHUNK ? count - first : OPTIM_CHUNK);
}

/* Checks the parameters, and computes the norm of all their gradients together. */
static Status norm_of(double *norm, const char *function, ParameterList parameters)
{
    double sum = 0;
    const Status s = optim_check(function, parameters, false);
    for (size_t i = 0; !s && i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            sum += tensor_sum_of_squares(parameters.items[i].grad);
    *norm = sqrt(sum);
    return s;
}

Status gradient_norm(double *norm, ParameterList parameters)
{
    return norm_of(norm, __func__, parameters);
}

double clip_factor(double norm, double max_norm)
{
    return norm > max_norm ? max_norm / (norm + 1e-6) : 1;
}

Status clip_gradients(double *norm, ParameterList parameters, double max_norm)
{
    double total;
    /* An infinite max_norm is allowed: the norm is measured and nothing is clipped. */
    if (!(max_norm >= 0))
        return status_fail(CS336_ERANGE, "%s: max_norm is %g, expected at least 0", __func__, max_norm);
    /* Measure, then scale if the norm is too large. */
    const Status s = norm_of(&total, __func__, parameters);
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

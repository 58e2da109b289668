/* Gradient clipping: all gradients together are one long vector; if it is longer than max_norm, scale it down. */
#include "optim/clip.h"

#include "optim/check.h"
#include "tests/exercises/learn.h"

#include <math.h>

/* sqrt(sum of g^2) over all gradients. In double: the squares of large floats would overflow. */
static double norm_of(ParameterList parameters)
{
    double sum = 0;
    for (size_t p = 0; p < parameters.count; p++) {
        const Tensor grad = parameters.items[p].grad;
        for (size_t i = 0; grad.data && i < tensor_count(grad); i++)
            sum += (double)grad.data[i] * (double)grad.data[i];
    }
    return sqrt(sum);
}

Status gradient_norm(double *norm, ParameterList parameters)
{
    const Status s = optim_check("gradient_norm", parameters, false);
    if (!s)
        *norm = norm_of(parameters);
    return s;
}

double clip_factor(double norm, double max_norm)
{
    return norm > max_norm ? max_norm / (norm + 1e-6) : 1;
}

Status clip_gradients(double *norm, ParameterList parameters, double max_norm)
{
    if (!(max_norm >= 0))
        return status_fail(CS336_ERANGE, "clip_gradients: max_norm is %g, expected at least 0", max_norm);
    const Status s = optim_check("clip_gradients", parameters, false);
    if (s)
        return s;

    const double total = norm_of(parameters);
    if (norm)
        *norm = total;

    /* g *= max_norm / (norm + 1e-6), only if the norm is too large */
    if (total > max_norm)
        for (size_t p = 0; p < parameters.count; p++) {
            const Tensor grad = parameters.items[p].grad;
            for (size_t i = 0; grad.data && i < tensor_count(grad); i++)
                grad.data[i] *= (float)clip_factor(total, max_norm);
        }
    return CS336_OK;
}

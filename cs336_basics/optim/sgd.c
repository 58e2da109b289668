#include "optim/sgd.h"

#include "optim/check.h"

#include <math.h>

Status sgd_step(ParameterList parameters, size_t step, double lr)
{
    Status s = optim_check_rate(__func__, "lr", lr);
    if (!s)
        s = optim_check(__func__, parameters, false);
    if (s)
        return s;
    /* theta -= rate g, for each parameter that has a gradient */
    const float rate = (float)(lr / sqrt((double)step + 1));
    for (size_t p = 0; p < parameters.count; p++) {
        const Parameter *parameter = &parameters.items[p];
        if (!parameter->grad.data)
            continue;
        const size_t count = tensor_count(parameter->value);
        float *value = parameter->value.data;
        const float *grad = parameter->grad.data;
        for (size_t i = 0; i < count; i++)
            value[i] -= rate * grad[i];
    }
    return CS336_OK;
}

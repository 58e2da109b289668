/* SGD: value -= lr / sqrt(t + 1) * gradient. */
#include "optim/sgd.h"

#include "optim/check.h"
#include "tests/exercises/learn.h"

#include <math.h>

Status sgd_step(ParameterList parameters, size_t step, double lr)
{
    Status s = optim_check_rate("sgd_step", "lr", lr);
    if (!s)
        s = optim_check("sgd_step", parameters, false);
    if (s)
        return s;

    const float rate = (float)(lr / sqrt((double)step + 1));
    for (size_t p = 0; p < parameters.count; p++) {
        const Parameter *parameter = &parameters.items[p];
        if (!parameter->grad.data)
            continue; /* frozen */
        for (size_t i = 0; i < tensor_count(parameter->value); i++)
            parameter->value.data[i] -= rate * parameter->grad.data[i];
    }
    return CS336_OK;
}

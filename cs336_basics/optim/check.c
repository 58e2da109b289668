#include "optim/check.h"

#include <math.h>

static Status check_tensor(const char *function, const Parameter *parameter, const char *name, Tensor t)
{
    if (!t.data)
        return status_fail(CS336_ESHAPE, "%s: %s has no %s", function, parameter->name, name);
    if (!tensor_same_shape(t, parameter->value))
        return status_fail(CS336_ESHAPE, "%s: %s of %s is %s, value is %s", function, name, parameter->name,
                           tensor_shape_text(t), tensor_shape_text(parameter->value));
    if (!tensor_contiguous(t))
        return status_fail(CS336_ESHAPE, "%s: %s of %s is not contiguous", function, name, parameter->name);
    return CS336_OK;
}

Status optim_check(const char *function, ParameterList parameters, bool moments)
{
    Status s = CS336_OK;
    for (size_t i = 0; i < parameters.count && !s; i++) {
        const Parameter *parameter = &parameters.items[i];
        if (!parameter->grad.data)
            continue;
        s = check_tensor(function, parameter, "value", parameter->value);
        if (!s)
            s = check_tensor(function, parameter, "gradient", parameter->grad);
        if (!s && moments)
            s = check_tensor(function, parameter, "first moment", parameter->first_moment);
        if (!s && moments)
            s = check_tensor(function, parameter, "second moment", parameter->second_moment);
    }
    return s;
}

Status optim_check_rate(const char *function, const char *name, double rate)
{
    if (isfinite(rate) && rate >= 0)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %s is %g, expected a finite number of at least 0", function, name, rate);
}

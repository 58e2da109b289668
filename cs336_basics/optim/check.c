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
    for (size_t i = 0; i < parameters.count; i++) {
        const Parameter *p = &parameters.items[i];
        if (p->grad.data &&
            (check_tensor(function, p, "value", p->value) || check_tensor(function, p, "gradient", p->grad)))
            return CS336_ESHAPE;
        if (p->grad.data && moments &&
            (check_tensor(function, p, "first moment", p->first_moment) ||
             check_tensor(function, p, "second moment", p->second_moment)))
            return CS336_ESHAPE;
    }
    return CS336_OK;
}

Status optim_check_rate(const char *function, const char *name, double rate)
{
    if (isfinite(rate) && rate >= 0)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %s is %g, expected a finite number of at least 0", function, name, rate);
}

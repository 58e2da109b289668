#include "core/parameter.h"

void parameters_zero_grad(ParameterList parameters)
{
    for (size_t i = 0; i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            tensor_fill(parameters.items[i].grad, 0);
}

/*
 * AdamW, in PyTorch's order. For each number theta with gradient g:
 *
 *     theta -= lr lambda theta                                    weight decay, on the parameter itself
 *     m = beta1 m + (1 - beta1) g                                 running average of the gradient
 *     v = beta2 v + (1 - beta2) g^2                               and of its square
 *     theta -= lr m^ / (sqrt(v^) + eps)
 *
 * The moments begin at 0, so they are too small at first: m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t) are not.
 */
#include "optim/adamw.h"

#include "optim/check.h"
#include "tests/exercises/learn.h"

#include <math.h>

static Status check(ParameterList parameters, size_t step, const AdamWConfig *config)
{
    if (step == 0)
        return status_fail(CS336_ERANGE, "adamw_step: step is 0, the first is 1");
    if (!(config->beta1 >= 0 && config->beta1 < 1))
        return status_fail(CS336_ERANGE, "adamw_step: beta1 is %g, expected at least 0 and below 1", config->beta1);
    if (!(config->beta2 >= 0 && config->beta2 < 1))
        return status_fail(CS336_ERANGE, "adamw_step: beta2 is %g, expected at least 0 and below 1", config->beta2);
    Status s = optim_check_rate("adamw_step", "lr", config->lr);
    if (!s)
        s = optim_check_rate("adamw_step", "eps", config->eps);
    if (!s)
        s = optim_check_rate("adamw_step", "weight_decay", config->weight_decay);
    return s ? s : optim_check("adamw_step", parameters, true);
}

Status adamw_step(ParameterList parameters, size_t step, const AdamWConfig *config)
{
    const Status s = check(parameters, step, config);
    if (s)
        return s;

    const float lr = (float)config->lr, eps = (float)config->eps;
    const float beta1 = (float)config->beta1, beta2 = (float)config->beta2;
    const float rate1 = (float)(1 - config->beta1), rate2 = (float)(1 - config->beta2);
    const float correction1 = (float)(1 - pow(config->beta1, (double)step));
    const float correction2 = (float)(1 - pow(config->beta2, (double)step));

    for (size_t p = 0; p < parameters.count; p++) {
        const Parameter *parameter = &parameters.items[p];
        if (!parameter->grad.data)
            continue; /* frozen */
        const float lambda = parameter->no_decay ? 0 : (float)config->weight_decay;
        float *theta = parameter->value.data, *m = parameter->first_moment.data, *v = parameter->second_moment.data;
        for (size_t i = 0; i < tensor_count(parameter->value); i++) {
            const float g = parameter->grad.data[i];
            theta[i] -= lr * lambda * theta[i];
            m[i] = beta1 * m[i] + rate1 * g;
            v[i] = beta2 * v[i] + rate2 * g * g;
            theta[i] -= lr * (m[i] / correction1) / (sqrtf(v[i] / correction2) + eps);
        }
    }
    return CS336_OK;
}

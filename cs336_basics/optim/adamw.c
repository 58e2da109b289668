#include "optim/adamw.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "optim/check.h"

#include <math.h>

static Status check_beta(const char *function, const char *name, double beta)
{
    if (beta >= 0 && beta < 1)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %s is %g, expected at least 0 and below 1", function, name, beta);
}

static Status check_config(const char *function, size_t step, const AdamWConfig *config)
{
    if (step == 0)
        return status_fail(CS336_ERANGE, "%s: step is 0, the first is 1", function);
    if (optim_check_rate(function, "lr", config->lr) || check_beta(function, "beta1", config->beta1) ||
        check_beta(function, "beta2", config->beta2) || optim_check_rate(function, "eps", config->eps) ||
        optim_check_rate(function, "weight_decay", config->weight_decay))
        return CS336_ERANGE;
    return CS336_OK;
}

/* Computes in double what is the same for all numbers of a step. */
static AdamWScalars scalars_of(size_t step, const AdamWConfig *config)
{
    /* The moments start at 0. Dividing them by these factors corrects their bias towards 0. */
    const double correction1 = 1 - pow(config->beta1, (double)step), correction2 = 1 - pow(config->beta2, (double)step);
    return (AdamWScalars){
        .grad_factor = 1,
        .decay = (float)(1 - config->lr * config->weight_decay),
        .rate1 = (float)(1 - config->beta1),
        .beta2 = (float)config->beta2,
        .rate2 = (float)(1 - config->beta2),
        .step_size = (float)(config->lr / correction1),
        .second_correction = (float)sqrt(correction2),
        .eps = (float)config->eps,
    };
}

/* Updates one parameter, chunk by chunk. */
static void update(const Parameter *parameter, const AdamWScalars *scalars_of_step)
{
    AdamWScalars scalars = *scalars_of_step;
    if (parameter->no_decay)
        scalars.decay = 1;
    const VecmathKernels *vec = vecmath();
    const size_t count = tensor_count(parameter->value);
#pragma omp parallel for num_threads(parallel_threads_for(count))
    for (size_t first = 0; first < count; first += OPTIM_CHUNK)
        vec->adamw(parameter->value.data + first, parameter->first_moment.data + first,
                   parameter->second_moment.data + first, parameter->grad.data + first, &scalars,
                   count - first < OPTIM_CHUNK ? count - first : OPTIM_CHUNK);
}

/* Takes the step of the public functions. They differ in grad_factor and in clear: see AdamWScalars. */
static Status take_step(const char *function, ParameterList parameters, double grad_factor, bool clear, size_t step,
                        const AdamWConfig *config)
{
    /* Check everything before anything is changed. */
    Status s = check_config(function, step, config);
    if (!s)
        s = optim_check_rate(function, "grad_factor", grad_factor);
    if (!s)
        s = optim_check(function, parameters, true);
    if (s)
        return s;
    /* Update each parameter that has a gradient. */
    AdamWScalars scalars = scalars_of(step, config);
    scalars.grad_factor = (float)grad_factor;
    scalars.clear = clear;
    for (size_t i = 0; i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            update(&parameters.items[i], &scalars);
    return CS336_OK;
}

Status adamw_step(ParameterList parameters, size_t step, const AdamWConfig *config)
{
    return take_step(__func__, parameters, 1, false, step, config);
}

Status adamw_step_scaled(ParameterList parameters, double grad_factor, size_t step, const AdamWConfig *config)
{
    return take_step(__func__, parameters, grad_factor, false, step, config);
}

Status adamw_step_and_clear(ParameterList parameters, double grad_factor, size_t step, const AdamWConfig *config)
{
    return take_step(__func__, parameters, grad_factor, true, step, config);
}

#include "optim/adamw.h"

#include "optim/check.h"

#include <float.h>
#include <math.h>

/* The step's scalars: computed in double, applied in float32, as PyTorch does. */
typedef struct {
    float decay;             /* 1 - lr * weight_decay */
    float rate1;             /* 1 - beta1 */
    float beta2, rate2;      /* beta2, 1 - beta2 */
    float step_size;         /* lr / (1 - beta1^t) */
    float second_correction; /* sqrt(1 - beta2^t) */
    float eps;
} AdamWScalars;

static Status check_beta(const char *name, double beta)
{
    if (beta >= 0 && beta < 1)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "adamw_step: %s is %g, expected at least 0 and below 1", name, beta);
}

static Status check_config(size_t step, const AdamWConfig *config)
{
    if (step == 0)
        return status_fail(CS336_ERANGE, "adamw_step: step is 0, the first is 1");
    Status s = optim_check_rate("adamw_step", "lr", config->lr);
    if (!s)
        s = check_beta("beta1", config->beta1);
    if (!s)
        s = check_beta("beta2", config->beta2);
    if (!s)
        s = optim_check_rate("adamw_step", "eps", config->eps);
    if (!s)
        s = optim_check_rate("adamw_step", "weight_decay", config->weight_decay);
    return s;
}

static AdamWScalars scalars_of(size_t step, const AdamWConfig *config)
{
    const double correction1 = 1 - pow(config->beta1, (double)step), correction2 = 1 - pow(config->beta2, (double)step);
    return (AdamWScalars){
        .decay = (float)(1 - config->lr * config->weight_decay),
        .rate1 = (float)(1 - config->beta1),
        .beta2 = (float)config->beta2,
        .rate2 = (float)(1 - config->beta2),
        .step_size = (float)(config->lr / correction1),
        .second_correction = (float)sqrt(correction2),
        .eps = (float)config->eps,
    };
}

/*
 * A first moment without fresh gradient, such as that of a rare token's embedding, decays into the subnormal numbers,
 * sticks there and makes every later step many times slower; it moves nothing any more and becomes 0.
 */
static void update_block(float *restrict value, float *restrict first, float *restrict second,
                         const float *restrict grad, size_t count, AdamWScalars c)
{
    for (size_t i = 0; i < count; i++) {
        const float g = grad[i];
        const float m = first[i] + (g - first[i]) * c.rate1;
        const float v = second[i] * c.beta2 + c.rate2 * g * g;
        const float denominator = sqrtf(v) / c.second_correction + c.eps;
        value[i] = value[i] * c.decay - c.step_size * m / denominator;
        first[i] = fabsf(m) < FLT_MIN ? 0 : m;
        second[i] = v;
    }
}

static void update(const Parameter *parameter, AdamWScalars scalars)
{
    const size_t count = tensor_count(parameter->value);
#pragma omp parallel for if (count > OPTIM_BLOCK)
    for (size_t start = 0; start < count; start += OPTIM_BLOCK) {
        const size_t length = count - start < OPTIM_BLOCK ? count - start : OPTIM_BLOCK;
        update_block(parameter->value.data + start, parameter->first_moment.data + start,
                     parameter->second_moment.data + start, parameter->grad.data + start, length, scalars);
    }
}

Status adamw_step(ParameterList parameters, size_t step, const AdamWConfig *config)
{
    Status s = check_config(step, config);
    if (!s)
        s = optim_check("adamw_step", parameters, true);
    if (s)
        return s;
    const AdamWScalars scalars = scalars_of(step, config);
    for (size_t i = 0; i < parameters.count; i++)
        if (parameters.items[i].grad.data)
            update(&parameters.items[i], scalars);
    return CS336_OK;
}

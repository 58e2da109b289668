/* The figure of section 6.7: the learning rate's schedule as a curve. */
#include "live.h"

#include "optim/schedule.h"

/* rates (n): the learning rates of the steps (n) */
LIVE live_schedule(double *rates, const int32_t *steps, int n, double max_lr, double min_lr, int warmup_steps,
                   int decay_steps)
{
    const CosineSchedule schedule = {
        .max_lr = max_lr, .min_lr = min_lr, .warmup_steps = (size_t)warmup_steps, .decay_steps = (size_t)decay_steps};
    for (int i = 0; i < n; i++)
        rates[i] = cosine_schedule_lr(&schedule, (size_t)steps[i]);
    return CS336_OK;
}

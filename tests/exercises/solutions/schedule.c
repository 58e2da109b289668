/* Learning-rate schedule: a straight line up to the maximum, half a cosine down to the minimum, then constant. */
#include "optim/schedule.h"

#include <math.h>

double cosine_schedule_lr(const CosineSchedule *schedule, size_t step)
{
    const double pi = 3.14159265358979323846, max_lr = schedule->max_lr, min_lr = schedule->min_lr;
    const size_t warmup = schedule->warmup_steps, decay = schedule->decay_steps;

    /* warm-up: t / T_w of the maximum */
    if (step < warmup)
        return (double)step / (double)warmup * max_lr;

    /* after T_c: the minimum */
    if (step > decay)
        return min_lr;

    /* cosine: progress goes from 0 at T_w to 1 at T_c, and 1/2 (1 + cos(pi progress)) from 1 to 0 */
    const double progress = decay > warmup ? (double)(step - warmup) / (double)(decay - warmup) : 0;
    return min_lr + 0.5 * (1 + cos(pi * progress)) * (max_lr - min_lr);
}

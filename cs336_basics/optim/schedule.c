#include "optim/schedule.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

double cosine_schedule_lr(const CosineSchedule *schedule, size_t step)
{
    const size_t warmup = schedule->warmup_steps, decay = schedule->decay_steps;
    if (step < warmup)
        return (double)step / (double)warmup * schedule->max_lr;
    if (step > decay)
        return schedule->min_lr;
    const double progress = decay > warmup ? (double)(step - warmup) / (double)(decay - warmup) : 0;
    return schedule->min_lr + 0.5 * (1 + cos(progress * PI)) * (schedule->max_lr - schedule->min_lr);
}

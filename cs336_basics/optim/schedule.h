/**
 * @file
 * @brief Cosine learning-rate schedule with linear warm-up (handout section 4.4, problem learning_rate_schedule).
 */
#ifndef CS336_OPTIM_SCHEDULE_H
#define CS336_OPTIM_SCHEDULE_H

#include "core/api.h"

#include <stddef.h>

CS336_API_BEGIN

/** @brief A learning rate that rises linearly, falls along half a cosine, and then stays. */
typedef struct {
    double max_lr,       /**< alpha_max, the rate at step T_w */
        min_lr;          /**< alpha_min, the rate from step T_c on */
    size_t warmup_steps; /**< T_w */
    size_t decay_steps;  /**< T_c, the step at which the minimum is reached; at least T_w */
} CosineSchedule;

/**
 * @brief Returns the learning rate of step t, in double.
 * \f[ \alpha_t = \begin{cases} \frac{t}{T_w} \alpha_{max} & t < T_w \\
 *     \alpha_{min} + \tfrac12 \left(1 + \cos\frac{t - T_w}{T_c - T_w}\pi\right)(\alpha_{max} - \alpha_{min})
 *     & T_w \le t \le T_c \\ \alpha_{min} & t > T_c \end{cases} \f]
 * With T_w = T_c the rate at that step is the maximum.
 * @see test_get_lr_cosine_schedule
 */
double cosine_schedule_lr(const CosineSchedule *schedule, size_t step);

CS336_API_END

#endif

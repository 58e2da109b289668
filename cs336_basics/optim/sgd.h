/**
 * @file
 * @brief Stochastic gradient descent with a decaying rate (handout section 4.2.1, problem learning_rate_tuning).
 */
#ifndef CS336_OPTIM_SGD_H
#define CS336_OPTIM_SGD_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/status.h"

CS336_API_BEGIN

/**
 * @brief Updates the values of all parameters: one step.
 * \f[ \theta_{t+1} = \theta_t - \frac{\alpha}{\sqrt{t + 1}}\, g_t \f]
 * @param[in,out] parameters  values are updated; parameters without gradient are skipped
 * @param[in]     step        t, 0 for the first
 * @param[in]     lr          alpha
 * @retval CS336_ESHAPE  a gradient has another shape than its value, or is not contiguous; nothing was changed
 * @retval CS336_ERANGE  lr is negative or not a finite number
 * @see test_sgd_learning_rate_tuning
 */
CS336_MUST_CHECK Status sgd_step(ParameterList parameters, size_t step, double lr);

CS336_API_END

#endif

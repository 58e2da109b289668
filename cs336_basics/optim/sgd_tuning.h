/**
 * @file
 * @brief The handout's toy problem for learning rates (section 4.2.1, problem learning_rate_tuning).
 */
#ifndef CS336_OPTIM_SGD_TUNING_H
#define CS336_OPTIM_SGD_TUNING_H

#include "core/api.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/**
 * @brief Minimises the mean of the squares of a 10 x 10 matrix of weights with sgd_step().
 * \f[ L(W) = \frac{1}{100} \sum_{ij} W_{ij}^2, \qquad \frac{\partial L}{\partial W_{ij}} = \frac{W_{ij}}{50} \f]
 *
 * Step t multiplies every weight by 1 - lr / (50 sqrt(t + 1)). The loss therefore falls while lr / sqrt(t + 1) is below
 * 100, fastest at 50, and grows above that.
 * @param[out] losses      (steps) the loss before each step
 * @param[out] grad_norms  (steps) the norm of the gradient of each step
 * @param[in]  steps       number of steps
 * @param[in]  lr          learning rate before it is divided by sqrt(t + 1)
 * @param[in]  seed        of the initial weights, which are drawn from N(0, 5^2)
 * @retval CS336_ERANGE  lr is negative or not a finite number
 * @see test_sgd_tuning_follows_its_closed_form
 */
CS336_MUST_CHECK Status sgd_tuning(double *losses, double *grad_norms, size_t steps, double lr, uint64_t seed);

CS336_API_END

#endif

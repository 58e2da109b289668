/**
 * @file
 * @brief Gradient clipping by the global norm (handout section 4.5, problem gradient_clipping).
 */
#ifndef CS336_OPTIM_CLIP_H
#define CS336_OPTIM_CLIP_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/status.h"

CS336_API_BEGIN

/**
 * @brief Scales all gradients by max_norm / (norm + 1e-6) when their common L2 norm exceeds max_norm.
 *
 * @par In this library
 * This function is gradient_norm(), and a multiplication by clip_factor(). The training loop calls these two, and
 * adamw_step_and_clear() multiplies, which saves a pass over memory: test_adamw_clips_steps_and_clears_in_one.
 * @param[out]    norm        the norm before clipping, summed in double; NULL: not wanted
 * @param[in,out] parameters  gradients are scaled; parameters without gradient are skipped
 * @param[in]     max_norm    M
 * @retval CS336_ESHAPE  a gradient has another shape than its value, or is not contiguous; nothing was changed
 * @retval CS336_ERANGE  max_norm is negative or not a number
 * @see test_gradient_clipping
 */
CS336_MUST_CHECK Status clip_gradients(double *norm, ParameterList parameters, double max_norm);

/**
 * @brief Measures the common L2 norm of all gradients, summed in double.
 * @retval CS336_ESHAPE  as clip_gradients()
 * @see test_clipping_scales_to_the_norm
 */
CS336_MUST_CHECK Status gradient_norm(double *norm, ParameterList parameters);

/** @brief Returns the factor by which clip_gradients() scales gradients of this norm: 1 up to max_norm. */
double clip_factor(double norm, double max_norm);

CS336_API_END

#endif

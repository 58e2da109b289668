/**
 * @file
 * @brief AdamW in PyTorch's order of operations (handout section 4.3, problem adamw).
 * @see Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
 */
#ifndef CS336_OPTIM_ADAMW_H
#define CS336_OPTIM_ADAMW_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/status.h"

CS336_API_BEGIN

/** @brief The rates of one step of AdamW. */
typedef struct {
    double lr;           /**< learning rate of this step */
    double beta1,        /**< decay of the first moment, in [0, 1); 0.9 averages about 10 gradients */
        beta2;           /**< decay of the second moment, in [0, 1) */
    double eps;          /**< added to the square root */
    double weight_decay; /**< lambda; taken as 0 for a parameter with `no_decay` */
} AdamWConfig;

/**
 * @brief Updates the values and the moments of all parameters: one step.
 * \f[ \theta \leftarrow \theta - \eta\lambda\theta, \quad
 *     m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
 *     \theta \leftarrow \theta - \frac{\eta}{1 - \beta_1^t}\, \frac{m}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} \f]
 *
 * @par In this library
 * The training loop runs adamw_step_scaled(), which also clips in the same pass over memory, or
 * adamw_step_and_clear(), which also clears: test_adamw_clips_steps_and_clears_in_one.
 * @param[in,out] parameters  values and moments are updated; parameters without gradient are skipped
 * @param[in]     step        t, 1 for the first
 * @param[in]     config      rates
 * @retval CS336_ESHAPE  a tensor of a parameter has another shape, is missing or not contiguous; nothing was changed
 * @retval CS336_ERANGE  step is 0, or a rate is outside its range
 * @see test_adamw
 */
CS336_MUST_CHECK Status adamw_step(ParameterList parameters, size_t step, const AdamWConfig *config);

/**
 * @brief Takes adamw_step() with the gradients multiplied by a factor. The gradients themselves stay as they are.
 * @param[in] grad_factor  clip_factor(), or 1
 * @retval CS336_ESHAPE, CS336_ERANGE  as adamw_step(), or grad_factor is negative or not finite; nothing was changed
 * @see test_adamw_clips_steps_and_clears_in_one
 */
CS336_MUST_CHECK Status adamw_step_scaled(ParameterList parameters, double grad_factor, size_t step,
                                          const AdamWConfig *config);

/**
 * @brief Multiplies the gradients by a factor, takes adamw_step(), and sets the gradients to 0 for the next batch.
 *
 * With gradient_norm(), a training step then passes over the gradients twice. clip_gradients(), adamw_step() and
 * parameters_zero_grad() take four passes to do the same, and the step is limited by memory bandwidth.
 * @param[in] grad_factor  clip_factor(), or 1
 * @retval CS336_ESHAPE, CS336_ERANGE  as adamw_step(), or grad_factor is negative or not finite; nothing was changed
 * @see test_adamw_clips_steps_and_clears_in_one
 */
CS336_MUST_CHECK Status adamw_step_and_clear(ParameterList parameters, double grad_factor, size_t step,
                                             const AdamWConfig *config);

CS336_API_END

#endif

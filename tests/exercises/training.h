/**
 * @file
 * @brief The training loop of the coursework, written from the plain functions (handout section 5.3, problem
 * training_together).
 *
 * The library's own loop, trainer_step() in train/trainer.h, also allocates, logs, validates and saves, and it clips
 * and updates in one pass over memory. Here the caller has allocated everything, and each step calls five functions.
 */
#ifndef CS336_TESTS_EXERCISES_TRAINING_H
#define CS336_TESTS_EXERCISES_TRAINING_H

#include "core/arena.h"
#include "core/parameter.h"
#include "core/rng.h"
#include "core/status.h"
#include "data/token_file.h"
#include "nn/transformer_lm.h"
#include "optim/adamw.h"
#include "optim/schedule.h"

#include <stddef.h>
#include <stdint.h>

/** @brief The settings of a training run. */
typedef struct {
    size_t steps;            /**< number of steps */
    size_t batch_size;       /**< sequences in each batch; each has lm->config.context_length tokens */
    CosineSchedule schedule; /**< gives the learning rate of each step */
    AdamWConfig adamw;       /**< betas, eps and weight decay; its `lr` is ignored */
    double max_grad_norm;    /**< the gradients are clipped to this norm */
} TrainTogetherConfig;

/** @brief A model and all memory that its training needs, allocated by the caller. */
typedef struct {
    const TransformerLM *lm;   /**< the model, with its initial weights */
    TransformerLM *grad;       /**< a gradient for each weight of the model; all are zero */
    ParameterList parameters;  /**< the same weights and gradients as a list, with AdamW's moments, which are zero */
    int32_t *inputs, *targets; /**< room for a batch: (batch_size, context_length) ids each */
    Arena *scratch;            /**< room for transformer_lm_loss() */
} TrainTogetherMemory;

/**
 * @brief Trains a model: for each step t = 1, 2, ..., draws a batch, computes the loss and the gradients, clips the
 * gradients, and updates the weights by AdamW with the schedule's learning rate at t.
 *
 * The functions for it are get_batch(), transformer_lm_loss(), clip_gradients(), cosine_schedule_lr() and adamw_step().
 * transformer_lm_loss() adds to the gradients. So parameters_zero_grad() must clear them before the next step, as
 * `optimizer.zero_grad()` does in PyTorch.
 * @param[out]    losses  (steps): the loss of each step's batch, before the update
 * @param[in,out] memory  the model that is trained; its weights, gradients and moments are changed
 * @param[in]     data    the token ids to train on
 * @param[in]     config  the settings
 * @param[in,out] rng     draws the batches
 * @retval CS336_ERANGE, CS336_ESHAPE, CS336_ENOMEM  from the first function that fails. Training then ends at once, and
 *                                                   the weights are those of the step before
 * @see test_train_together_follows_fifty_steps_of_pytorch, test_train_together_follows_the_trainer
 */
CS336_MUST_CHECK Status train_together(float *losses, const TrainTogetherMemory *memory, const TokenFile *data,
                                       const TrainTogetherConfig *config, Rng *rng);

#endif

/**
 * @file
 * @brief A model in training: its setup, a step, a validation (handout section 5.3, problem training_together).
 *
 * - A step: a random batch, loss and gradients, clipping, the schedule's rate, AdamW. Step t runs from 1 and uses the
 *   schedule's rate at t, so that the first step already learns and the last ends the schedule.
 * - Validation uses the same windows of the validation file each time.
 * - Everything lies in memory; train/training_run.h is the loop around the steps, with the files of a run.
 * - Same configuration, files and seed: same checkpoint bytes for any number of threads, and the same when the run was
 *   stopped at any checkpoint and resumed.
 */
#ifndef CS336_TRAIN_TRAINER_H
#define CS336_TRAIN_TRAINER_H

#include "core/api.h"
#include "core/arena.h"
#include "core/parameter.h"
#include "core/rng.h"
#include "core/status.h"
#include "data/token_file.h"
#include "nn/transformer_lm.h"
#include "optim/adamw.h"
#include "optim/schedule.h"

#include <stdint.h>

CS336_API_BEGIN

typedef struct {
    TransformerLMConfig model;
    size_t batch_size;
    size_t steps;   /**< length of the run */
    size_t stop_at; /**< the step after which it pauses, to be resumed; 0: not before the end */
    CosineSchedule schedule;
    AdamWConfig adamw;       /**< its lr is the schedule's */
    double max_grad_norm;    /**< 0: no clipping */
    uint64_t seed;           /**< of weights, batches and validation windows */
    size_t log_every;        /**< steps between lines of the log */
    size_t val_every;        /**< steps between validations; 0: only after the last step */
    size_t val_batches;      /**< batches of a validation; 0: none */
    size_t checkpoint_every; /**< steps between checkpoints; 0: only after the last step */
    size_t keep;             /**< checkpoints that stay: the newest and those before it; 0: as the run began, or 2 */
} TrainerConfig;

/** @brief Says whether a run of this configuration can start. @retval CS336_ESHAPE, CS336_ERANGE */
CS336_MUST_CHECK Status trainer_check(const TrainerConfig *config);

/** @brief A run in memory. */
typedef struct {
    TrainerConfig config;
    const TokenFile *train, *val;
    TransformerLM lm, grad, first_moment, second_moment; /**< grad is 0 between steps */
    ParameterList parameters;
    Rng batches;               /**< draws the training windows */
    size_t step;               /**< steps done */
    int32_t *inputs, *targets; /**< (batch, context_length) */
    Arena memory;              /**< weights, gradients, moments, batch */
    Arena scratch;             /**< activations of a step */
} Trainer;

/**
 * @brief Checks configuration and data, allocates, and initialises the weights from the seed.
 * @param train, val  must outlive the trainer; val may be NULL when val_batches is 0
 * @retval CS336_ESHAPE, CS336_ERANGE  the configuration; too few tokens for a window; an id outside the vocabulary
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_init(Trainer *trainer, const TrainerConfig *config, const TokenFile *train,
                                     const TokenFile *val);
void trainer_deinit(Trainer *trainer);

/**
 * @brief One step of training.
 * @param[out] loss       of the batch, before the step; nats per token
 * @param[out] grad_norm  before clipping
 * @retval CS336_ERANGE  loss or gradients are not finite, or an id is outside the vocabulary; weights, moments and step
 *                       are unchanged
 * @retval CS336_ENOMEM  the workspace could not grow
 */
CS336_MUST_CHECK Status trainer_step(Trainer *trainer, float *loss, double *grad_norm);

/** @brief Mean loss over the validation windows, nats per token; NaN or infinite when the model is. @retval
 * CS336_ERANGE, CS336_ENOMEM */
CS336_MUST_CHECK Status trainer_validate(Trainer *trainer, double *loss);

CS336_API_END

#endif

/**
 * @file
 * @brief Trains a model in memory: setup, one step, one validation (handout section 5.3, problem training_together).
 *
 * - A step draws a random batch, computes loss and gradients, clips the gradients and updates the weights with AdamW.
 * - With gradient accumulation a step computes its batch in several pieces, one after the other, and their gradients
 * are summed. The activations of only one piece exist at a time. Windows, loss and update are those of the whole batch,
 *   up to rounding.
 * - Gradients exist from the backward pass to the update, in memory that activations have in the forward pass: see
 *   transformer_lm_loss_and_gradients(). A model of GPT-2's size needs 0.5 GB less for a batch of 2 x 1024 tokens. With
 *   gradient accumulation in several pieces the gradients outlive a piece's activations: they have memory of their own.
 * - Steps count from 1, and step t uses the schedule's learning rate at t. The rate at 0 would be 0 with a warm-up, so
 *   that the first step would learn nothing.
 * - Each validation uses the same windows of the validation file, so that its losses can be compared.
 * - The same configuration, token files and seed give the same checkpoint bytes: for any number of threads, and also if
 *   the run was stopped at a checkpoint and resumed.
 *
 * Under mpirun (distributed/ranks.h) training is data parallel:
 * - Each rank has the whole model, and computes one N-th of each batch: rank r the windows from r * B / N on. The
 * windows of all ranks together are those of one process.
 * - The gradients of all ranks are summed while the backward pass computes: distributed/gradient_exchange.h. Each rank
 *   then takes the same step of AdamW, so that the weights stay equal without being sent.
 * - trainer_step() and trainer_validate() are collective: all ranks call them in the same order. They return the same
 *   loss on all ranks, and a failure of one rank on all.
 * - Checkpoint bytes depend on the number of ranks, because float32 addition rounds. They do not depend on the number
 * of threads of each rank.
 *
 * train/training_run.h has the loop of steps, which writes the files of a run.
 */
#ifndef CS336_TRAIN_TRAINER_H
#define CS336_TRAIN_TRAINER_H

#include "core/api.h"
#include "core/arena.h"
#include "core/atomic.h"
#include "core/parameter.h"
#include "core/rng.h"
#include "core/status.h"
#include "data/token_file.h"
#include "nn/transformer_lm.h"
#include "optim/adamw.h"
#include "optim/schedule.h"
#include "train/layer_norms.h"

#include <stdbool.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief The settings of a run. */
typedef struct {
    TransformerLMConfig model; /**< sizes and variants */
    size_t batch_size;         /**< windows of context_length tokens in each step, of all ranks together */
    size_t grad_accum;         /**< number of pieces in which a rank computes its part of a batch; 0: one. The number of
                                  ranks times this divides batch_size */
    bool keep_gradients;       /**< the gradients have memory of their own, where a caller can read and add to them; so
                                  they have in any case if the batch is computed in several pieces */
    bool overfit_one_batch;    /**< each step uses the first batch, to see that the model can learn it by heart */
    size_t steps;              /**< length of the whole run */
    size_t stop_at;            /**< save and return after this step, to resume later; 0: not before the end */
    CosineSchedule schedule;   /**< learning rate by step */
    AdamWConfig adamw;         /**< its `lr` is ignored: the schedule gives the learning rate */
    bool no_decay_norms;       /**< weight decay leaves the gains of RMSNorm alone */
    bool shard_optimizer;    /**< each rank keeps the moments of a part of the weights: see train/optimizer_shard.h. It
                                changes nothing with one rank */
    double max_grad_norm;    /**< the gradients are scaled down to this norm; 0: no clipping */
    uint64_t seed;           /**< of initial weights, batches and validation windows */
    size_t log_every;        /**< steps from one line of the log to the next */
    size_t val_every;        /**< steps from one validation to the next; 0: only after the last step */
    size_t val_batches;      /**< batches in each validation; 0: no validation */
    size_t checkpoint_every; /**< steps from one checkpoint to the next; 0: only after the last step */
    size_t keep;             /**< number of checkpoints to keep; 0: as config.json says on resuming, or 2 */
    size_t patience;         /**< stop when so many validations in a row bring no lower loss; 0: never */
    bool log_norms;          /**< the log has the norms of each layer: see train/layer_norms.h */
    const char *init_from;   /**< for config.json: the checkpoint from which the weights came; NULL: from the seed */
} TrainerConfig;

/** @brief Checks that a run can have this configuration. @retval CS336_ESHAPE, CS336_ERANGE */
CS336_MUST_CHECK Status trainer_check(const TrainerConfig *config);

/**
 * @brief Returns the number of pieces in which all ranks together compute a batch: the ranks times grad_accum. It
 * divides batch_size.
 */
size_t trainer_pieces(const TrainerConfig *config);

/** @brief Returns the number of windows that this process computes at a time: batch_size / trainer_pieces(). */
size_t trainer_piece_size(const TrainerConfig *config);

/**
 * @brief True if gradients share memory with activations: a rank computes its part of a batch in one piece, and the
 * gradients need not be kept.
 * @see test_gradients_share_memory_or_not
 */
bool trainer_shares_memory(const TrainerConfig *config);

/** @brief The state of a run in memory. */
typedef struct {
    TrainerConfig config;   /**< a copy of what trainer_init() got */
    const TokenFile *train, /**< training tokens, which the caller owns */
        *val;               /**< validation tokens, likewise; NULL if val_batches is 0 */
    TransformerLM lm,       /**< the model: weights and RoPE tables */
        grad,               /**< gradients by parameter. If they share memory, they are in `scratch`, and only during a
                               step; else summed over the pieces of a batch, and 0 between the steps */
        first_moment,       /**< AdamW's m by parameter; missing if the ranks share them */
        second_moment;      /**< AdamW's v by parameter; likewise */
    ParameterList parameters;          /**< the same tensors as a list */
    Rng batches;                       /**< draws the training windows; unused with overfit_one_batch */
    struct GradientExchange *exchange; /**< sums the gradients of all ranks; NULL with one rank */
    double exchange_seconds,           /**< that the exchange of the latest step took, most of it during backward */
        exchange_wait_seconds;         /**< that this rank's step waited for it */
    struct OptimizerShard *shard;      /**< the moments of this rank, with shard_optimizer; NULL: it has all of them */
    size_t step;                       /**< steps done */
    LayerNorms norms;                  /**< of the latest step that measured them; bound if config.log_norms */
    bool measure_norms;                /**< set it before a step, to measure its norms */
    int32_t *inputs,                   /**< (piece, context_length) ids of a piece of the batch */
        *targets;                      /**< (piece, context_length) the id that follows each input */
    Arena memory;                      /**< owns weights, moments and the ids, and gradients that do not share memory */
    Arena scratch; /**< for the activations of a piece of the batch, and gradients that share memory */
} Trainer;

/**
 * @brief Checks configuration and token files, allocates memory, and initialises the weights from the seed.
 * @param train, val  must outlive the trainer; val may be NULL if val_batches is 0
 * @retval CS336_ESHAPE, CS336_ERANGE  from trainer_check(); or a file has too few tokens for a window, or an id outside
 *                                     the vocabulary
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_init(Trainer *trainer, const TrainerConfig *config, const TokenFile *train,
                                     const TokenFile *val);

/** @brief Returns the bytes that trainer_init() has allocated for this rank. */
size_t trainer_bytes(const Trainer *trainer);

/** @brief Frees weights, gradients, moments and scratch. The token files stay open. */
void trainer_deinit(Trainer *trainer);

/**
 * @brief Does one step of training.
 * @param[out] loss       mean loss of the batch before the update, in nats per token
 * @param[out] grad_norm  norm of all gradients before clipping
 * @retval CS336_ERANGE  the loss or a gradient is not finite, or an id is outside the vocabulary. Weights, moments and
 *                       step are unchanged
 * @retval CS336_ENOMEM  the workspace cannot grow
 * @retval others        another rank has failed in this step, and status_message() says which
 */
CS336_MUST_CHECK Status trainer_step(Trainer *trainer, float *loss, double *grad_norm);

/**
 * @brief Computes the mean loss over the validation windows, in nats per token. It may be NaN or infinite.
 * @param      trainer
 * @param[out] loss  not set on failure
 * @param[in]  stop  a flag that a signal handler may set; the ranks look at it before each batch. NULL: there is none
 * @retval CS336_EINTERRUPTED  the flag was nonzero on one rank at least; all ranks return together
 * @retval CS336_ERANGE, CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_validate(Trainer *trainer, double *loss, const atomic_int *stop);

CS336_API_END

#endif

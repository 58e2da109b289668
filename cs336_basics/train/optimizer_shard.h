/**
 * @file
 * @brief A rank's share of the optimizer, for --shard-optimizer (ZeRO-1).
 *
 * AdamW's two moments take twice the memory of the weights. With N ranks each keeps an N-th of them:
 * - It has the moments of its own parts of the buckets (distributed/buckets.h), and no others.
 * - A step sums the gradients of these parts only (reduce-scatter), updates the weights of these parts, and gives all
 *   ranks the updated weights (all-gather). That sends as many bytes as an all-reduce of the gradients.
 * - A number of the weights is updated by the same operations as without shares, from the same sums. So the weights are
 *   the same, bit by bit.
 *
 * train/shard_checkpoint.h saves and restores the moments of all ranks.
 * @see Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, 2020: stage 1.
 */
#ifndef CS336_TRAIN_OPTIMIZER_SHARD_H
#define CS336_TRAIN_OPTIMIZER_SHARD_H

#include "core/api.h"
#include "core/arena.h"
#include "core/parameter.h"
#include "core/status.h"
#include "distributed/buckets.h"
#include "distributed/gradient_exchange.h"
#include "train/checkpoint.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief The share of this rank. */
typedef struct OptimizerShard {
    ParameterList parameters;           /**< of the whole model, without moments */
    const NumberSequence *sequence;     /**< the same values */
    float *bucket;                      /**< memory for the numbers of one bucket, between two steps */
    ParameterList pieces;               /**< views of this rank's parts, one-dimensional, with moments */
    SequencePiece *places;              /**< (pieces.count) where each piece lies */
    float *moments[CHECKPOINT_MOMENTS]; /**< (numbers) each, of the parts of bucket 0, 1, ... */
    size_t numbers;                     /**< in this rank's parts of all buckets */
    Arena memory;                       /**< owns pieces, places and moments */
} OptimizerShard;

/**
 * @brief Allocates this rank's share, with moments of 0.
 * @param[out] shard       free it with optimizer_shard_destroy(); NULL on failure
 * @param[in]  parameters  of the model; only the values are used
 * @param[in]  exchange    of the same parameters; it must outlive the shard
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status optimizer_shard_create(OptimizerShard **shard, ParameterList parameters,
                                               const GradientExchange *exchange);

/** @brief Frees the share; NULL is fine. */
void optimizer_shard_destroy(OptimizerShard *shard);

/**
 * @brief Points the gradients of the pieces at those of the model, which may lie elsewhere in each step, and takes over
 * which parameters have no weight decay.
 */
void optimizer_shard_follow(OptimizerShard *shard, ParameterList parameters);

/** @brief Returns the number of parameters of the whole model. */
size_t optimizer_shard_all_numbers(const OptimizerShard *shard);

/** @brief Returns the part of a bucket that a rank owns. */
NumberRange optimizer_shard_part(const OptimizerShard *shard, size_t bucket, int rank);

/** @brief Checks that this rank's moments are finite numbers. @retval CS336_ERANGE */
CS336_MUST_CHECK Status optimizer_shard_check_finite(const OptimizerShard *shard);

CS336_INTERNAL_END

#endif

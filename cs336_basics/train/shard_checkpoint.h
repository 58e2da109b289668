/**
 * @file
 * @brief Saves and restores the moments of all ranks, if each rank has only its share (train/optimizer_shard.h).
 *
 * A checkpoint has all moments, in the form that a run without shares writes. No rank ever has all of them in memory:
 * rank 0 asks the others for one bucket after the other while it writes, and sends them one after the other when a run
 * resumes.
 */
#ifndef CS336_TRAIN_SHARD_CHECKPOINT_H
#define CS336_TRAIN_SHARD_CHECKPOINT_H

#include "core/api.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "train/checkpoint.h"
#include "train/optimizer_shard.h"

CS336_INTERNAL_BEGIN

/** @brief On rank 0: where it is in the moments of all ranks, while it writes a checkpoint. */
typedef struct {
    OptimizerShard *shard; /**< that of rank 0 */
    NumberRange range;     /**< of the bucket that was asked for last, in shard->bucket; none at the beginning */
    int moment;            /**< which of its moments */
    size_t next;           /**< index of the next number in the sequence */
} MomentReader;

/**
 * @brief Begins to read the moments of all ranks on rank 0, while the others are in shard_checkpoint_serve().
 * @param[out] source  gives the moments in the order of a checkpoint, from @p reader
 */
void shard_checkpoint_begin_reading(MomentReader *reader, SafetensorsSource *source, OptimizerShard *shard);

/** @brief Ends what shard_checkpoint_begin_reading() has begun, also if it has failed. The others' serving ends too. */
void shard_checkpoint_end_reading(MomentReader *reader);

/** @brief On the other ranks: sends rank 0 what it asks for, until it calls shard_checkpoint_end_reading(). */
void shard_checkpoint_serve(OptimizerShard *shard);

/**
 * @brief Reads the moments of a checkpoint on rank 0 and gives each rank its own. Collective.
 * @param path  of the checkpoint, on rank 0
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ESHAPE, CS336_ENOMEM  as checkpoint_open() and checkpoint_check_moments();
 * the moments may be partly overwritten
 */
CS336_MUST_CHECK Status shard_checkpoint_restore(OptimizerShard *shard, const char *path);

CS336_INTERNAL_END

#endif

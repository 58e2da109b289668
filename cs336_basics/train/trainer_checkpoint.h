/**
 * @file
 * @brief Saves a trainer as a checkpoint, and restores it: parameters, moments, step and the generator of batches
 * (handout section 5.2, problem checkpointing).
 *
 * train/checkpoint.h describes the file.
 */
#ifndef CS336_TRAIN_TRAINER_CHECKPOINT_H
#define CS336_TRAIN_TRAINER_CHECKPOINT_H

#include "core/api.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "train/trainer.h"

CS336_API_BEGIN

/**
 * @brief Saves the trainer's whole state as a checkpoint. With shares of the optimizer (train/optimizer_shard.h) a
 * trainer does not have the moments, and the checkpoint then has none; trainer_run() collects them from all ranks.
 * @retval CS336_EIO, CS336_ENOMEM
 * @retval CS336_ERANGE  a weight or moment is not finite; an existing file is unchanged
 */
CS336_MUST_CHECK Status trainer_save(const Trainer *trainer, const char *path);

/**
 * @brief trainer_save() with moments from elsewhere, such as those of all ranks.
 * @param moments  reads the moments; NULL: the trainer has them
 */
CS336_MUST_CHECK Status trainer_save_moments(const Trainer *trainer, const char *path,
                                             const SafetensorsSource *moments);

/**
 * @brief Restores a saved state. After a failure the trainer is unchanged, except that a checkpoint that another
 * process cuts while it is read leaves some weights overwritten.
 * @retval CS336_EIO      the checkpoint cannot be read
 * @retval CS336_EFORMAT  it is cut short, or has another model, batch size or seed
 * @retval CS336_ESHAPE   a weight has another shape
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_restore(Trainer *trainer, const char *path);

/**
 * @brief Replaces the initial weights by those of a checkpoint, which may be of another run: fine-tuning. Its moments,
 * step, seed and generators are not used. Call it after trainer_init().
 *
 * The models must be equal but for context_length and dtype, which have no parameters. After a failure the weights are
 * unchanged, except as trainer_restore() says.
 * @retval CS336_EIO      the checkpoint cannot be read
 * @retval CS336_EFORMAT  it is cut short, or has another model
 * @retval CS336_ESHAPE, CS336_ERANGE  its configuration is invalid, or does not fit the shapes of its weights
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_load_weights(Trainer *trainer, const char *path);

CS336_API_END

#endif

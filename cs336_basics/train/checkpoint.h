/**
 * @file
 * @brief Saves and restores a training run (handout section 5.2, problem checkpointing).
 *
 * - Knows only a ParameterList: any model, Transformer or not.
 * - The file is safetensors: weights by their state-dict names, AdamW's moments as "optimizer.first_moment.NAME" and
 *   "optimizer.second_moment.NAME"; iteration, generator states and configuration are strings of its metadata:
 *   "iteration", "rng.NAME" (seed and counter), "config.KEY".
 * - Written atomically, and only if every number in it is finite: NaN never replaces weights. The same state gives the
 * same bytes: no time, no path, no thread count.
 * - Loading checks everything before it changes anything: after a failure the target is as it was.
 *
 * @code
 * CheckpointFile file;                                    // generate: the configuration comes before the model
 * Status s = checkpoint_open(&file, path);
 * const char *d_model = checkpoint_config(&file, "d_model");
 * ...                                                     // build the model; parameters without moments
 * s = checkpoint_read(&(Checkpoint){.parameters = list}, &file);
 * checkpoint_close(&file);
 * @endcode
 */
#ifndef CS336_TRAIN_CHECKPOINT_H
#define CS336_TRAIN_CHECKPOINT_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "core/status.h"

#include <stddef.h>

CS336_API_BEGIN

/** @brief A generator whose state goes with the run. */
typedef struct {
    const char *name; /**< what it draws, such as "batch" */
    Rng *rng;         /**< read by checkpoint_save(), set by checkpoint_load() */
} CheckpointRng;

/** @brief The state of a run: what is saved, and where it is restored to. */
typedef struct {
    ParameterList parameters; /**< values, and moments where their data is not NULL */
    size_t iteration;         /**< steps done; set by loading */
    const CheckpointRng *generators;
    size_t generator_count;
    const SafetensorsText *config; /**< keys and values; loading compares the file's with these */
    size_t config_count;
} Checkpoint;

/** @brief An open checkpoint. */
typedef struct {
    SafetensorsFile tensors; /**< weights and moments */
} CheckpointFile;

/**
 * @brief Writes the whole state to @p path, or leaves the file that is there as it was.
 * @retval CS336_EIO      the directory or disk refuses
 * @retval CS336_ERANGE   a number is NaN or infinite; the message names it
 * @retval CS336_ESHAPE   a value is not contiguous, or a moment's shape differs from its value's
 * @retval CS336_EFORMAT  two parameters, generators or keys of one name, or text that is not UTF-8
 * @retval CS336_ENOMEM
 * @see test_checkpointing
 */
CS336_MUST_CHECK Status checkpoint_save(const char *path, const Checkpoint *checkpoint);

/**
 * @brief Opens a file and checks that it is a whole checkpoint.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, damaged, or not a checkpoint
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status checkpoint_open(CheckpointFile *file, const char *path);

/** @brief Closes the file; a zeroed one is fine. Strings that checkpoint_config() gave end with it. */
void checkpoint_close(CheckpointFile *file);

/** @brief The configuration's value of that key (up to 100 bytes long), or NULL. */
const char *checkpoint_config(const CheckpointFile *file, const char *key);

/**
 * @brief Restores parameters, iteration and generators.
 * @param[in,out] checkpoint  its parameters must be those of the file, no more and no fewer, with the same shapes;
 * where a parameter has no moments, the file's are passed over. Each pair of its configuration must be in the file with
 * the same value; further ones in the file are passed over.
 * @param[in]     file        open
 * @retval CS336_EFORMAT  a tensor, generator or configuration is missing, extra or of another type or value
 * @retval CS336_ESHAPE   a tensor has another shape, or the checkpoint's parameters themselves do not fit together
 */
CS336_MUST_CHECK Status checkpoint_read(Checkpoint *checkpoint, const CheckpointFile *file);

/**
 * @brief checkpoint_open(), checkpoint_read() and checkpoint_close() in one.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ESHAPE, CS336_ENOMEM  as these
 * @see test_checkpointing
 */
CS336_MUST_CHECK Status checkpoint_load(Checkpoint *checkpoint, const char *path);

CS336_API_END

#endif

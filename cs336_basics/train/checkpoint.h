/**
 * @file
 * @brief Saves and restores a training run (handout section 5.2, problem checkpointing).
 *
 * - A checkpoint needs only a ParameterList, so it works for any model, Transformer or not.
 * - The file format is safetensors. A weight has its state_dict name; AdamW's moments are "optimizer.first_moment.NAME"
 *   and "optimizer.second_moment.NAME". The file's metadata holds the rest as strings: "iteration", "rng.NAME" (seed
 * and counter of a generator) and "config.KEY".
 * - Saving replaces the file in one step, and only if every number is finite: NaN never replaces good weights.
 * - The same state gives the same bytes, because the file contains no time, path or number of threads.
 * - Loading checks everything before it changes anything. After a failure the model and the run are unchanged.
 *
 * @code
 * // Load a model whose configuration is only in the file, without optimizer state:
 * CheckpointFile file;
 * Status s = checkpoint_open(&file, path);
 * const char *d_model = checkpoint_config(&file, "d_model");
 * ...                                                // build the model, list its parameters without moments
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
#include <stdint.h>

CS336_API_BEGIN

/** @brief The greatest iteration that checkpoint_open() accepts, and the greatest number of steps of a run. */
enum { CHECKPOINT_MAX_ITERATION = INT32_MAX };

/** @brief A random generator whose state is part of the checkpoint. */
typedef struct {
    const char *name; /**< what it draws, such as "batches" */
    Rng *rng;         /**< read by checkpoint_save(), set by checkpoint_load() */
} CheckpointRng;

/** @brief The state of a run: the source of checkpoint_save() and the destination of checkpoint_load(). */
typedef struct {
    ParameterList parameters;        /**< the values; and the moments whose data is not NULL */
    size_t iteration;                /**< steps done; set by checkpoint_load() */
    const CheckpointRng *generators; /**< (generator_count); NULL when that is 0 */
    size_t generator_count;          /**< 0: no generator is saved or restored */
    const SafetensorsText *config;   /**< keys and values; checkpoint_load() compares the file's values with these */
    size_t config_count;             /**< 0: nothing is saved or compared */
    /** For checkpoint_save(), if the parameters have no moments in memory: gives the first moments of all parameters in
     * their order, and then the second moments. NULL: none are saved. */
    const SafetensorsSource *moments;
} Checkpoint;

/** @brief An open checkpoint. */
typedef struct {
    SafetensorsFile tensors; /**< weights, moments and metadata */
} CheckpointFile;

/**
 * @brief Writes the whole state to @p path. After a failure an existing file is unchanged.
 * @retval CS336_EIO      the file cannot be written
 * @retval CS336_ERANGE   a number is NaN or infinite; the message says which
 * @retval CS336_ESHAPE   a value is not contiguous, or the shape of a moment differs from its value's
 * @retval CS336_EFORMAT  two parameters, generators or keys have the same name, or a text is not UTF-8
 * @retval CS336_ENOMEM
 * @see test_checkpointing
 */
CS336_MUST_CHECK Status checkpoint_save(const char *path, const Checkpoint *checkpoint);

/**
 * @brief Opens a file and checks that it is a complete checkpoint.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, damaged, or not a checkpoint
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status checkpoint_open(CheckpointFile *file, const char *path);

/** @brief Closes the file; a zeroed struct is allowed. Strings from checkpoint_config() become invalid. */
void checkpoint_close(CheckpointFile *file);

/** @brief Returns the number of steps after which the checkpoint was saved. */
size_t checkpoint_iteration(const CheckpointFile *file);

/** @brief Returns the value of a key of the configuration, or NULL. The key has at most 100 bytes. */
const char *checkpoint_config(const CheckpointFile *file, const char *key);

/**
 * @brief Restores parameters, iteration and generators.
 * @param[in,out] checkpoint  Its parameters must be exactly those of the file, with the same shapes. If a parameter has
 *                            no moments, the file's moments are ignored. Each key of its configuration must have the
 *                            same value in the file; further keys of the file are ignored.
 * @param[in]     file        an open checkpoint
 * @retval CS336_EIO      an array cannot be read, such as when another process has cut the file since it was opened.
 * The parameters may be partly overwritten; iteration and generators are unchanged
 * @retval CS336_EFORMAT  a tensor, generator or key is missing in the file, or has another type or value; or the file
 *                        has a tensor that belongs to no parameter
 * @retval CS336_ESHAPE   a tensor has another shape; or in @p checkpoint itself, a moment's shape is not its value's or
 *                        a tensor is not contiguous
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status checkpoint_read(Checkpoint *checkpoint, const CheckpointFile *file);

/** @brief AdamW's two moments, for checkpoint_read_moment(). */
enum { CHECKPOINT_FIRST_MOMENT, CHECKPOINT_SECOND_MOMENT, CHECKPOINT_MOMENTS };

/** @brief Checks that the file has both moments of all parameters. @retval CS336_EFORMAT, CS336_ESHAPE */
CS336_MUST_CHECK Status checkpoint_check_moments(const CheckpointFile *file, ParameterList parameters);

/**
 * @brief Reads neighbours of a parameter's moment, of a file that checkpoint_check_moments() has checked.
 * @param[out] numbers    (count)
 * @param[in]  moment     which of the two
 * @param[in]  parameter  its name and the shape of its value count
 * @param[in]  first      index of the first number
 * @param[in]  count      how many
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status checkpoint_read_moment(float *numbers, const CheckpointFile *file, int moment,
                                               const Parameter *parameter, size_t first, size_t count);

/**
 * @brief Calls checkpoint_open(), checkpoint_read() and checkpoint_close().
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ESHAPE, CS336_ENOMEM  as for these functions
 * @see test_checkpointing
 */
CS336_MUST_CHECK Status checkpoint_load(Checkpoint *checkpoint, const char *path);

CS336_API_END

#endif

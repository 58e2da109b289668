/**
 * @file
 * @brief Manages the files of a training run. Their order of change loses no saved step, whenever the process is
 * killed.
 *
 * - checkpoint.safetensors is the newest checkpoint. Older ones are kept as checkpoint-step-N.safetensors. To return to
 *   one of these, rename it to checkpoint.safetensors and resume.
 * - best.safetensors is the checkpoint with the lowest validation loss so far: another name (a hard link) of a
 *   checkpoint that was saved for it. It stays when that checkpoint is no longer among those that are kept.
 * - The order of a save: sync the log; give the old checkpoint.safetensors its second name; replace it; if the new one
 * is the best, make best.safetensors a link to it, in one step; remove checkpoints beyond those that are kept. A kill
 *   before the replacement leaves the old run, which computes the steps after it again. A kill after it leaves the new
 *   checkpoint and perhaps an older best.safetensors; resuming finds in the log that the new one is better
 *   (train/run_best.h), and that a checkpoint is too many.
 * - log.jsonl: the lines up to a step are synced to the disk before a checkpoint of that step is written.
 * - config.json is the configuration of the latest start or resume.
 * - Only one process may write to the directory: it holds a lock, which the kernel releases when the process ends.
 */
#ifndef CS336_TRAIN_RUN_DIRECTORY_H
#define CS336_TRAIN_RUN_DIRECTORY_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief What to do if the directory already contains a run. */
typedef enum {
    RUN_NEW,      /**< fail, so that no run is lost by mistake */
    RUN_RESUME,   /**< continue the run from its checkpoint */
    RUN_OVERWRITE /**< delete the run and begin at step 1 */
} RunStart;

/** @brief A run directory that this process has locked. It owns its strings and the lock. */
typedef struct {
    char *path;       /**< the directory */
    char *checkpoint, /**< path of checkpoint.safetensors */
        *best,        /**< path of best.safetensors */
        *log,         /**< path of log.jsonl */
        *config;      /**< path of config.json */
    int lock;         /**< the descriptor that holds the lock, from directory_lock() */
    size_t keep;      /**< number of checkpoints to keep, the newest one included */
    size_t saved;     /**< step of checkpoint.safetensors; 0 if there is none or it was not read yet */
    unsigned mode; /**< permissions of the checkpoint that RUN_OVERWRITE removed, for the first one; 0: the umask's */
} RunDirectory;

/**
 * @brief Checks what run_directory_open() will check, and changes nothing. A command calls it before long preparations.
 * @retval CS336_EIO  another process writes to the directory; @p start is RUN_NEW and the directory contains a run;
 *                    @p start is RUN_RESUME and it contains no checkpoint; or a file to write is not a regular file.
 * The message says what the user can do
 */
CS336_MUST_CHECK Status run_directory_check(const char *path, RunStart start);

/**
 * @brief True if a run in the directory @p path would write or remove @p file, also if @p file is a link to one of the
 * run's files. Such a file cannot be an input of the run.
 */
bool run_directory_owns(const char *path, const char *file);

/**
 * @brief Makes the directory, locks it, and removes temporary files of killed processes. RUN_OVERWRITE then removes the
 * old run. Its newest checkpoint goes first, so that after a kill the rest of the old run cannot be resumed. The files
 * of the new run get the permissions of the old ones.
 * @retval CS336_EIO     as for run_directory_check(); or the directory cannot be made, or a file cannot be removed
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_open(RunDirectory *run, const char *path, RunStart start);

/**
 * @brief Call it before a file is replaced: if the directory was renamed during the run, this finds its new path.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_follow(RunDirectory *run);

/**
 * @brief Call it before a checkpoint is written: gives the checkpoint that is about to be replaced a second name,
 * checkpoint-step-N.safetensors. It calls run_directory_follow().
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_keep_checkpoint(RunDirectory *run);

/**
 * @brief Call it after a checkpoint of @p step was written or read: removes the oldest checkpoints until `keep` are
 * left. It also removes a second name of the newest checkpoint, and checkpoints of steps that this run has computed
 * again.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_prune(RunDirectory *run, size_t step);

/** @brief True if checkpoint-step-N.safetensors exists for N = @p step. */
bool run_directory_has_kept(const RunDirectory *run, size_t step);

/**
 * @brief Makes best.safetensors a link to the kept checkpoint of @p step, or to checkpoint.safetensors if @p step is 0.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_set_best(RunDirectory *run, size_t step);

/**
 * @brief Renames best.safetensors to checkpoint-step-N.safetensors, for N = @p step. It is the way of a checkpoint that
 * is from a later step than the one to which the user has returned: it stays until the run has computed that step
 * again.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_retire_best(RunDirectory *run, size_t step);

/** @brief Lists the steps of up to @p capacity files checkpoint-step-N.safetensors, ascending. @return their number */
size_t run_directory_kept(size_t *steps, size_t capacity, const char *path);

/** @brief Releases the lock and the memory; a zeroed struct is allowed. */
void run_directory_close(RunDirectory *run);

CS336_API_END

#endif

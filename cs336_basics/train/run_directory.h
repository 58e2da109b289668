/**
 * @file
 * @brief The files of a training run, and the order in which they change, so that a kill at any moment loses nothing.
 *
 * - checkpoint.safetensors is the newest state. The states before it that are kept are checkpoint-step-N.safetensors;
 * to go back to one, rename it to checkpoint.safetensors and resume.
 * - log.jsonl holds a line, and the disk has it, before a checkpoint of that step or a later one exists.
 * - config.json is the configuration of the latest start.
 * - One process at a time: it holds a lock on the directory, which the system takes back however the process ends.
 */
#ifndef CS336_TRAIN_RUN_DIRECTORY_H
#define CS336_TRAIN_RUN_DIRECTORY_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief What to do with a run that the directory holds already. */
typedef enum {
    RUN_NEW,      /**< refuse: nobody's run is lost */
    RUN_RESUME,   /**< go on from its checkpoint */
    RUN_OVERWRITE /**< delete it */
} RunStart;

typedef struct {
    char *path, *checkpoint, *log, *config;
    int lock;
    size_t keep;  /**< checkpoints that stay, the newest among them */
    size_t saved; /**< step of the newest checkpoint; 0: there is none, or it was not read */
} RunDirectory;

/**
 * @brief Says early, and changes nothing, whether run_directory_open() would refuse.
 * @retval CS336_EIO     another process writes there, the directory holds a run and @p start is RUN_NEW, it holds no
 * checkpoint and @p start is RUN_RESUME, or one of its names is not a regular file; the message says the way on
 */
CS336_MUST_CHECK Status run_directory_check(const char *path, RunStart start);

/** @brief True if a run in this directory writes or removes this file, by its real name: an input must be another. */
bool run_directory_owns(const char *path, const char *file);

/**
 * @brief Makes the directory, locks it, and removes what killed processes left half-written. RUN_OVERWRITE then removes
 * the old run, its newest checkpoint first: what remains after a kill cannot be resumed.
 * @retval CS336_EIO     as run_directory_check(); another process writes there; it cannot be made; a file cannot be
 *                       removed
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_open(RunDirectory *run, const char *path, RunStart start);

/**
 * @brief Before a checkpoint is written: gives the newest one a second name that stays. Finds the directory again if it
 * was renamed.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_keep_checkpoint(RunDirectory *run);

/**
 * @brief After a checkpoint of @p step was written or read: removes the older ones beyond those to keep, a second name
 * of the newest, and those of an earlier run whose steps have been computed again.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_prune(RunDirectory *run, size_t step);

/** @brief The steps of up to @p most kept checkpoints that are older than the newest, ascending. @return how many */
size_t run_directory_kept(size_t *steps, size_t most, const char *path);

/** @brief Gives the lock back; a zeroed struct is fine. */
void run_directory_close(RunDirectory *run);

CS336_API_END

#endif

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

#include "core/status.h"

#include <stddef.h>

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
    size_t saved; /**< step of the newest checkpoint; 0: there is none */
} RunDirectory;

/**
 * @brief Says early, and changes nothing, whether run_directory_open() would refuse.
 * @retval CS336_EIO     the directory holds a run and @p start is RUN_NEW, or another process writes to it
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_check(const char *path, RunStart start);

/**
 * @brief Makes the directory, locks it, and removes what killed processes left half-written. RUN_OVERWRITE then removes
 * the checkpoints of the run before, so that nobody can resume it once its log and configuration change.
 * @param keep  0 counts as 1
 * @retval CS336_EIO     as run_directory_check(); it cannot be made; a file in it cannot be removed
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_directory_open(RunDirectory *run, const char *path, RunStart start, size_t keep);

/** @brief Gives the newest checkpoint a second name that stays when the next one replaces it. @retval CS336_EIO,
 * CS336_ENOMEM */
CS336_MUST_CHECK Status run_directory_keep_checkpoint(const RunDirectory *run);

/**
 * @brief After a checkpoint of @p step was written or resumed: removes the older ones beyond those to keep, and those
 * of later steps, which this run computes again.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status run_directory_prune(RunDirectory *run, size_t step);

/** @brief The oldest checkpoint that is kept beside the newest one; 0: none. */
size_t run_directory_oldest(const char *path);

/** @brief Gives the lock back; a zeroed struct is fine. */
void run_directory_close(RunDirectory *run);

#endif

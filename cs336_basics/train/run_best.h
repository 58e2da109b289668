/**
 * @file
 * @brief Decides which checkpoint of a run is the best: the one with the lowest validation loss.
 *
 * - Only a step with a checkpoint can be the best. So trainer_run() saves one after each validation that is the best so
 *   far.
 * - Losses are compared as the log writes them, with nine digits. Of equal losses the first is the best. A loss that is
 *   not finite never is.
 * - Nothing but the log and the checkpoints says which one is the best. So a run that was killed and resumed agrees
 * with one that was not.
 */
#ifndef CS336_TRAIN_RUN_BEST_H
#define CS336_TRAIN_RUN_BEST_H

#include "core/api.h"
#include "core/status.h"
#include "train/run_directory.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief The best checkpoint so far. */
typedef struct {
    size_t step;     /**< of best.safetensors; 0: there is none */
    double val_loss; /**< its validation loss, run_log_rounded(); infinite if step is 0 */
    size_t since;    /**< validations of later steps, which were not better; all validations if step is 0 */
} RunBest;

/** @brief Returns the state before the first validation. */
RunBest run_best_none(void);

/**
 * @brief Finds the best checkpoint of a run that resumes, and makes best.safetensors a link to it.
 *
 * Its step is the one with the lowest validation loss in the log, among those whose checkpoint exists: as
 * best.safetensors, as checkpoint.safetensors or as a kept checkpoint. If best.safetensors is of a later step than
 * @p step, because the user has returned to an older checkpoint, run_directory_retire_best() renames it.
 * @param[out] best
 * @param[in]  run   an open directory whose log may still have lines of steps after @p step
 * @param[in]  step  of checkpoint.safetensors
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_best_restore(RunBest *best, RunDirectory *run, size_t step);

/**
 * @brief Counts a validation that is in the log.
 * @return true if it is better than the best so far: then save a checkpoint, and call run_best_saved()
 */
bool run_best_validated(RunBest *best, double val_loss);

/** @brief Records that the checkpoint of @p step is the best one, with this validation loss. */
void run_best_saved(RunBest *best, size_t step, double val_loss);

CS336_API_END

#endif

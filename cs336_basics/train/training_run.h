/**
 * @file
 * @brief Runs the training loop and writes its files: log, checkpoints and configuration (handout section 5.3, problem
 * training_together).
 *
 * train/run_directory.h describes these files and the order in which they change.
 *
 * Under mpirun all ranks call trainer_run(). Only rank 0 reads and writes these files: it sends the others what it has
 * restored, and they need only the files of tokens. If rank 0 cannot write a file, all ranks learn of it.
 */
#ifndef CS336_TRAIN_TRAINING_RUN_H
#define CS336_TRAIN_TRAINING_RUN_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "train/run_best.h"
#include "train/run_directory.h"
#include "train/run_log.h"
#include "train/trainer.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief What trainer_run() tells of a run beside its last entry. */
typedef struct {
    RunBest best;         /**< the checkpoint with the lowest validation loss */
    bool stopped_early;   /**< true if `patience` validations in a row brought no lower loss */
    bool owes_validation; /**< true if the run was asked to stop in a validation; resuming begins with it */
} RunOutcome;

/** @brief Functions that trainer_run() calls, and what it reads. Each pointer may be NULL. */
typedef struct {
    void (*step)(void *context, const RunLogEntry *entry, bool logged); /**< called after each step */
    /**
     * Called with a message for the user: settings that differ from those before a resume; or a line of the log or a
     * checkpoint in the middle of the run that could not be written. The run then continues, because the disk may have
     * space again later. If this is NULL, such a failure ends the run.
     */
    void (*notice)(void *context, const char *text);
    void *context; /**< passed to both functions */
    /**
     * If it becomes nonzero on one rank, the run finishes its step, saves and returns. It leaves a validation after the
     * batch that it computes; resuming does this validation again.
     */
    const atomic_int *stop;
    /** account_mfu() at one token per second, which the log multiplies by the speed; 0: unknown, the log has null */
    double mfu_per_speed;
    RunOutcome *outcome; /**< set when trainer_run() returns */
} TrainerObserver;

/**
 * @brief Trains until the run is complete, or until after the step `stop_at`.
 * @param directory  for the files of the run; made if it does not exist
 * @param start      what to do if the directory already contains a run
 * @param observer   may be NULL
 * @param last       entry of the last step, with the final validation loss if the run is complete
 * @retval CS336_OK           the run is complete, has reached stop_at, or has run out of patience; it is saved
 * @retval CS336_EINTERRUPTED the observer's stop flag was set; the run is saved
 * @retval CS336_EIO          a file could not be read or written, and the existing checkpoint is unchanged; or
 *                            run_directory_open() failed
 * @retval CS336_ERANGE       the loss or a weight is not finite; the existing checkpoint is unchanged
 * @retval CS336_EFORMAT      the checkpoint or the log to resume is damaged or belongs to another run, or the
 * checkpoint is beyond the last step; no file has changed
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_run(Trainer *trainer, const char *directory, RunStart start,
                                    const TrainerObserver *observer, RunLogEntry *last);

CS336_API_END

#endif

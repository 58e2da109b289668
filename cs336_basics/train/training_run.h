/**
 * @file
 * @brief The training loop with its files: log, checkpoints, configuration (handout section 5.3, problem
 * training_together).
 *
 * train/run_directory.h says which files a run has and in which order they change.
 */
#ifndef CS336_TRAIN_TRAINING_RUN_H
#define CS336_TRAIN_TRAINING_RUN_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "train/run_directory.h"
#include "train/run_log.h"
#include "train/trainer.h"

#include <stdbool.h>

CS336_API_BEGIN

/**
 * @brief Saves the run's whole state.
 * @retval CS336_EIO, CS336_ENOMEM
 * @retval CS336_ERANGE  a weight or moment is not finite; the file that was there is intact
 */
CS336_MUST_CHECK Status trainer_save(const Trainer *trainer, const char *path);

/**
 * @brief Goes back to a saved state.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, or of another model, batch size or seed; the trainer is unchanged
 * @retval CS336_ESHAPE   a weight has another shape; the trainer is unchanged
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_restore(Trainer *trainer, const char *path);

/** @brief What a run tells, and what it asks. */
typedef struct {
    void (*step)(void *context, const RunLogEntry *entry, bool logged); /**< after each step; NULL: nobody listens */
    /**
     * A line for people: a setting that differs from the run's so far; a line of the log or a checkpoint that could not
     * be written, after which the run goes on, as the disk may have room again later. NULL: such a failure ends the
     * run.
     */
    void (*notice)(void *context, const char *text);
    void *context;
    const atomic_int *stop; /**< not 0: finish the step, save and return; NULL: never */
} TrainerObserver;

/**
 * @brief Trains to the end, or to stop_at.
 * @param directory  made when missing
 * @param start      what to do with a run that the directory holds already
 * @param observer   NULL: nobody
 * @param last       the last step's entry; with the final validation loss when the run came to its end
 * @retval CS336_OK           steps, or stop_at, are done and saved
 * @retval CS336_EINTERRUPTED the observer asked to stop; saved
 * @retval CS336_EIO          a file could not be read or written; the checkpoint that was there is intact. Or the
 *                            directory holds a run and @p start is RUN_NEW, or another process writes to it
 * @retval CS336_ERANGE       the loss or a weight is not finite; the last checkpoint is intact
 * @retval CS336_EFORMAT      the checkpoint or the log to resume is damaged, or of another run
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trainer_run(Trainer *trainer, const char *directory, RunStart start,
                                    const TrainerObserver *observer, RunLogEntry *last);

CS336_API_END

#endif

/**
 * @file
 * @brief The course of a training run as JSON lines (handout section 7.1, problem experiment_log).
 *
 * - One object a line, with the keys step, tokens, seconds, train_loss, val_loss (when it was measured), lr, grad_norm
 *   and tokens_per_second. A number that is NaN or infinite, which JSON lacks, is null. Each line is in the file before
 *   training goes on.
 * - A run that resumes at a checkpoint first writes the log anew with the lines up to that step, so that no step stands
 * in it twice. A copy or a hard link of the old log keeps its lines.
 */
#ifndef CS336_TRAIN_RUN_LOG_H
#define CS336_TRAIN_RUN_LOG_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

typedef struct {
    size_t step;              /**< steps done */
    size_t tokens;            /**< tokens trained on, in all */
    double seconds;           /**< time spent on the run, by all processes that trained it */
    double train_loss;        /**< of this step's batch, before the step; nats per token */
    bool validated;           /**< val_loss was measured at this step */
    double val_loss;          /**< after the step */
    double lr;                /**< learning rate of this step */
    double grad_norm;         /**< before clipping */
    double tokens_per_second; /**< since the line before, without validation and saving */
} RunLogEntry;

typedef struct {
    FileWriter writer; /**< appends; its path is ours */
} RunLog;

/**
 * @brief Opens a log to append to.
 * @param[out] log
 * @param[out] seconds  of the last line that stays; 0 when none does
 * @param[in]  path     made when it is not there
 * @param[in]  step     lines of later steps go, and so does what a crash left of the lines after it; 0: all lines go
 * @retval CS336_EIO      it cannot be read or written
 * @retval CS336_EFORMAT  a line up to the step is no object with step and seconds; the message names it
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_open(RunLog *log, double *seconds, const char *path, size_t step);

/**
 * @brief Appends a line; when that fails, what had been written of it is taken back.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_append(RunLog *log, const RunLogEntry *entry);

/** @brief Brings all lines to the disk. @retval CS336_EIO */
CS336_MUST_CHECK Status run_log_sync(RunLog *log);

/** @brief Closes the file; a zeroed log is fine. */
void run_log_close(RunLog *log);

CS336_API_END

#endif

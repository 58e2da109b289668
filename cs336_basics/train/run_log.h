/**
 * @file
 * @brief Logs a training run as JSON lines (handout section 7.1, problem experiment_log).
 *
 * - Each line is an object with the keys step, tokens, seconds, train_loss, val_loss (if it was measured), lr,
 *   grad_norm, tokens_per_second and mfu; exchange_seconds and exchange_wait_seconds, if several ranks train
 *   (distributed/ranks.h); and norms, if they are measured, an object of three arrays with one number
 * for each layer: outputs, weights and gradients. JSON has no NaN and no infinity: such a number is written as null.
 * - A line is in the file before training continues. There is no buffer that a kill could lose.
 * - A run that resumes at a checkpoint first replaces the log by a file with only the lines up to that step. Otherwise
 *   the steps that are computed again would be in the log twice. A hard link of the old log keeps the old lines.
 * - A run that is stopped in a validation writes the line of that step without val_loss. When it resumes, it does the
 *   validation again and completes the line, so that each step has one line.
 */
#ifndef CS336_TRAIN_RUN_LOG_H
#define CS336_TRAIN_RUN_LOG_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "train/layer_norms.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief The numbers of one line. */
typedef struct {
    size_t step;              /**< steps done */
    size_t tokens;            /**< tokens trained on since the start of the run */
    double seconds;           /**< time that the run took so far, summed over all processes that resumed it */
    double train_loss;        /**< of this step's batch, before the update; nats per token */
    bool validated;           /**< true if val_loss was measured at this step */
    double val_loss;          /**< after the update; nats per token */
    double lr;                /**< learning rate of this step */
    double grad_norm;         /**< norm of all gradients, before clipping */
    double tokens_per_second; /**< since the previous line, without the time of validation and saving */
    double mfu;               /**< model FLOPs utilization at that speed, a share of 1; NaN if the peak is unknown */
    double exchange_seconds;  /**< that the exchange of gradients took per step since the previous line; 0: one rank */
    double exchange_wait_seconds; /**< of these, those in which the first rank waited; the others hid behind backward */
    const LayerNorms *norms;      /**< of this step, in memory of the trainer; NULL: not measured */
} RunLogEntry;

/** @brief An open log. */
typedef struct {
    FileWriter
        writer; /**< its stream appends to the log directly, without a temporary file; the RunLog owns its path */
} RunLog;

/**
 * @brief Opens a log to append to it.
 * @param[out] log
 * @param[out] seconds  `seconds` of the last line that is kept; 0 if none is
 * @param[in]  path     created if it does not exist
 * @param[in]  step     lines of later steps are removed, and damaged lines after the last one that is kept; 0 removes
 *                      all lines
 * @retval CS336_EIO      it cannot be read or written
 * @retval CS336_EFORMAT  a line up to the step is not an object with step and seconds; the message gives its number
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_open(RunLog *log, double *seconds, const char *path, size_t step);

/**
 * @brief Appends a line. On failure the file is cut to its old size, so that it never contains part of a line.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_append(RunLog *log, const RunLogEntry *entry);

/** @brief Returns the number that a reader of the log gets for @p number: it is written with nine digits. */
double run_log_rounded(double number);

/** @brief A validation of the log. */
typedef struct {
    size_t step;     /**< after which it was measured */
    double val_loss; /**< as run_log_rounded() gives it; NaN if the log has null */
} RunLogValidation;

/** @brief The validations of a log, in its order. */
typedef struct {
    RunLogValidation *items; /**< (count) owned until run_log_validations_deinit() */
    size_t count;            /**< validations */
    size_t last_step;        /**< of the last line that was read, with or without a validation; 0: there is none */
} RunLogValidations;

/**
 * @brief Reads the validations of the lines up to a step. Damaged lines are passed over: run_log_open() reports them.
 * @param[out] validations  none if the file does not exist
 * @param[in]  path, step   as for run_log_open()
 * @retval CS336_EIO     the file exists and cannot be read
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_validations(RunLogValidations *validations, const char *path, size_t step);

/** @brief Frees the list; a zeroed one is allowed. */
void run_log_validations_deinit(RunLogValidations *validations);

/**
 * @brief Completes the last line of an open log, which a stop in a validation has left without val_loss.
 *
 * The file is replaced by one in which that line has val_loss and seconds of @p entry, so that a kill leaves the old
 * line or the new one. On failure the old log stays open.
 * @param[in,out] log
 * @param[in]     path   of the log, which may have been moved since run_log_open()
 * @param[in,out] entry  step, seconds and val_loss are given; train_loss, grad_norm, tokens_per_second and mfu become
 *                       those of the line, NaN where it has null
 * @retval CS336_EIO
 * @retval CS336_EFORMAT  the last line is not of that step
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_log_complete(RunLog *log, const char *path, RunLogEntry *entry);

/** @brief Syncs all lines to the disk. @retval CS336_EIO */
CS336_MUST_CHECK Status run_log_sync(RunLog *log);

/** @brief Closes the file; a zeroed log is allowed. */
void run_log_close(RunLog *log);

CS336_API_END

#endif

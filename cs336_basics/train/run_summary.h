/**
 * @file
 * @brief Reads log.jsonl of a run: the numbers by which runs are compared, and the latest line of a run that still
 * trains.
 */
#ifndef CS336_TRAIN_RUN_SUMMARY_H
#define CS336_TRAIN_RUN_SUMMARY_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief What a log says about its run. Losses are in nats per token; NaN where the log has null or nothing. */
typedef struct {
    size_t lines;            /**< complete lines that were read; 0: the log is missing or empty, all else is 0 or NaN */
    size_t step;             /**< of the last line */
    double seconds;          /**< of the last line: time that the run took */
    double first_train_loss, /**< of the first line */
        train_loss;          /**< of the last line */
    bool validated;          /**< true if a line has a val_loss */
    double val_loss,         /**< of the last line that has one */
        best_val_loss;       /**< the least one */
    size_t best_step;        /**< of best_val_loss */
    double tokens_per_second; /**< tokens of all lines over the time that training them took */
} RunSummary;

/**
 * @brief Reads a whole log. A last line without a line feed is one that is still being written, and is left out. Other
 * lines that are no JSON object with a step are skipped: a crash may leave such lines at the end (train/run_log.h).
 * @retval CS336_EIO     the log exists and cannot be read
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_summary_read(RunSummary *summary, const char *path);

/**
 * @brief Reads the last lines of a log only, in a time that does not grow with its length. Then val_loss is that of the
 * newest of these lines that has one, and `lines`, the best loss and the speed count these lines only.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_summary_latest(RunSummary *summary, const char *path);

CS336_API_END

#endif

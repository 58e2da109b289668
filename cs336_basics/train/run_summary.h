/**
 * @file
 * @brief Reads log.jsonl of a run: the numbers by which runs are compared, and the latest line of a run that still
 * trains. `cs336 experiment` and `cs336 report` show the same numbers, from here.
 */
#ifndef CS336_TRAIN_RUN_SUMMARY_H
#define CS336_TRAIN_RUN_SUMMARY_H

#include "core/api.h"
#include "core/json.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief What a log says about its run. Losses are in nats per token; NaN where the log has null or nothing. */
typedef struct {
    size_t lines;            /**< complete lines that were read; 0: the log is missing or empty, all else is 0 or NaN */
    size_t step;             /**< of the last line */
    double tokens,           /**< of the last line that has them: trained on since the start of the run */
        seconds;             /**< of the last line that has them: time that the run took */
    double first_train_loss, /**< of the first line */
        train_loss;          /**< of the last line that has one */
    bool validated;          /**< true if a line has a val_loss */
    double val_loss,         /**< of the last line that has one */
        best_val_loss;       /**< the least one */
    size_t best_step,        /**< of best_val_loss; 0 if that is NaN */
        since_best;          /**< validations after that one; all of them if that is NaN */
    double tokens_per_second; /**< mean from the first line to the last, without the time of validation and saving. The
                                   speed of the first line itself counts only if it is the only one: it has the time in
                                   which caches and memory warm up */
    double timed_tokens,      /**< tokens between the first line and the last; tokens_per_second divides them by ... */
        timed_seconds;        /**< ... the sum over the lines of tokens since the line before / tokens_per_second */
} RunSummary;

/** @brief Returns the summary of a log without lines. */
RunSummary run_summary_none(void);

/** @brief Adds the next line of a log. Nothing changes if @p line is no JSON object with a step that a run can have. */
void run_summary_add(RunSummary *summary, const json_t *line);

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

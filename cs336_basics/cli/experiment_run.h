/**
 * @file
 * @brief One run of an experiment: trains it in a child process, and records how it ended.
 *
 * result.json in the run's directory has the run's status and settings. It is written before the training begins, with
 * the status "incomplete", and again when it ends. So a kill at any moment leaves a directory that can be resumed.
 */
#ifndef CS336_CLI_EXPERIMENT_RUN_H
#define CS336_CLI_EXPERIMENT_RUN_H

#include "cli/experiment_data.h"
#include "cli/experiment_file.h"
#include "cli/work.h"
#include "core/api.h"
#include "core/status.h"
#include "train/run_summary.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief How a run stands. */
typedef enum {
    RESULT_NONE,       /**< the directory has no result.json: the run was never begun */
    RESULT_INCOMPLETE, /**< begun, and stopped or killed before its end */
    RESULT_COMPLETE,   /**< trained to its end */
    RESULT_DIVERGED,   /**< a loss or weight was not finite, or the loss ended above that of a uniform guess */
    RESULT_REFUSED,    /**< it needs more memory than there is */
    RESULT_FAILED      /**< it ended with another error */
} ResultStatus;

/** @brief The names of the statuses in result.json and in reports, by ResultStatus. */
extern const char *const result_names[];

/** @brief What is recorded of a run. */
typedef struct {
    ResultStatus status; /**< how it stands */
    char message[512];   /**< why it diverged, was refused or failed; "" otherwise */
    json_t *settings;    /**< owned: its settings, and the fingerprint of the data; NULL with RESULT_NONE */
    RunSummary summary;  /**< from log.jsonl */
} RunResult;

/**
 * @brief Reads result.json and log.jsonl of a run's directory, which need not exist.
 * @retval CS336_EIO, CS336_ENOMEM
 * @retval CS336_EFORMAT  result.json is damaged
 */
CS336_MUST_CHECK Status run_result_read(RunResult *result, const char *directory);

/** @brief Frees the settings; a zeroed result is fine. */
void run_result_deinit(RunResult *result);

/** @brief True if the run has ended in a way that repeating it would not change: complete or diverged. */
bool run_result_is_settled(const RunResult *result);

/**
 * @brief True if the recorded run had other settings or other data than the run has today. False with RESULT_NONE.
 * @param[out] difference  room for @p size bytes: the first difference, as "lr 0.01 (was 0.001)"
 */
bool run_result_differs(const RunResult *result, const ExperimentRun *run, const ExperimentData *data, char *difference,
                        size_t size);

/** @brief Checks the settings of a run, before anything is trained. @return false after a line on stderr */
bool experiment_run_check(const Experiment *experiment, const ExperimentRun *run);

/** @brief What experiment_run_train() needs to know besides the run. */
typedef struct {
    const Experiment *experiment; /**< the file */
    const ExperimentData *data;   /**< its data */
    const char *title;            /**< for the line of progress: "run 3 of 8" */
    WorkProgress *progress;       /**< the line of progress */
    size_t threads;               /**< as the option --threads */
} RunContext;

/**
 * @brief Trains a run: resumes it if the directory has a checkpoint of the same settings, and otherwise begins it.
 * @param[out] result     how the run ended; a run that a signal stopped is incomplete
 * @param[in]  directory  the run's; made if it does not exist
 * @retval CS336_EIO      the directory cannot be written, or holds a run that is no part of an experiment
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status experiment_run_train(RunResult *result, const RunContext *context, const ExperimentRun *run,
                                             const char *directory);

CS336_INTERNAL_END

#endif

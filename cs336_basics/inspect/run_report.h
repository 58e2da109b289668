/**
 * @file
 * @brief Reads run directories for `cs336 report`: settings, curves, how the run ended, and its sample.
 *
 * Files of a run directory:
 * - log.jsonl     the curves (run_curves.h). It may be missing only if result.json says how the run ended.
 * - config.json   the settings. It may be missing or empty.
 * - result.json   how the run ended: {"status": "refused", "message": "...", "settings": {...}}. It may be missing, and
 *                 the status then follows from the log, as for the status "incomplete". The message says why. The
 *                 settings count if there is no config.json, which a run that was refused does not have.
 * - sample.txt    a text that the model wrote. It may be missing.
 *
 * A folder of run directories may have experiment.json with a title and a question.
 */
#ifndef CS336_INSPECT_RUN_REPORT_H
#define CS336_INSPECT_RUN_REPORT_H

#include "core/api.h"
#include "core/file.h"
#include "core/json.h"
#include "core/printable.h"
#include "core/status.h"
#include "inspect/run_curves.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum { REPORT_MAX_RUNS = 200 /**< of a report: more curves than that nobody can tell apart */ };

/** @brief A run. It owns its memory. Numbers that the log does not have are NaN. */
typedef struct {
    char *directory,  /**< path of the run directory */
        *name;        /**< what the report calls the run: a part of the path, not made printable */
    json_t *config;   /**< config.json, or the settings of result.json; NULL if there is neither */
    bool given_only;  /**< true if config is from result.json, which has no settings that were left at their defaults */
    bool diverged;    /**< result.json says so, or a loss in the log is null */
    RunCurves curves; /**< log.jsonl; its numbers are in curves.summary */
    LoadedFile sample;    /**< sample.txt; size 0 if it is missing */
    PrintableText status; /**< "complete", "diverged in step 37", "step 300 of 1500", ... */
    double best_step;     /**< step of the least validation loss */
    double perplexity;    /**< exp() of the least validation loss */
} ReportRun;

/** @brief The runs of a report. A zeroed struct is empty. */
typedef struct {
    ReportRun *runs; /**< (count) in the order of the paths; those of a folder by name, numbers in it by value */
    size_t count,    /**< runs in use, at most REPORT_MAX_RUNS */
        capacity;    /**< runs that there is room for */
    char *title,     /**< from experiment.json; NULL if there is none */
        *question;   /**< from experiment.json; NULL if there is none */
} Report;

/**
 * @brief Reads runs. Of several, one that cannot be read is shown without curves, and its status says why.
 * @param[out] report  zeroed on failure
 * @param[in]  paths   (count) run directories, or folders of run directories
 * @retval CS336_EIO      a path is neither; or the only run has no log, or a file that cannot be read
 * @retval CS336_EFORMAT  a JSON file of the only run is damaged; the message gives file and line
 * @retval CS336_ERANGE   there are more than REPORT_MAX_RUNS runs
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status report_read(Report *report, const char *const *paths, size_t count);

/** @brief True if a path is that of the run's result.json or sample.txt, perhaps by another name. */
bool report_run_has(const ReportRun *run, const char *path);

/**
 * @brief Compares two names as a person sorts them: digits count as numbers, so that lr-0.001 comes before lr-0.01 and
 * run-9 before run-10.
 * @return negative, 0 or positive as strcmp()
 */
int report_compare_names(const char *a, const char *b);

/** @brief Frees the memory; a zeroed struct is fine. */
void report_deinit(Report *report);

CS336_INTERNAL_END

#endif

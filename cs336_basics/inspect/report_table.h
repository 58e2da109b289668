/**
 * @file
 * @brief The table of a report (run_report.h): a row for each run, with its numbers and the settings in which runs
 * differ. The page and the terminal show the same texts.
 */
#ifndef CS336_INSPECT_REPORT_TABLE_H
#define CS336_INSPECT_REPORT_TABLE_H

#include "core/api.h"
#include "core/printable.h"
#include "core/status.h"
#include "inspect/run_report.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief A column of numbers. */
typedef struct {
    const char *heading;   /**< "final validation loss" */
    const char *short_one; /**< "val loss", for the terminal */
    size_t member;         /**< offset of the number, a double, in ReportRun */
    const char *format;    /**< printf format of the number */
} ReportColumn;

extern const ReportColumn report_columns[]; /**< the columns in order; one without a heading ends them */

/** @brief Returns the number of a run in a column; NaN if it has none. */
double report_number(const ReportColumn *column, const ReportRun *run);

/** @brief A text of a cell. */
typedef struct {
    char text[64]; /**< ends in a zero byte */
} ReportCell;

/** @brief Returns the number as text; "-" if the run has none. */
ReportCell report_cell(const ReportColumn *column, const ReportRun *run);

/** @brief True if a run has a number in the column, and not only counts of 0: otherwise the table leaves it out. */
bool report_column_used(const ReportColumn *column, const Report *report);

/** @brief A key of config.json. */
typedef struct {
    const char *key; /**< of the run's configuration, which owns it; printable() must come before a message */
    bool differs;    /**< true if two runs have different values, or one has none */
} ReportSetting;

/** @brief All keys of all runs. A zeroed struct is empty. */
typedef struct {
    ReportSetting *items; /**< (count) in the order of the files */
    size_t count,         /**< keys in use */
        capacity;         /**< keys that there is room for */
} ReportSettings;

/**
 * @brief Lists the settings of all runs and compares them as texts.
 * @param[out] settings  zeroed on failure
 * @param[in]  report    must outlive @p settings
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status report_settings(ReportSettings *settings, const Report *report);

/** @brief Returns a setting as text that is safe to print; "-" if the run does not have it. */
PrintableText report_setting_text(const ReportRun *run, const char *key);

/** @brief Frees the list; a zeroed struct is fine. */
void report_settings_deinit(ReportSettings *settings);

CS336_INTERNAL_END

#endif

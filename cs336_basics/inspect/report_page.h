/**
 * @file
 * @brief The page of `cs336 report`: curves (report_page.js), a table of runs, their settings, and samples.
 *
 * The table, the settings and the samples are HTML, so that they can be read without scripts. Only the curves need one.
 */
#ifndef CS336_INSPECT_REPORT_PAGE_H
#define CS336_INSPECT_REPORT_PAGE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "inspect/run_report.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Points of all curves of a page together: longer curves are thinned out (curve_thin()). A point has up to 50
 * bytes: its value, its line, and the line's step, tokens and seconds. So the curves need at most 1.4 MB.
 */
enum { REPORT_PAGE_POINTS = 28000 };

/** @brief Bytes of all samples of a page together. A longer sample is cut, and the page says so. */
enum { REPORT_PAGE_SAMPLE_BYTES = 300000 };

/**
 * @brief Writes the page.
 * @param[in] writer  an open file
 * @param[in] report  at least one run
 * @param[in] title   heading of the page; any text
 * @retval CS336_EIO     the file cannot be written
 * @retval CS336_ENOMEM
 * @see test_report_page_holds_curves_and_table
 */
CS336_MUST_CHECK Status report_page_write(FileWriter *writer, const Report *report, const char *title);

CS336_INTERNAL_END

#endif

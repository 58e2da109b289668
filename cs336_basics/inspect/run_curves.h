/**
 * @file
 * @brief Reads the log of a training run (train/run_log.h) as curves, one for each quantity, and thins curves out.
 *
 * - A quantity is a key of the log's lines: train_loss, lr, ... A number in an inner object or array has a key of all
 *   names on the way, such as `norms.weights.0`. Texts and truth values are no quantities.
 * - A line need not have every quantity. A curve has a point for each line that has its quantity.
 * - JSON has no NaN and no infinity: the log has null there, and the curve NaN.
 * - The run may still be training. A last line without an end is left out, and so are damaged lines at the end of the
 *   file, which a crash of the machine can leave.
 */
#ifndef CS336_INSPECT_RUN_CURVES_H
#define CS336_INSPECT_RUN_CURVES_H

#include "core/api.h"
#include "core/status.h"
#include "train/run_summary.h"

#include <stddef.h>

CS336_API_BEGIN

enum { RUN_CURVES_MAX = 1024 /**< quantities of a log. --log-norms writes some for each layer */ };

/** @brief A number of the log. */
typedef struct {
    size_t line;  /**< which of the log's lines has it, from 0 */
    double value; /**< NaN: the log has null */
} CurvePoint;

/** @brief A quantity's numbers in the order of the log. */
typedef struct {
    char *name;         /**< the key; it comes from a file, so printable() must come before a message */
    CurvePoint *points; /**< (count) with ascending lines */
    size_t count,       /**< points in use, at least 1 */
        capacity;       /**< points that there is room for */
} Curve;

/** @brief All quantities of a log. The struct owns its memory; a zeroed one is empty. */
typedef struct {
    Curve *curves;      /**< (count) in the order in which the log names them first */
    size_t count,       /**< curves in use, at most RUN_CURVES_MAX */
        capacity;       /**< curves that there is room for */
    RunSummary summary; /**< of the same lines */
} RunCurves;

/**
 * @brief Reads a log.
 * @param[out] curves  zeroed on failure
 * @param[in]  path    of log.jsonl
 * @retval CS336_EIO      the file cannot be read
 * @retval CS336_EFORMAT  a line that others follow is not a JSON object with a step; its step is smaller than that of
 *                        the line before; or there are more than RUN_CURVES_MAX quantities. The message gives the
 *                        line's number
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_curves_read(RunCurves *curves, const char *path);

/** @brief Returns the curve of a quantity, or NULL if no line has it. */
const Curve *run_curves_find(const RunCurves *curves, const char *name);

/** @brief Returns the value in a line (from 0); NaN if the line has none. A binary search. */
double curve_at(const Curve *curve, size_t line);

/**
 * @brief Chooses points of a curve for a picture, so that it keeps its shape: the first and the last point, and of each
 * of @p stretches stretches of consecutive points the smallest, the largest and the first NaN.
 * @param[out] kept      (3 stretches + 2) room for the result, in the order of the curve
 * @param[in]  curve     a curve of at most 3 stretches + 2 points is kept whole
 * @param[in]  stretches at least 1
 * @return the number of points in @p kept
 * @see test_thinning_keeps_extremes
 */
size_t curve_thin(CurvePoint *kept, const Curve *curve, size_t stretches);

/** @brief Frees the memory; a zeroed struct is fine. */
void run_curves_deinit(RunCurves *curves);

CS336_API_END

#endif

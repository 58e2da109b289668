/**
 * @file
 * @brief Charts of the figures as SVG, drawn by gnuplot. Without gnuplot there are no charts, and one line says so.
 */
#ifndef CS336_TESTS_BENCH_CHART_H
#define CS336_TESTS_BENCH_CHART_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { CHART_POINTS = 16 };

/** @brief The curves of ours and of the peer over some size. A missing y is NAN. */
typedef struct {
    const char *x, *y; /**< labels of the axes */
    const char *peer;  /**< name of the other curve; NULL: PyTorch */
    bool log_y;        /**< x is always logarithmic, because sizes grow by factors */
    struct {
        double x, ours, peer;
    } points[CHART_POINTS];
    size_t count;
} ChartCurve;

void chart_add(ChartCurve *curve, double x, double ours, double peer);

/** @brief Draws the curves, two charts side by side. Curves of fewer than two points are left out. @retval CS336_EIO
 * gnuplot failed */
CS336_MUST_CHECK Status chart_curves(const char *path, const char *title, const ChartCurve *const *curves,
                                     size_t count);

/** @brief One bar of chart_bars(). */
typedef struct {
    const char *name, *peer;
    double ratio;
} ChartBar;

/** @brief Draws a bar for each row, from 1 to its ratio, on a logarithmic axis. @retval CS336_EIO  gnuplot failed */
CS336_MUST_CHECK Status chart_bars(const char *path, const ChartBar *bars, size_t count);

#endif

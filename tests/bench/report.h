/**
 * @file
 * @brief The figures as files: bench.jsonl, and charts as SVG where gnuplot is installed.
 *
 * bench.jsonl holds the rows of one run, one object a line: {name, ours, unit, peer, peer_name, ratio, limit}. A
 * missing figure is null. The whole file is written again after each row, so an interrupted run leaves the rows that it
 * has measured. The file of an earlier run is renamed to bench.previous.jsonl.
 */
#ifndef CS336_TESTS_BENCH_REPORT_H
#define CS336_TESTS_BENCH_REPORT_H

#include "tests/bench/bench.h"

/** @brief Sets the directory of the files, and checks that it can be written. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_begin(const char *directory);

/** @brief Adds one row. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_add(const BenchRow *row, BenchResult result, const char *peer_name, double ratio);

/** @brief Returns the path of a file in the directory; valid until the next call. */
const char *report_path(const char *name);

/** @brief Draws the ratios of this run, and prints where the files are. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_end(void);

#endif

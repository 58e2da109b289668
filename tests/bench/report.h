/**
 * @file
 * @brief The figures as files: bench.jsonl, and charts as SVG where gnuplot is installed.
 *
 * bench.jsonl holds the rows of one run, one object a line: {name, ours, unit, peer, peer_name, ratio, limit}, null
 * where there is none. It is written anew after each row, whole, so that an interrupted run leaves what it has
 * measured. What an earlier run left moves to bench.previous.jsonl.
 */
#ifndef CS336_TESTS_BENCH_REPORT_H
#define CS336_TESTS_BENCH_REPORT_H

#include "tests/bench/bench.h"

/** @brief Says where the files go, and tries whether they can. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_begin(const char *directory);

/** @brief Adds one row. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_add(const BenchRow *row, BenchResult result, const char *peer_name, double ratio);

/** @brief The path of a file in the directory; valid until the next call. */
const char *report_path(const char *name);

/** @brief Draws the ratios of this run and says where everything is. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status report_end(void);

#endif

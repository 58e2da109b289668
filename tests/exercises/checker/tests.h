/**
 * @file
 * @brief Runs tests of the ordinary suites by name, with the learner's functions in place of ours.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_TESTS_H
#define CS336_TESTS_EXERCISES_CHECKER_TESTS_H

#include <stdbool.h>
#include <stddef.h>

/** @brief How a test ended. */
typedef struct {
    bool passed, skipped, of_course;
    bool endless;    /**< it failed because it did not end */
    char what[1024]; /**< where and how it failed, or why it cannot run here; "" if it passed */
} TestReport;

/**
 * @brief Runs one test in a process of its own.
 * @param[in] file  the learner's file, to find its lines in a sanitizer's report
 * @return false if there is no test of that name
 */
bool run_test(TestReport *report, const char *name, const char *file);

#endif

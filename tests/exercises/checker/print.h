/**
 * @file
 * @brief What a learner reads: matrices side by side, and verdicts.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_PRINT_H
#define CS336_TESTS_EXERCISES_CHECKER_PRINT_H

#include "tests/exercises/checker/diagnose.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/run.h"

/** @brief Prints the inputs of a case, and for each output the learner's numbers and the right ones. */
void print_case(Trial *t, const Run *run, Tolerance tolerance);

/** @brief Writes "name[1, 2]" for a number of an array, given its index in row-major order. */
void print_element(char *text, size_t size, const TrialArray *array, size_t index);

/**
 * @brief Writes a text in quotes, control characters and malformed UTF-8 as escapes. What does not fit is left out.
 * @param[in] bytes  (count) bytes as numbers
 */
void print_quoted(char *quoted, size_t size, const double *bytes, size_t count);

/** @brief Prints a verdict in colour, if standard output is a terminal: "ok", "WRONG", ... */
void print_verdict(bool good, const char *word, const char *format, ...) CS336_PRINTF_LIKE(3, 4);

#endif

/**
 * @file
 * @brief Runs the built program as a user would: from a shell, in a directory of its own.
 */
#ifndef CS336_TESTS_SUPPORT_PROGRAM_H
#define CS336_TESTS_SUPPORT_PROGRAM_H

#include "core/status.h"

/** @brief What the latest shell() printed, ended by a zero byte; cut at the size of the buffers. */
extern char shell_output[1 << 16], shell_errors[1 << 13];

/**
 * @brief Runs a line of sh in the test's temporary directory, where `cs336` is the program under test and $program its
 * path.
 * @return the exit code; the test fails when a signal ended it
 */
int shell(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief Fails unless the line ends with @p code and, on stderr, exactly @p errors and a line feed. */
void assert_shell_fails(int code, const char *errors, const char *line);

/** @brief Fails, printing both streams, unless the line exits with 0 and prints nothing to stderr. */
void assert_shell_ok(const char *line);

#endif

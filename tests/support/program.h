/**
 * @file
 * @brief Runs the built program as a user does: from a shell, in a temporary directory.
 */
#ifndef CS336_TESTS_SUPPORT_PROGRAM_H
#define CS336_TESTS_SUPPORT_PROGRAM_H

#include "core/status.h"

/** @brief The output of the latest shell(), ended by a zero byte and cut at the size of the buffers. */
extern char shell_output[1 << 16], shell_errors[1 << 13];

/**
 * @brief Runs a line of sh in the test's temporary directory. In it, `cs336` is the program under test, $program its
 * path.
 * @return the exit code; the test fails if a signal ended the shell
 */
int shell(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief Fails unless the line exits with @p code and prints exactly @p errors and a line feed to stderr. */
void assert_shell_fails(int code, const char *errors, const char *line);

/** @brief Fails, printing both streams, unless the line exits with 0 and prints nothing to stderr. */
void assert_shell_ok(const char *line);

/** @brief Fails unless the output of the latest shell() or terminal_run() contains @p text. */
void assert_prints(const char *text);

#endif

/**
 * @file
 * @brief Runs the built program on a pseudo-terminal and types keys.
 */
#ifndef CS336_TESTS_SUPPORT_TERMINAL_H
#define CS336_TESTS_SUPPORT_TERMINAL_H

/**
 * @brief Runs a line of sh in the test's temporary directory, with a pseudo-terminal as its standard streams.
 *
 * shell_output (tests/support/program.h) receives what appears on the terminal; lines end in "\r\n".
 * @param line      `$program` is the path of the program under test; with `exec "$program" ...` no shell runs in
 * between
 * @param wait_for  NULL, or a text: when it first appears, @p keys are typed
 * @param keys      "\003" is Ctrl-C
 * @return the exit code, or minus the number of the signal that ended the line
 */
int terminal_run(const char *line, const char *wait_for, const char *keys);

/** @brief For TEST_UNLESS(), in every test that calls terminal_run(): NULL, or that this machine has no terminals. */
const char *no_terminal(void);

#endif

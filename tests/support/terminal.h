/**
 * @file
 * @brief Runs the built program on a terminal, and types there.
 */
#ifndef CS336_TESTS_SUPPORT_TERMINAL_H
#define CS336_TESTS_SUPPORT_TERMINAL_H

/**
 * @brief Runs a line of sh in the test's temporary directory. Its standard streams are a terminal; what appears there
 * is in shell_output (tests/support/program.h), line ends as "\r\n".
 * @param line      where $program is the program under test; `exec "$program" ...` leaves no shell between
 * @param wait_for  NULL, or the text at whose first appearance @p keys are typed
 * @param keys      "\003" is Ctrl-C
 * @return the exit code, or minus the number of the signal that ended the line
 */
int terminal_run(const char *line, const char *wait_for, const char *keys);

#endif

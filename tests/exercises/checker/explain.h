/**
 * @file
 * @brief Says in one line how a process ended that ran the learner's code.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_EXPLAIN_H
#define CS336_TESTS_EXERCISES_CHECKER_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

enum {
    EXIT_TODO = 9,     /* TODO() of learn.h exits with it */
    EXIT_ENDLESS = 98, /* the time limit of run_limit() */
};

/**
 * @brief Explains the end of a process, from what it printed and from its wait() status.
 * @param[out] what  one line: the place in the learner's file, if the text names it, and what happened there
 * @param[in]  text  what the process printed: a sanitizer's report, a failed assertion, or nothing of interest
 * @param[in]  file  the learner's file, as the compiler saw its name
 */
void explain(char *what, size_t size, const char *text, int wait_status, const char *file);

/** @brief Writes "FILE:LINE" of the first place in @p text that is in @p file; false if there is none. */
bool explain_place(char *place, size_t size, const char *text, const char *file);

#endif

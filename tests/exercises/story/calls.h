/**
 * @file
 * @brief Counts the calls of the learner's functions, and knows which one is running.
 *
 * The program calls a function of the learner, such as softmax_forward(), through a wrapper of the same name, which
 * write_wrappers.awk generates from the header. The wrapper calls calls_enter(), then the learner's function, then
 * calls_leave(). So a failure, a NaN, a crash or an endless loop can be told with the name of the function.
 */
#ifndef CS336_TESTS_EXERCISES_STORY_CALLS_H
#define CS336_TESTS_EXERCISES_STORY_CALLS_H

#include "core/status.h"
#include "core/tensor.h"

#include <stdbool.h>

/** @brief One function of the learner. */
typedef struct {
    const char *name;
    size_t calls;
} CountedFunction;

/** @brief All functions of the learner that are linked; generated. The last name is NULL. */
extern CountedFunction counted_functions[];

/** @brief Counts a call, and remembers that the function is running. */
void calls_enter(size_t function);

/**
 * @brief Remembers that the function has returned.
 * @param s       what it returned; the first failure is remembered with its message
 * @param output  what it has written, and the first NaN in it is remembered; NULL: not a tensor
 */
void calls_leave(size_t function, Status s, const Tensor *output);

/** @brief Counts no call from here on: what follows compares stories, and is not part of one. */
void calls_stop_counting(void);

/** @brief Makes a crash, an early end of the program and the passing of @p seconds print which function is running. */
void calls_watch(unsigned seconds);

/** @brief Ends that watch. */
void calls_unwatch(void);

/** @brief Prints a failure with the learner's function that failed first, on standard error. */
void calls_print_failure(Status s);

/** @brief Prints which function of the learner wrote the first NaN, on standard error; nothing if none did. */
void calls_print_nan(void);

/** @brief Prints each function with the number of its calls, and why it was not called. @p trained: a model was. */
void calls_print_table(bool trained);

#endif

/**
 * @file
 * @brief Runs a case in a child process, so that the checker survives whatever the learner's code does.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_RUN_H
#define CS336_TESTS_EXERCISES_CHECKER_RUN_H

#include "tests/exercises/checker/exercise.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    RUN_FINISHED, /**< the function returned CS336_OK; its numbers are to be compared */
    RUN_TODO,     /**< it called TODO() */
    RUN_REFUSED,  /**< it returned an error */
    RUN_BROKE,    /**< it crashed, or touched memory that is not its own */
    RUN_ENDLESS,  /**< it did not end */
} RunEnd;

/** @brief What became of one array. */
typedef struct {
    bool changed;          /**< an input was written to */
    bool gaps_changed;     /**< a number between the rows of an output was written to */
    size_t unwritten;      /**< numbers of an output that were never written */
    const void *block;     /**< its address in the child, to know an address in a report by; NULL: it has none */
    size_t block_bytes;    /**< its size */
    const double *numbers; /**< after the call; NULL for an input */
    size_t count;          /**< of numbers */
} RunArray;

typedef struct {
    RunEnd end;
    bool differs;        /**< a second call with the same inputs gave other results */
    size_t scratch_kept; /**< bytes of scratch that were not given back */
    char what[1024];     /**< one line that says how it ended; "" if it finished */
    char printed[2048];  /**< what the learner's code printed, cut to this size */
    RunArray arrays[TRIAL_ARRAYS];
    double *numbers; /**< owns the numbers of all arrays */
} Run;

/** @brief Frees what run_case() allocated. */
void run_deinit(Run *run);

/** @brief Runs one case. @param[in] file  the learner's file, as the compiler saw its name */
void run_case(Run *run, const Case *c, const char *file);

/**
 * @brief Runs all cases in a new process of this program, which then looks for memory that nobody freed.
 * @return true if there is a leak; @p what then says where
 */
bool run_finds_leak(char *what, size_t size, const char *program, const Exercise *exercise, const char *file);

/** @brief The other side of run_finds_leak(). It ends the process with a status that tells whether there is a leak. */
_Noreturn void run_leak_check(const Exercise *exercise);

/** @brief A process that waits, for input or another process, may take so many times the limit of run_limit(). */
enum { RUN_WAITS = 6 };

/**
 * @brief Ends this process with EXIT_ENDLESS and a stack trace when it has computed so long, and when it fills the
 * disk. Only its own time counts, so that a busy machine does not end it. 0: no limit.
 */
void run_limit(unsigned seconds);

/** @brief Sends standard output and standard error of this process to a temporary file. Exits if it cannot. */
int run_capture(void);

/** @brief Reads what was captured. If it does not fit, its middle is left out: reports of sanitizers are at the end. */
void run_read(int file, char *text, size_t size);

#endif

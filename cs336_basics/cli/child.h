/**
 * @file
 * @brief Runs a function in a child process, so that its failure, its memory and its threads end with it.
 *
 * fork() copies only the calling thread. A process that has started OpenMP threads must therefore not start a child:
 * the child's OpenMP would wait for threads that it does not have. Whoever uses this file leaves all computing to the
 * children.
 */
#ifndef CS336_CLI_CHILD_H
#define CS336_CLI_CHILD_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <sys/types.h>

CS336_INTERNAL_BEGIN

/** @brief A child process that has not ended yet, as far as its parent knows. */
typedef struct {
    pid_t process; /**< its id */
    int report;    /**< the end of a pipe from which the ChildEnd is read */
} Child;

/** @brief Where a child's output goes. */
typedef struct {
    const char *output; /**< file for standard output; NULL: as in the parent */
    const char *errors; /**< file for standard error, which may be the same; NULL: as in the parent */
    bool append;        /**< true: add to the files; false: begin them anew */
} ChildStreams;

/** @brief How a child ended. */
typedef struct {
    int signal;        /**< number of the signal that ended it; 0: it ended by itself */
    int code;          /**< what its function returned, if no signal ended it */
    char message[512]; /**< status_message() when the function returned */
} ChildEnd;

/**
 * @brief Starts a child process, which calls @p run with @p context and ends when the function returns. On Linux the
 * kernel sends it SIGTERM if the parent dies first; elsewhere it then runs to its end.
 * @retval CS336_EIO  a file cannot be written, or there is no process left
 */
CS336_MUST_CHECK Status child_start(Child *child, ChildStreams streams, int (*run)(void *context), void *context);

/**
 * @brief Waits for the end of a child.
 * @param[out] end           set if the child has ended
 * @param[in]  child         a child for which this function has not returned true yet
 * @param[in]  milliseconds  how long to wait; -1: without limit. A signal ends the waiting earlier
 * @return true if the child has ended
 */
bool child_wait(ChildEnd *end, const Child *child, int milliseconds);

/** @brief Asks a child to end: sends SIGTERM, upon which `cs336 train` saves its run. */
void child_ask_to_stop(const Child *child);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief Ends a run of several ranks when one of them fails, and says which one, on which host, and how to go on.
 *
 * MPI waits minutes for a rank that is stopped or cut off, and does not say which one it is. So each rank has a thread
 * that does not call MPI, and a TCP connection of its own to rank 0 (distributed/control_link.h). Each second, or a
 * twelfth of the limit below, a rank sends what it is doing to rank 0, and rank 0 to all.
 *
 * - A rank that dies ends its connection, which rank 0 notices at once. It prints one line and ends the run.
 * - A rank that is stopped or cut off sends nothing. After 12 s of silence rank 0 prints the line and ends the run. A
 *   rank that hears nothing from rank 0 ends itself.
 * - If rank 0 itself fails, its deputy prints the line: the first rank on another host, or rank 1 if there is no other
 *   host. If rank 0 and its deputy fail at once, there is no line.
 * - A rank that lives but keeps the others waiting, because a disk is slow for instance, ends nothing. After 10 s one
 *   line names it.
 * - A rank says goodbye before it ends, so that a good end and an ordinary error print nothing here. A signal such as
 *   SIGTERM, which mpirun sends to all ranks at Ctrl-C, says so too: rank 0 then prints how to go on, once.
 * - Silence is counted in heartbeats of the counting process, not in seconds. So a laptop that sleeps, and Ctrl-Z, end
 *   nothing.
 *
 * The line goes to ranks_stderr(), and the thread ends its process without a word to MPI, which the main thread may be
 * inside of. mpirun then ends the other ranks.
 *
 * The environment variable CS336_WATCHDOG_SECONDS of rank 0 sets the limit of silence, by default 12; the other times
 * grow and shrink with it. 0 is for networks that let no TCP connection through: it starts no watchdog.
 *
 * With one rank nothing here has an effect.
 */
#ifndef CS336_DISTRIBUTED_WATCHDOG_H
#define CS336_DISTRIBUTED_WATCHDOG_H

#include "core/api.h"
#include "core/status.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Reads CS336_WATCHDOG_SECONDS: after how many seconds of silence a rank is lost; 0: never.
 * @retval CS336_ERANGE  it is not a number of seconds
 */
CS336_MUST_CHECK Status watchdog_read_limit(double *seconds);

/**
 * @brief Connects the ranks, and begins to watch. Collective. Call recovery_set() before.
 * @retval CS336_EIO     a rank cannot connect to rank 0
 * @retval CS336_ERANGE  CS336_WATCHDOG_SECONDS is not a number of seconds
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status watchdog_begin(void);

/**
 * @brief Says goodbye to the other ranks, and ends the watching. Not collective.
 * @param exit_code  of this rank. If it is not 0, and the others do not end soon as well, they are ended, with this
 *                   rank's status_message()
 */
void watchdog_end(int exit_code);

/** @brief Says what this rank does from now on, such as "step 12" or "writing run/checkpoint.safetensors". */
void watchdog_activity(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/**
 * @brief The same, for what one rank does alone while the others wait, such as learning merges from words that all have
 * counted: however long it takes, no line says so.
 */
void watchdog_activity_alone(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief recovery_set_saved(), and tells it to the other ranks at once. */
void watchdog_saved(size_t step);

/**
 * @brief Says that a signal has asked this process to end, as mpirun sends it a second before it kills. A signal
 * handler may call it.
 */
void watchdog_terminating(void);

/**
 * @brief Ends all ranks at once, with one line that names this rank, its host, and what has failed. It is for a failure
 * of which the other ranks cannot know, because they wait inside MPI for this one. It does not return.
 */
CS336_NO_RETURN void watchdog_abort(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

CS336_INTERNAL_END

#endif

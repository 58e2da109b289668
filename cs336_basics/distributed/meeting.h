/**
 * @file
 * @brief Ends a start of several ranks at which not all of them arrive.
 *
 * MPI waits for all ranks without a limit while it starts, and the watchdog (distributed/watchdog.h) can only begin
 * when they have met, some tenths of a second after the start. Until then nobody else would notice a rank that is
 * stopped, and `mpirun -q` says nothing of one that has died.
 *
 * - If the ranks have not met after 22 s, ten more than CS336_WATCHDOG_SECONDS, rank 0 prints a line and ends the run.
 *   If rank 0 is the one that is missing, rank 1 does it two seconds later.
 * - When a signal such as SIGTERM ends rank 0, it prints a line. mpirun sends that signal to all ranks after one has
 *   died, and after Ctrl-C. If rank 0 itself has died, there is no line.
 * - In both cases mpirun is killed if it has not ended after six seconds (distributed/launcher.h).
 *
 * Both lines say how to begin again (distributed/recovery.h). CS336_WATCHDOG_SECONDS=0 leaves the limit out.
 */
#ifndef CS336_DISTRIBUTED_MEETING_H
#define CS336_DISTRIBUTED_MEETING_H

#include "core/api.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Begins to wait for the other ranks, in a thread of its own, if a launcher has started several. Call
 * recovery_set() before, and ranks_begin() after it.
 */
void meeting_begin(void);

/** @brief Says that the ranks have met, or will not; gives signals the actions that they had before. */
void meeting_end(void);

CS336_INTERNAL_END

#endif

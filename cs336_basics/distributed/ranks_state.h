/**
 * @file
 * @brief What the sources of ranks.h share: ranks.c, and ranks_mpi.c or ranks_alone.c, as the build has MPI or not.
 */
#ifndef CS336_DISTRIBUTED_RANKS_STATE_H
#define CS336_DISTRIBUTED_RANKS_STATE_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "distributed/ranks.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief What ranks_begin() learned, and how many transfers there were. */
typedef struct {
    int count,                       /**< how many ranks there are: ranks_count() returns it */
        own,                         /**< the number of this rank, from 0: ranks_own() returns it */
        stderr_descriptor;           /**< the terminal's standard error, also if this rank is silent: ranks_stderr() */
    bool joined;                     /**< true from MPI_Init to MPI_Finalize, while MPI's functions may be called */
    char (*hosts)[RANKS_HOST_BYTES]; /**< (count) the name of each rank's host; NULL until ranks_begin() gathers them */
    char own_host[RANKS_HOST_BYTES]; /**< the name of this rank's host */
    atomic_ulong begun,              /**< number of transfers that have begun, for ranks_transfers() */
        completed;                   /**< number of transfers that are complete, for the same */
} RanksState;

/** @brief The one state of this process. */
extern RanksState ranks_state;

/** @brief The tag of ranks_tasks_abandon(), before those that ranks_start_send() gets. */
enum { RANKS_NOTICE = -1 };

/** @brief Returns the lowest rank on the host of a rank. */
int ranks_first_on_host(int rank);

/**
 * @brief Refuses to be one of @p count processes that do not know of each other. Each of them fails, and one says why:
 * the others take the number that their launcher gave them, for which main() prints nothing.
 * @retval CS336_ERANGE  always
 */
CS336_MUST_CHECK Status ranks_refuse(int count, const char *reason);

/** @brief Begins to share tasks as a rank that shares no memory with others. @param first  its first task */
void ranks_tasks_alone(RanksTasks *tasks, size_t first);

CS336_INTERNAL_END

#endif

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
    int count,                       /**< see ranks_count() */
        own,                         /**< see ranks_own() */
        stderr_descriptor;           /**< see ranks_stderr() */
    bool joined;                     /**< MPI is in use */
    char (*hosts)[RANKS_HOST_BYTES]; /**< (count), or NULL before the ranks have met */
    char own_host[RANKS_HOST_BYTES]; /**< the name of this rank's host */
    atomic_ulong begun,              /**< transfers that have begun: ranks_transfers() */
        completed;                   /**< transfers that are complete */
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

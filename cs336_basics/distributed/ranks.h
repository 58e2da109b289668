/**
 * @file
 * @brief The processes that `mpirun -n N cs336 ...` starts: who they are, and how they send each other bytes.
 *
 * - MPI calls each of the N processes a rank, and numbers them from 0. All run the same command with the same options.
 *   Rank 0 prints and writes files; the others lend it their processors and memory.
 * - Without mpirun there is one rank, number 0, and no function here calls MPI. A caller needs no second path.
 * - `make MPI=1` builds with MPI. A program without it that mpirun starts several times refuses to run: see
 *   ranks_begin().
 * - A collective function is one that all ranks must call, in the same order. It returns when it has what it needs from
 *   the others. Within it a rank may wait for the slowest one.
 * - An error inside MPI ends all ranks, so these functions return no Status. A rank that has failed tells the others
 *   with ranks_agree().
 * - Only one thread at a time may be inside a function of this file that calls MPI.
 *
 * ranks_mpi.c is the only file that includes MPI's header.
 */
#ifndef CS336_DISTRIBUTED_RANKS_H
#define CS336_DISTRIBUTED_RANKS_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief The most bytes of a host's name that ranks_host() returns, with the 0 at its end. */
enum { RANKS_HOST_BYTES = 64 };

/** @brief True if this program was built with MPI. */
bool ranks_are_available(void);

/**
 * @brief Tells what the launcher has said to this process, before ranks_begin(): mpirun of OpenMPI or MPICH, or srun.
 * @param[out] own  the number of this rank; 0 if it is not said
 * @return the number of processes that were started; 0: there is no launcher; 1 also stands for a number that is not
 * said
 */
int ranks_launched(int *own);

/**
 * @brief Joins the other ranks, if a launcher such as mpirun or srun has started this process. Collective.
 *
 * Afterwards standard output and standard error of all ranks but 0 lead nowhere, so that no line appears N times.
 * ranks_stderr() still reaches the terminal.
 * @retval CS336_ERANGE  a launcher has started several processes, and this program was built without MPI
 * @retval CS336_EIO     MPI cannot be used
 */
CS336_MUST_CHECK Status ranks_begin(void);

/** @brief Leaves the other ranks. Collective, unless ranks_begin() did not join any. Nothing here may be called then.
 */
void ranks_end(void);

/** @brief Ends all ranks at once, with this exit code. Files that are not renamed yet stay temporary files. */
CS336_NO_RETURN void ranks_abort(int exit_code);

/**
 * @brief Ends all ranks with exit code 1, and one line that has this rank's number, its host and its status_message():
 * watchdog_abort().
 *
 * It is for a failure of which the others cannot be told, because they wait for this rank inside a collective function.
 */
CS336_NO_RETURN void ranks_give_up(void);

/** @brief Returns the number of ranks; 1 without mpirun. */
int ranks_count(void);

/** @brief Returns this process's number, from 0 to ranks_count() - 1. */
int ranks_own(void);

/** @brief Returns the name of the host on which a rank runs. */
const char *ranks_host(int rank);

/** @brief Returns the number of hosts on which ranks run. Hosts are told apart by their names. */
int ranks_hosts(void);

/** @brief Returns the number of ranks on this rank's host, which share its memory; at least 1. */
int ranks_on_own_host(void);

/** @brief Returns the descriptor of this rank's standard error before ranks_begin() closed it. */
int ranks_stderr(void);

/**
 * @brief Tells how many collective functions and transfers this rank has begun, and how many of them are complete. If
 * both differ, and `completed` does not grow, the rank waits for another one. Any thread may call it at any time.
 */
void ranks_transfers(unsigned long *begun, unsigned long *completed);

/** @brief Waits until all ranks have called this. Collective. */
void ranks_barrier(void);

/** @brief Gives all ranks the bytes that rank 0 has. Collective. @param[in,out] data  of `bytes` bytes on every rank */
void ranks_broadcast(void *data, size_t bytes);

/**
 * @brief Gives all ranks the bytes of all ranks. Collective.
 * @param[out] all   ranks_count() times `bytes` bytes, in the order of the ranks
 * @param[in]  own   `bytes` bytes of this rank; not inside `all`
 */
void ranks_gather_all(void *all, const void *own, size_t bytes);

/**
 * @brief Sends a part of `sent` to each rank, and receives a part from each. Collective (MPI_Alltoallv). Parts follow
 * each other in the order of the ranks, without gaps.
 * @param[out] received       the parts of all ranks for this one
 * @param[in]  receive_bytes  ranks_count() lengths; the sender of a part must give the same length
 * @param[in]  sent           this rank's parts for all ranks
 * @param[in]  send_bytes     ranks_count() lengths
 */
void ranks_exchange(void *received, const size_t *receive_bytes, const void *sent, const size_t *send_bytes);

/**
 * @brief Tells the other ranks whether this one has failed. Collective.
 * @param own  this rank's status, with its message if it is a failure
 * @return CS336_OK if no rank has failed. Else the status of the first that has, on every rank, and status_message() is
 *         its message; it begins with the rank and its host, unless all ranks have failed alike
 */
CS336_MUST_CHECK Status ranks_agree(Status own);

/**
 * @brief Gives all ranks the status and the message of rank 0, for work that only rank 0 does. Collective.
 * @param own  the status of this rank's work; ignored on other ranks than 0
 */
CS336_MUST_CHECK Status ranks_follow_first(Status own);

/**
 * @brief Adds the numbers of all ranks, in the order of the ranks. All ranks get the same sums. Collective.
 * @param[in,out] numbers  (count) this rank's, then the sums
 */
void ranks_sum(double *numbers, size_t count);

/** @brief Returns true on all ranks if @p own is true on one of them. Collective. */
bool ranks_any(bool own);

/* ---- tasks that the ranks share ---- */

/**
 * @brief How the ranks share tasks 0, 1, 2, ...: of every `step` tasks, `group` from `first` on are those of this
 * rank's host. Its ranks take them one after the other, so that a rank that is faster does more of them.
 */
typedef struct {
    size_t first,            /**< the host's first task */
        group,               /**< at least 1 */
        step;                /**< at least 1 */
    atomic_size_t *taken;    /**< how many of the host's tasks were taken; all ranks of the host see this number */
    atomic_size_t own_taken; /**< this number if the rank shares no memory with others */
    atomic_int notices;      /**< how many other ranks are known to have failed: ranks_tasks_abandon() */
    bool abandons;           /**< this rank has called ranks_tasks_abandon() */
} RanksTasks;

/**
 * @brief Begins to share tasks. Collective. Ranks that cannot share memory, although they run on one host, get fixed
 * parts. The struct may not move until ranks_tasks_end(), which must come before another ranks_tasks_begin().
 */
void ranks_tasks_begin(RanksTasks *tasks);

/** @brief Returns the number of a task that no other call on any rank returns. Several threads may call it at once. */
size_t ranks_tasks_take(RanksTasks *tasks);

/**
 * @brief Tells the other ranks that this one has failed, so that they need not do their tasks. Not collective; the
 * ranks still call ranks_tasks_end(), and then ranks_agree() for the failure.
 */
void ranks_tasks_abandon(RanksTasks *tasks);

/**
 * @brief True if another rank has called ranks_tasks_abandon(). Several threads may call it at once, between tasks;
 * only thread 0 of a parallel loop looks for news.
 */
bool ranks_tasks_abandoned(RanksTasks *tasks);

/** @brief Ends the sharing. Collective. */
void ranks_tasks_end(RanksTasks *tasks);

/* ---- while this rank computes ---- */

/** @brief A transfer that goes on while the ranks compute. A zeroed struct is one that is complete. */
typedef struct {
    void *request;      /**< MPI's, or NULL if the transfer is complete */
    int *counts,        /**< numbers of each part, for MPI; freed when the transfer is complete */
        *displacements; /**< where each part begins; freed too */
} RanksTransfer;

/**
 * @brief Begins a ranks_exchange() of float32 numbers, and returns at once. Collective.
 *
 * MPI sends and receives only while some thread is inside one of its functions: call ranks_transfer_is_complete()
 * often. The buffers belong to the transfer until it is complete. All ranks begin their exchanges in the same order,
 * and so their gathers (ranks_start_gather()). An exchange and a gather may begin in another order on each rank.
 * @param receive_counts, send_counts  numbers, not bytes; the sum of each is below 2^31
 * @retval CS336_ENOMEM  nothing was begun: the rank must end the run, because the others wait for it
 */
CS336_MUST_CHECK Status ranks_start_exchange(RanksTransfer *transfer, float *received, const size_t *receive_counts,
                                             const float *sent, const size_t *send_counts);

/**
 * @brief Begins to give all ranks the parts of all ranks, and returns at once, as ranks_start_exchange(). Collective.
 * @param[in,out] all     the parts in the order of the ranks, without gaps; this rank's own part is in its place
 * @param         counts  numbers in each part; their sum is below 2^31
 */
CS336_MUST_CHECK Status ranks_start_gather(RanksTransfer *transfer, float *all, const size_t *counts);

/** @brief True if the transfer is complete. Lets MPI send and receive what it can without waiting. */
bool ranks_transfer_is_complete(RanksTransfer *transfer);

/* ---- messages from one rank to another ---- */

/**
 * @brief Begins to send a message to another rank, and returns at once. The bytes belong to the transfer until it is
 * complete. Not collective. Messages to one rank with one tag are received in the order in which they were sent.
 *
 * A long message (some KiB, as MPI chooses) is complete only when the other rank has received it, so a sender that
 * waits for it cannot run ahead of its receiver.
 * @param to     not this rank
 * @param tag    from 0 on: which kind of message it is, as ranks_receive() asks for it
 * @param bytes  less than 2^31
 * @retval CS336_ENOMEM  nothing was begun
 */
CS336_MUST_CHECK Status ranks_start_send(RanksTransfer *transfer, int to, int tag, const void *data, size_t bytes);

/**
 * @brief Receives a message, if one has arrived. Does not wait for one. Not collective.
 * @param[in,out] from      the rank to receive from; -1: any of them, and then it is set to the sender
 * @param         tag       of ranks_start_send()
 * @param[out]    data      overwritten
 * @param         capacity  bytes of `data`; no such message may be longer
 * @param[out]    bytes     length of the message
 * @return false if none has arrived
 */
bool ranks_receive(int *from, int tag, void *data, size_t capacity, size_t *bytes);

CS336_INTERNAL_END

#endif

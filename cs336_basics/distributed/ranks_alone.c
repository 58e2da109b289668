/* The functions of ranks.h in a build without MPI: there is one rank. */
#define _POSIX_C_SOURCE 200809L
#include "distributed/ranks_state.h"

#ifndef CS336_HAVE_MPI

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds that a rank waits for mpirun to end it: when rank 0 fails, mpirun ends all other ranks within one second. */
enum { ALONE_SECONDS = 2 };

bool ranks_are_available(void)
{
    return false;
}

Status ranks_begin(void)
{
    gethostname(ranks_state.own_host, sizeof ranks_state.own_host - 1);
    int own;
    const int count = ranks_launched(&own);
    if (count <= 1)
        return CS336_OK;
    if (own == 0)
        return ranks_refuse(count, "it was built without MPI (`make MPI=1` builds it with MPI)");
    /*
     * If the program of rank 0 has no MPI either, rank 0 prints the reason, and mpirun ends this process in its sleep.
     * After the sleep it is known that rank 0 has another program, so this rank prints the reason itself.
     */
    sleep(ALONE_SECONDS);
    return status_fail(CS336_ERANGE,
                       "rank %d on %s: this program was built without MPI (`make MPI=1` builds it with MPI), and that "
                       "of rank 0 with it; all ranks need the same program",
                       own, ranks_state.own_host);
}

void ranks_end(void)
{
}

void ranks_abort(int exit_code)
{
    exit(exit_code);
}

void ranks_barrier(void)
{
}

void ranks_broadcast(void *data, size_t bytes)
{
    (void)data, (void)bytes;
}

void ranks_gather_all(void *all, const void *own, size_t bytes)
{
    memcpy(all, own, bytes);
}

void ranks_exchange(void *received, const size_t *receive_bytes, const void *sent, const size_t *send_bytes)
{
    (void)receive_bytes;
    if (*send_bytes)
        memcpy(received, sent, *send_bytes);
}

Status ranks_start_exchange(RanksTransfer *transfer, float *received, const size_t *receive_counts, const float *sent,
                            const size_t *send_counts)
{
    (void)receive_counts;
    *transfer = (RanksTransfer){0};
    if (*send_counts)
        memcpy(received, sent, *send_counts * sizeof *sent);
    return CS336_OK;
}

Status ranks_start_gather(RanksTransfer *transfer, float *all, const size_t *counts)
{
    (void)all, (void)counts;
    *transfer = (RanksTransfer){0};
    return CS336_OK;
}

bool ranks_transfer_is_complete(RanksTransfer *transfer)
{
    (void)transfer;
    return true;
}

void ranks_tasks_begin(RanksTasks *tasks)
{
    ranks_tasks_alone(tasks, 0);
}

void ranks_tasks_abandon(RanksTasks *tasks)
{
    tasks->abandons = true;
}

void ranks_tasks_end(RanksTasks *tasks)
{
    (void)tasks;
}

Status ranks_start_send(RanksTransfer *transfer, int to, int tag, const void *data, size_t bytes)
{
    (void)to, (void)tag, (void)data, (void)bytes;
    *transfer = (RanksTransfer){0};
    return status_fail(CS336_ERANGE, "a message to rank %d, and there is one rank", to);
}

bool ranks_receive(int *from, int tag, void *data, size_t capacity, size_t *bytes)
{
    (void)from, (void)tag, (void)data, (void)capacity, (void)bytes;
    return false;
}

#endif

/* The functions of ranks.h in a build with MPI. It is the only file that includes MPI's header. */
#define _POSIX_C_SOURCE 200809L
#include "distributed/ranks_state.h"

#ifdef CS336_HAVE_MPI

#include "core/memory.h"
#include "distributed/watchdog.h"

#include <assert.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * MPI matches collective calls on a communicator by their order. The transfers that go on while the ranks compute have
 * communicators of their own, one for exchanges and one for gathers: which of the two begins first depends on when
 * earlier transfers complete, and that differs from rank to rank.
 */
static MPI_Comm exchanges, gathers;

/* Of ranks_tasks_begin(): the ranks of this host, and the memory that they share. */
static MPI_Comm neighbours;
static MPI_Win shared_memory;

bool ranks_are_available(void)
{
    return true;
}

/* Keeps standard error for ranks_stderr(), and lets this rank's output lead nowhere. */
static Status silence(void)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    ranks_state.stderr_descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (nowhere < 0 || ranks_state.stderr_descriptor < 0 || dup2(nowhere, STDOUT_FILENO) < 0 ||
        dup2(nowhere, STDERR_FILENO) < 0)
        return status_fail(CS336_EIO, "rank %d: cannot open /dev/null", ranks_state.own);
    close(nowhere);
    return CS336_OK;
}

Status ranks_begin(void)
{
    gethostname(ranks_state.own_host, sizeof ranks_state.own_host - 1);
    int own, provided;
    const int launched = ranks_launched(&own);
    if (!launched)
        return CS336_OK;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
        return status_fail(CS336_EIO, "MPI_Init_thread failed");
    ranks_state.joined = true;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_state.count);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks_state.own);
    MPI_Comm_dup(MPI_COMM_WORLD, &exchanges);
    MPI_Comm_dup(MPI_COMM_WORLD, &gathers);
    /* A launcher of another MPI than the one of the build is not heard: MPI then sees one process, this one. */
    if (launched > ranks_state.count)
        return ranks_refuse(launched, "the launcher belongs to another MPI than the program's");
    Status s = ranks_state.own ? silence() : CS336_OK;
    if (!s && provided < MPI_THREAD_SERIALIZED)
        s = status_fail(CS336_EIO, "this MPI allows one thread only; expected MPI_THREAD_SERIALIZED");
    ranks_state.hosts = memory_allocate((size_t)ranks_state.count * sizeof *ranks_state.hosts);
    if (!ranks_state.hosts)
        s = status_fail(CS336_ENOMEM, "no memory for the names of %d hosts", ranks_state.count);
    else
        ranks_gather_all(ranks_state.hosts, ranks_state.own_host, sizeof ranks_state.own_host);
    return s;
}

void ranks_end(void)
{
    if (ranks_state.joined) {
        MPI_Comm_free(&exchanges);
        MPI_Comm_free(&gathers);
        MPI_Finalize();
    }
    if (ranks_state.stderr_descriptor != STDERR_FILENO)
        close(ranks_state.stderr_descriptor);
    memory_release(ranks_state.hosts);
    ranks_state.joined = false;
    ranks_state.hosts = NULL;
    ranks_state.count = 1;
    ranks_state.own = 0;
    ranks_state.stderr_descriptor = STDERR_FILENO;
}

void ranks_abort(int exit_code)
{
    watchdog_end(exit_code); /* or it would report this rank as lost */
    if (ranks_state.joined)
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    exit(exit_code);
}

/* Most bytes of one call of MPI, which counts in int. */
enum { CALL_BYTES = 1 << 28 };

void ranks_barrier(void)
{
    atomic_fetch_add(&ranks_state.begun, 1);
    if (ranks_state.joined)
        MPI_Barrier(MPI_COMM_WORLD);
    atomic_fetch_add(&ranks_state.completed, 1);
}

void ranks_broadcast(void *data, size_t bytes)
{
    atomic_fetch_add(&ranks_state.begun, 1);
    for (size_t first = 0; ranks_state.joined && first < bytes; first += CALL_BYTES)
        MPI_Bcast((char *)data + first, (int)(bytes - first < CALL_BYTES ? bytes - first : CALL_BYTES), MPI_BYTE, 0,
                  MPI_COMM_WORLD);
    atomic_fetch_add(&ranks_state.completed, 1);
}

void ranks_gather_all(void *all, const void *own, size_t bytes)
{
    assert(bytes <= CALL_BYTES);
    atomic_fetch_add(&ranks_state.begun, 1);
    if (ranks_state.joined)
        MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    else
        memcpy(all, own, bytes);
    atomic_fetch_add(&ranks_state.completed, 1);
}

/*
 * Pair by pair: in round i a rank sends to the one i places after it and receives from the one i places before it. A
 * part of any length goes in several calls.
 */
void ranks_exchange(void *received, const size_t *receive_bytes, const void *sent, const size_t *send_bytes)
{
    const int count = ranks_state.count, own = ranks_state.own;
    atomic_fetch_add(&ranks_state.begun, 1);
    for (int round = 0; round < count; round++) {
        const int to = (own + round) % count, from = (own - round + count) % count;
        const char *source = sent;
        char *destination = received;
        for (int i = 0; i < to; i++)
            source += send_bytes[i];
        for (int i = 0; i < from; i++)
            destination += receive_bytes[i];
        if (round == 0) {
            if (send_bytes[to])
                memcpy(destination, source, send_bytes[to]);
            continue;
        }
        for (size_t first = 0; first < send_bytes[to] || first < receive_bytes[from]; first += CALL_BYTES) {
            const size_t out = first < send_bytes[to] ? send_bytes[to] - first : 0;
            const size_t in = first < receive_bytes[from] ? receive_bytes[from] - first : 0;
            /* A rank that has nothing for another one sends no message, because that one may expect none. */
            MPI_Sendrecv(source + (out ? first : 0), (int)(out < CALL_BYTES ? out : CALL_BYTES), MPI_BYTE,
                         out ? to : MPI_PROC_NULL, 0, destination + (in ? first : 0),
                         (int)(in < CALL_BYTES ? in : CALL_BYTES), MPI_BYTE, in ? from : MPI_PROC_NULL, 0,
                         MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        }
    }
    atomic_fetch_add(&ranks_state.completed, 1);
}

static void finish(RanksTransfer *transfer)
{
    memory_release(transfer->request);
    memory_release(transfer->counts);
    memory_release(transfer->displacements);
    *transfer = (RanksTransfer){0};
}

/* Allocates `arrays` arrays of a count and a displacement for each rank. */
static Status prepare(RanksTransfer *transfer, size_t arrays)
{
    const size_t bytes = arrays * (size_t)ranks_state.count * sizeof(int);
    *transfer = (RanksTransfer){.request = memory_allocate(sizeof(MPI_Request)),
                                .counts = memory_allocate(bytes),
                                .displacements = memory_allocate(bytes)};
    if (transfer->request && transfer->counts && transfer->displacements)
        return CS336_OK;
    finish(transfer);
    return status_fail(CS336_ENOMEM, "no memory for a transfer between %d ranks", ranks_state.count);
}

/* Writes array `array` of the transfer: counts as MPI has them, and where each part begins. */
static void place(const RanksTransfer *transfer, size_t array, const size_t *counts)
{
    int *count = transfer->counts + array * (size_t)ranks_state.count;
    int *displacement = transfer->displacements + array * (size_t)ranks_state.count;
    for (int i = 0, next = 0; i < ranks_state.count; next += count[i++]) {
        count[i] = (int)counts[i];
        displacement[i] = next;
    }
}

Status ranks_start_exchange(RanksTransfer *transfer, float *received, const size_t *receive_counts, const float *sent,
                            const size_t *send_counts)
{
    if (!ranks_state.joined) {
        *transfer = (RanksTransfer){0};
        memcpy(received, sent, *send_counts * sizeof *sent);
        return CS336_OK;
    }
    const Status s = prepare(transfer, 2);
    if (s)
        return s;
    place(transfer, 0, send_counts);
    place(transfer, 1, receive_counts);
    const int *counts = transfer->counts, *displacements = transfer->displacements;
    atomic_fetch_add(&ranks_state.begun, 1);
    MPI_Ialltoallv(sent, counts, displacements, MPI_FLOAT, received, counts + ranks_state.count,
                   displacements + ranks_state.count, MPI_FLOAT, exchanges, transfer->request);
    return CS336_OK;
}

Status ranks_start_gather(RanksTransfer *transfer, float *all, const size_t *counts)
{
    *transfer = (RanksTransfer){0};
    const Status s = ranks_state.joined ? prepare(transfer, 1) : CS336_OK;
    if (s || !ranks_state.joined)
        return s;
    place(transfer, 0, counts);
    atomic_fetch_add(&ranks_state.begun, 1);
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, all, transfer->counts, transfer->displacements, MPI_FLOAT, gathers,
                    transfer->request);
    return CS336_OK;
}

bool ranks_transfer_is_complete(RanksTransfer *transfer)
{
    int complete = !transfer->request;
    if (!complete) {
        MPI_Test(transfer->request, &complete, MPI_STATUS_IGNORE);
        if (complete) {
            finish(transfer);
            atomic_fetch_add(&ranks_state.completed, 1);
        }
    }
    return complete;
}

/* MPI's number of tag 0. Number 0 is that of ranks_exchange(), and 1 that of RANKS_NOTICE. */
enum { FIRST_TAG = 2 };

Status ranks_start_send(RanksTransfer *transfer, int to, int tag, const void *data, size_t bytes)
{
    *transfer = (RanksTransfer){.request = memory_allocate(sizeof(MPI_Request))};
    if (!transfer->request)
        return status_fail(CS336_ENOMEM, "no memory for a message to rank %d", to);
    MPI_Isend(data, (int)bytes, MPI_BYTE, to, FIRST_TAG + tag, MPI_COMM_WORLD, transfer->request);
    return CS336_OK;
}

bool ranks_receive(int *from, int tag, void *data, size_t capacity, size_t *bytes)
{
    int arrived = 0, length;
    MPI_Status message;
    if (ranks_state.joined)
        MPI_Iprobe(*from < 0 ? MPI_ANY_SOURCE : *from, FIRST_TAG + tag, MPI_COMM_WORLD, &arrived, &message);
    if (!arrived)
        return false;
    MPI_Get_count(&message, MPI_BYTE, &length);
    assert((size_t)length <= capacity);
    (void)capacity;
    *from = message.MPI_SOURCE;
    *bytes = (size_t)length;
    MPI_Recv(data, length, MPI_BYTE, *from, FIRST_TAG + tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return true;
}

/* Makes *number 0, in memory that all ranks of the host share. False on all of them if this MPI cannot. */
static bool share_number(atomic_size_t **number, int own)
{
    MPI_Aint bytes;
    int unit;
    MPI_Comm_set_errhandler(neighbours, MPI_ERRORS_RETURN);
    int shared = MPI_Win_allocate_shared(own ? 0 : sizeof **number, 1, MPI_INFO_NULL, neighbours, number,
                                         &shared_memory) == MPI_SUCCESS;
    MPI_Allreduce(MPI_IN_PLACE, &shared, 1, MPI_INT, MPI_MIN, neighbours);
    if (!shared)
        return false;
    MPI_Win_shared_query(shared_memory, 0, &bytes, &unit, number);
    if (own == 0)
        atomic_init(*number, 0);
    MPI_Barrier(neighbours);
    return true;
}

void ranks_tasks_begin(RanksTasks *tasks)
{
    ranks_tasks_alone(tasks, (size_t)ranks_state.own);
    if (!ranks_state.joined)
        return;
    const int lead = ranks_first_on_host(ranks_state.own);
    size_t first = 0; /* how many ranks the hosts before this one have; hosts are in the order of their first ranks */
    for (int rank = 0; rank < ranks_state.count; rank++)
        first += ranks_first_on_host(rank) < lead;
    int own; /* this rank's number among those of its host */
    atomic_fetch_add(&ranks_state.begun, 1);
    MPI_Comm_split(MPI_COMM_WORLD, lead, ranks_state.own, &neighbours);
    MPI_Comm_rank(neighbours, &own);
    if (ranks_on_own_host() > 1 && share_number(&tasks->taken, own)) {
        tasks->first = first;
        tasks->group = (size_t)ranks_on_own_host();
    } else {
        ranks_tasks_alone(tasks, first + (size_t)own);
    }
    atomic_fetch_add(&ranks_state.completed, 1);
}

void ranks_tasks_abandon(RanksTasks *tasks)
{
    static const char notice = 0; /* it stays where it is, so nobody has to wait until it was sent */
    tasks->abandons = true;
    for (int rank = 0; ranks_state.joined && rank < ranks_state.count; rank++) {
        MPI_Request request;
        if (rank == ranks_state.own)
            continue;
        MPI_Isend(&notice, sizeof notice, MPI_BYTE, rank, FIRST_TAG + RANKS_NOTICE, MPI_COMM_WORLD, &request);
        MPI_Request_free(&request);
    }
}

/* Receives the notices that have not been received, or a later ranks_tasks_begin() would begin with them. */
static void take_notices(RanksTasks *tasks)
{
    int failed = tasks->abandons;
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    for (int left = failed - tasks->abandons - atomic_load(&tasks->notices); left > 0; left--) {
        char notice;
        MPI_Recv(&notice, sizeof notice, MPI_BYTE, MPI_ANY_SOURCE, FIRST_TAG + RANKS_NOTICE, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    }
}

void ranks_tasks_end(RanksTasks *tasks)
{
    if (!ranks_state.joined)
        return;
    atomic_fetch_add(&ranks_state.begun, 1);
    take_notices(tasks);
    if (tasks->group > 1)
        MPI_Win_free(&shared_memory);
    MPI_Comm_free(&neighbours);
    atomic_fetch_add(&ranks_state.completed, 1);
}

#endif

#define _POSIX_C_SOURCE 200809L
#include "distributed/ranks_state.h"

#include "core/parallel.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

RanksState ranks_state = {.count = 1, .stderr_descriptor = STDERR_FILENO};

int ranks_count(void)
{
    return ranks_state.count;
}

int ranks_own(void)
{
    return ranks_state.own;
}

const char *ranks_host(int rank)
{
    assert(rank >= 0 && rank < ranks_state.count);
    return ranks_state.hosts ? ranks_state.hosts[rank] : ranks_state.own_host;
}

int ranks_first_on_host(int rank)
{
    int first = 0;
    while (strcmp(ranks_host(first), ranks_host(rank)) != 0)
        first++;
    return first;
}

int ranks_hosts(void)
{
    int hosts = 0;
    for (int rank = 0; rank < ranks_state.count; rank++)
        hosts += ranks_first_on_host(rank) == rank;
    return hosts;
}

int ranks_on_own_host(void)
{
    int count = 0;
    for (int rank = 0; rank < ranks_state.count; rank++)
        count += strcmp(ranks_host(rank), ranks_host(ranks_state.own)) == 0;
    return count;
}

int ranks_stderr(void)
{
    return ranks_state.stderr_descriptor;
}

void ranks_transfers(unsigned long *begun_now, unsigned long *completed_now)
{
    *completed_now = atomic_load(&ranks_state.completed);
    *begun_now = atomic_load(&ranks_state.begun);
}

int ranks_launched(int *own)
{
    static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    static const char *const numbers[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};
    *own = 0;
    for (size_t i = sizeof numbers / sizeof *numbers; i-- > 0;)
        if (getenv(numbers[i]))
            *own = atoi(getenv(numbers[i]));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (getenv(counts[i]))
            return atoi(getenv(counts[i])) > 1 ? atoi(getenv(counts[i])) : 1;
    if (!getenv("PMIX_RANK"))
        return 0;
    const char *tasks = getenv("SLURM_NTASKS");
    return tasks && atoi(tasks) > 1 ? atoi(tasks) : 1;
}

Status ranks_refuse(int count, const char *reason)
{
    ranks_launched(&ranks_state.own);
    return status_fail(CS336_ERANGE,
                       "%d processes of this program were started, and %s, so that each would do the whole work", count,
                       reason);
}

size_t ranks_tasks_take(RanksTasks *tasks)
{
    const size_t before = atomic_fetch_add(tasks->taken, 1);
    return before / tasks->group * tasks->step + tasks->first + before % tasks->group;
}

void ranks_tasks_alone(RanksTasks *tasks, size_t first)
{
    tasks->first = first;
    tasks->group = 1;
    tasks->step = (size_t)ranks_state.count;
    tasks->taken = &tasks->own_taken;
    tasks->abandons = false;
    atomic_init(&tasks->own_taken, 0);
    atomic_init(&tasks->notices, 0);
}

bool ranks_tasks_abandoned(RanksTasks *tasks)
{
    char notice;
    size_t bytes;
    int from = -1;
    if (ranks_state.count > 1 && parallel_thread() == 0 &&
        ranks_receive(&from, RANKS_NOTICE, &notice, sizeof notice, &bytes))
        atomic_fetch_add(&tasks->notices, 1);
    return atomic_load(&tasks->notices) > 0;
}

#define _POSIX_C_SOURCE 200809L
#include "tests/distributed/watchdog_ranks.h"

#include "core/atomic.h"
#include "core/memory.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "distributed/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 50, ROUNDS_OF_LONG_WORK = 400, FAULT_ROUND = 20, SAVED_STEP = 10 };

static void sleep_milliseconds(long milliseconds)
{
    struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

static atomic_bool asked_to_stop;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&asked_to_stop, true);
    watchdog_terminating();
}

/* A transfer that is begun and not looked at for a while: to the watchdog the rank waits for it. */
static void wait_for_network(void)
{
    RanksTransfer transfer;
    float *numbers = memory_allocate_zeroed((size_t)ranks_count(), sizeof *numbers);
    size_t *counts = memory_allocate((size_t)ranks_count() * sizeof *counts);
    for (int i = 0; i < ranks_count(); i++)
        counts[i] = 1;
    if (ranks_start_gather(&transfer, numbers, counts))
        exit(EXIT_FAILURE);
    sleep_milliseconds(2000);
    while (!ranks_transfer_is_complete(&transfer))
        continue;
    memory_release(numbers);
    memory_release(counts);
}

/* Returns the exit code with which the rank goes on, or does not return. */
static int commit(const char *fault)
{
    if (strcmp(fault, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(fault, "stop") == 0)
        raise(SIGSTOP);
    if (strcmp(fault, "exit") == 0)
        exit(EXIT_SUCCESS);
    if (strcmp(fault, "fail") == 0)
        watchdog_abort("the disk is %s", "full");
    if (strcmp(fault, "busy") == 0) {
        watchdog_activity("writing to a slow disk");
        sleep_milliseconds(2500);
        watchdog_activity("working");
    }
    return strcmp(fault, "error") == 0 ? (int)status_fail(CS336_EIO, "file: no such file") : EXIT_SUCCESS;
}

/* Works until the rounds are over, or a rank was asked to stop. */
static int work(const char *fault, int rank)
{
    const int rounds = strcmp(fault, "long") == 0 ? ROUNDS_OF_LONG_WORK : ROUNDS;
    const bool deaf = strcmp(fault, "deaf") == 0;
    int code = EXIT_SUCCESS;
    for (int round = 1; (round <= rounds || deaf) && !code; round++) {
        sleep_milliseconds(10);
        if (ranks_any(atomic_load(&asked_to_stop)) && !deaf)
            break;
        if (round == SAVED_STEP && ranks_own() == 0)
            watchdog_saved(SAVED_STEP);
        if (round == FAULT_ROUND && strcmp(fault, "network") == 0)
            wait_for_network();
        if (round == FAULT_ROUND && ranks_own() == rank)
            code = commit(fault);
    }
    return code;
}

int watchdog_ranks(const char *fault, int rank)
{
    Status s = ranks_begin();
    signal(SIGTERM, on_signal);
    recovery_set(&(Recovery){
        .command = "test", .again = "AGAIN", .checkpoint = "run/checkpoint.safetensors", .resume = "RESUME"});
    if (!s)
        s = watchdog_begin();
    if (s && ranks_own() == 0)
        fprintf(stderr, "%s\n", status_message());
    int code = s ? EXIT_FAILURE : EXIT_SUCCESS;
    watchdog_activity("working");
    if (!s)
        code = work(fault, rank);
    watchdog_end(code);
    ranks_end();
    return code;
}

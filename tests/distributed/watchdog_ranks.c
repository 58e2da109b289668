#define _POSIX_C_SOURCE 200809L
#include "tests/distributed/watchdog_ranks.h"

#include "core/atomic.h"
#include "core/memory.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "distributed/watchdog.h"
#include "distributed/watchdog_thread.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* Ends the work as a signal has asked for. Returns the exit code. */
static int stop(const char *fault)
{
    if (strcmp(fault, "slow") == 0) {
        sleep_milliseconds(1200);
        if (ranks_own() == 0)
            watchdog_saved(2 * SAVED_STEP);
    }
    return strcmp(fault, "unfinished") == 0 ? (int)status_fail(CS336_EINTERRUPTED, "interrupted") : EXIT_SUCCESS;
}

/* Works until the rounds are over, or a rank was asked to stop. */
static int work(const char *fault, int rank)
{
    static const char *const stopped[] = {"long", "slow", "unfinished"};
    int rounds = ROUNDS;
    for (size_t i = 0; i < sizeof stopped / sizeof *stopped; i++)
        rounds = strcmp(fault, stopped[i]) == 0 ? ROUNDS_OF_LONG_WORK : rounds;
    const bool deaf = strcmp(fault, "deaf") == 0;
    int code = EXIT_SUCCESS;
    for (int round = 1; (round <= rounds || deaf) && !code; round++) {
        sleep_milliseconds(10);
        if (ranks_any(atomic_load(&asked_to_stop)) && !deaf)
            return stop(fault);
        if (round == SAVED_STEP && ranks_own() == 0) {
            watchdog_saved(SAVED_STEP);
            FILE *saved = fopen("saved", "w");
            if (saved)
                fclose(saved);
        }
        if (round == FAULT_ROUND && strcmp(fault, "network") == 0)
            wait_for_network();
        if (round == FAULT_ROUND && ranks_own() == rank)
            code = commit(fault);
    }
    return code;
}

/* ---- strangers ---- */

/* Opens connections to rank 0's port that never say anything. */
static void connect_strangers(uint16_t port)
{
    enum { STRANGERS = 200 };
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < STRANGERS; i++) {
        const int stranger = socket(AF_INET, SOCK_STREAM, 0);
        if (stranger < 0 || connect(stranger, (const struct sockaddr *)&address, sizeof address) != 0)
            fprintf(stderr, "no connection %d\n", i);
    }
}

/* Rank 1 connects to a watchdog of rank 0 that has silent connections already. */
static Status meet_among_strangers(void)
{
    enum { MILLISECONDS = 10000 }; /* those of watchdog_begin() */
    static WatchdogPeer peers[2];
    static struct pollfd sockets[WATCHDOG_MAX_STRANGERS + 4];
    static Watchdog dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .listener = -1, .peers = peers, .sockets = sockets};
    ControlLink link = {.descriptor = -1};
    pthread_t thread;
    const bool first = ranks_own() == 0;
    Status s = CS336_OK;
    dog.peer_count = first ? 2 : 1;
    peers[0] = (WatchdogPeer){.link.descriptor = -1, .left = true};
    peers[1].link.descriptor = -1;
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
        dog.strangers[i].link.descriptor = -1;
    if (first) {
        s = control_listen(&dog.listener, &dog.offer);
        dog.offer.tick_milliseconds = 1000;
        connect_strangers(dog.offer.port);
        if (!s && (pipe(dog.wake) != 0 || fcntl(dog.wake[0], F_SETFL, O_NONBLOCK) != 0 ||
                   pthread_create(&thread, NULL, watchdog_thread, &dog) != 0))
            s = status_fail(CS336_ENOMEM, "no thread");
    }
    s = ranks_agree(s);
    if (s)
        return s;
    ControlOffer offer = dog.offer;
    ranks_broadcast(&offer, sizeof offer);
    if (!first)
        s = control_link_connect(&link, &offer, ranks_own(), MILLISECONDS);
    s = ranks_agree(s);
    if (first) {
        atomic_store(&dog.leaving, true);
        pthread_join(thread, NULL); /* after a tick at most */
        watchdog_stop_listening(&dog);
    }
    s = ranks_agree(s); /* an earlier end of rank 1's connection would be a fault */
    control_link_close(&link);
    return s;
}

int watchdog_ranks(const char *fault, int rank)
{
    Status s = ranks_begin();
    signal(SIGTERM, on_signal);
    recovery_set(&(Recovery){
        .command = "test", .again = "AGAIN", .checkpoint = "run/checkpoint.safetensors", .resume = "RESUME"});
    if (!s && strcmp(fault, "strangers") == 0)
        s = meet_among_strangers();
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

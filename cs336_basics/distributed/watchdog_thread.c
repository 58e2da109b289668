#define _POSIX_C_SOURCE 200809L
#include "distributed/watchdog_thread.h"

#include "core/clock.h"
#include "core/printable.h"
#include "distributed/launcher.h"
#include "distributed/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Times in ticks, the period of heartbeats: a second, unless CS336_WATCHDOG_SECONDS says otherwise. */
enum {
    NOTICE_TICKS = 10,  /* the ranks wait for one so long before a line names it */
    DEPUTY_TICKS = 3,   /* rank 0's deputy has so long to print the line before the others end themselves */
    ERROR_TICKS = 3,    /* after a rank has left with an error, the others have so long to end by themselves */
    ANNOUNCED_TICKS = 5 /* a rank that has sent CONTROL_FAILED waits so long for rank 0 to end it, then ends itself */
};
enum {
    /* For a new connection to show its token, and as long as no other waits for its place. A rank shows it with its
     * first packet. With 64 places even 500 silent connections hold a rank up for only 4 of the 10 seconds that it
     * has. */
    STRANGER_MILLISECONDS = 5000,
    PLACE_MILLISECONDS = 500,
    /* After SIGTERM, until a line says how to go on. Many runs have ended by then, and mpirun kills after 1000. */
    TERMINATION_MILLISECONDS = 700,
    LINE_BYTES = 3 * RECOVERY_COMMAND_BYTES,
    MPIRUN_SECONDS = 8 /* that mpirun has to end the ranks after one was lost; two if it can reach all hosts */
};

/* ---- what is sent ---- */

static ControlMessage message_of(ControlKind kind)
{
    return (ControlMessage){.kind = kind, .rank = ranks_own()};
}

static bool is_watched(const WatchdogPeer *peer)
{
    return peer->link.descriptor >= 0 && !peer->left;
}

static void send_to_all(Watchdog *dog, const ControlMessage *message)
{
    for (size_t i = 0; i < dog->peer_count; i++)
        if (is_watched(&dog->peers[i]))
            control_link_send(&dog->peers[i].link, message);
}

/* Brings this rank's heartbeat up to date; `ticks` have passed since the last one. */
static void update_own(Watchdog *dog, unsigned ticks)
{
    unsigned long begun, completed;
    ranks_transfers(&begun, &completed);
    const bool waits = begun != completed && completed == dog->completed;
    dog->own.waiting_ticks = waits ? dog->own.waiting_ticks + ticks : 0;
    dog->completed = completed;
    pthread_mutex_lock(&dog->lock);
    const bool same = dog->activity_number == dog->own_activity;
    dog->own_activity = dog->activity_number;
    dog->own.alone = dog->alone;
    memcpy(dog->own.text, dog->activity, sizeof dog->own.text);
    pthread_mutex_unlock(&dog->lock);
    dog->own.activity_ticks = same ? dog->own.activity_ticks + ticks : 0;
    dog->own.kind = CONTROL_ALIVE;
    dog->own.rank = ranks_own();
    if (ranks_own() == 0)
        dog->own.saved = recovery_saved();
}

/* ---- what is printed ---- */

static double seconds_of(const Watchdog *dog, unsigned ticks)
{
    return (double)ticks * (double)dog->offer.tick_milliseconds / 1000;
}

static void print(const char *text, size_t length)
{
    for (size_t written = 0; written < length;) {
        const ssize_t count = write(ranks_stderr(), text + written, length - written);
        if (count <= 0 && errno != EINTR)
            return;
        written += count > 0 ? (size_t)count : 0;
    }
}

/* Ends this process. What follows on standard error, of MPI for instance, would hide the line, so it leads nowhere. */
static CS336_NO_RETURN void end_process(void)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    _exit(EXIT_FAILURE);
}

enum { DOING_BYTES = CONTROL_TEXT_BYTES + 32 };

/* Returns " (last heartbeat: step 12)" for a rank that did "step 12"; "" for one that said nothing. */
static const char *doing_of(char text[DOING_BYTES], const WatchdogPeer *peer)
{
    snprintf(text, DOING_BYTES, *peer->alive.text ? " (last heartbeat: %s)" : "%s", peer->alive.text);
    return text;
}

/* Prints the line about a failed rank, tells the others that it stands there, and ends the process. */
static CS336_NO_RETURN void CS336_PRINTF_LIKE(3, 4) end_run(Watchdog *dog, int rank, const char *format, ...)
{
    static char line[LINE_BYTES];
    char what[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = snprintf(what, sizeof what, "rank %d on %s ", rank, printable(ranks_host(rank)).text);
    vsnprintf(what + length, sizeof what - (size_t)length, format, arguments);
    va_end(arguments);
    const uint64_t saved = ranks_own() == 0 ? recovery_saved() : dog->peers[0].alive.saved;
    print(line, recovery_line(line, sizeof line, what, saved));
    const ControlMessage end = message_of(CONTROL_END);
    send_to_all(dog, &end);
    end_process();
}

/* Prints, on rank 0, that a signal has asked the run to end. It is no fault, but the run may not be able to save. */
static void say_terminating(void)
{
    static char line[LINE_BYTES];
    const char *what =
        recovery_saves()
            ? "a signal has asked the run to end: it is saved if its step is complete before mpirun kills it"
            : "a signal has asked the run to end";
    print(line, recovery_line(line, sizeof line, what, recovery_saved()));
}

/*
 * Prints, on rank 0, how to go on after a signal has ended the run: if the work is not done, and if the line of
 * say_terminating() could not know yet what would be saved.
 */
static void say_ended(const Watchdog *dog, int code)
{
    static char line[LINE_BYTES];
    bool was_asked = atomic_load(&dog->terminating);
    for (size_t i = 0; i < dog->peer_count; i++)
        was_asked = was_asked || dog->peers[i].terminating;
    if (ranks_own() == 0 && was_asked && (code || (dog->said_terminating && recovery_saves())))
        print(line, recovery_line(line, sizeof line, "a signal has ended the run", recovery_saved()));
}

/* ---- faults ---- */

/* True if this rank prints the line about the peer. */
static bool speaks(const Watchdog *dog)
{
    return ranks_own() == 0 || ranks_own() == dog->deputy;
}

/* The number of the rank behind a peer. */
static int rank_of(const Watchdog *dog, const WatchdogPeer *peer)
{
    return ranks_own() == 0 ? (int)(peer - dog->peers) : 0;
}

/*
 * True if mpirun is ending the whole job, as after Ctrl-C: it sends SIGTERM to all ranks, and SIGKILL a second later. A
 * rank that alone got SIGTERM has failed.
 */
static bool job_is_ending(const Watchdog *dog, const WatchdogPeer *peer)
{
    return peer->terminating && atomic_load(&dog->terminating);
}

static void peer_has_closed(Watchdog *dog, WatchdogPeer *peer)
{
    char doing[DOING_BYTES];
    if (!peer->left && !job_is_ending(dog, peer) && speaks(dog))
        end_run(dog, rank_of(dog, peer), "has ended unexpectedly%s", doing_of(doing, peer));
    dog->orphaned = dog->orphaned || (!peer->left && ranks_own() != 0);
    control_link_close(&peer->link);
}

static void handle(Watchdog *dog, WatchdogPeer *peer, const ControlMessage *message)
{
    peer->silent_ticks = 0;
    switch ((ControlKind)message->kind) {
    case CONTROL_ALIVE:
        peer->alive = *message;
        break;
    case CONTROL_TERMINATING:
        peer->terminating = true;
        break;
    case CONTROL_GOODBYE:
        peer->left = true;
        peer->goodbye = *message;
        break;
    case CONTROL_FAILED:
        end_run(dog, rank_of(dog, peer), "has failed: %s", message->text);
    case CONTROL_END:
        send_to_all(dog, message);
        end_process();
    case CONTROL_HELLO:
    case CONTROL_WELCOME:
        break;
    }
}

static void receive_from(Watchdog *dog, WatchdogPeer *peer)
{
    ControlMessage message;
    ControlEvent event;
    while ((event = control_link_receive(&peer->link, &message)) == CONTROL_MESSAGE)
        handle(dog, peer, &message);
    if (event == CONTROL_CLOSED)
        peer_has_closed(dog, peer);
}

/* Looks, once a tick, for a peer that is silent, or that has left with an error while this rank waits for it. */
static void check_peer(Watchdog *dog, WatchdogPeer *peer)
{
    char doing[DOING_BYTES];
    if (peer->left && peer->goodbye.code && dog->own.waiting_ticks >= ERROR_TICKS) {
        if (ranks_own() == 0)
            end_run(dog, rank_of(dog, peer), "has failed: %s", peer->goodbye.text);
        end_process(); /* rank 0 has printed its own error */
    }
    if (!is_watched(peer))
        return;
    const unsigned patience = WATCHDOG_SILENCE_TICKS + (speaks(dog) ? 0 : DEPUTY_TICKS);
    if (++peer->silent_ticks < patience)
        return;
    if (speaks(dog) && !job_is_ending(dog, peer)) {
        launcher_kill_later(MPIRUN_SECONDS);
        end_run(dog, rank_of(dog, peer), "has not answered for %.3g s%s: it is stopped, or its network link is down",
                seconds_of(dog, peer->silent_ticks), doing_of(doing, peer));
    }
    end_process();
}

/*
 * On rank 0: if ranks have waited long, names the rank that waits least, once until they go on. A rank that all wait
 * for does not wait itself; if it does, no rank is late, and the network is.
 */
static void notice_late_rank(Watchdog *dog)
{
    const ControlMessage *late = &dog->own;
    unsigned longest = dog->own.waiting_ticks;
    for (size_t i = 1; i < dog->peer_count; i++) {
        const WatchdogPeer *peer = &dog->peers[i];
        if (!is_watched(peer))
            continue;
        longest = peer->alive.waiting_ticks > longest ? peer->alive.waiting_ticks : longest;
        late = peer->alive.waiting_ticks < late->waiting_ticks ? &peer->alive : late;
    }
    if (longest < NOTICE_TICKS) {
        dog->noticed = false;
        return;
    }
    const bool network = late->waiting_ticks >= NOTICE_TICKS;
    const bool busy = late->waiting_ticks < NOTICE_TICKS / 2 && late->activity_ticks >= NOTICE_TICKS && !late->alone;
    if (dog->noticed || (!network && !busy))
        return;
    dog->noticed = true;
    char line[1024];
    const char *doing = *late->text ? late->text : "its work";
    const int length =
        network ? snprintf(line, sizeof line,
                           "cs336: all ranks have waited for data of each other for %.3g s (%s): the network is slow\n",
                           seconds_of(dog, late->waiting_ticks), doing)
                : snprintf(line, sizeof line,
                           "cs336: the other ranks wait for rank %d on %s, which has been busy for %.3g s (%s)\n",
                           late->rank, printable(ranks_host(late->rank)).text, seconds_of(dog, late->activity_ticks),
                           doing);
    print(line, (size_t)length);
}

/* ---- connections that have not shown their token ---- */

static bool all_are_connected(const Watchdog *dog)
{
    for (size_t i = 1; i < dog->peer_count; i++)
        if (dog->peers[i].link.descriptor < 0 && !dog->peers[i].left)
            return false;
    return true;
}

void watchdog_stop_listening(Watchdog *dog)
{
    if (dog->listener >= 0)
        close(dog->listener);
    dog->listener = -1;
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
        control_link_close(&dog->strangers[i].link);
}

/* Makes the stranger a peer if it is one of the ranks, and closes any other connection. */
static void introduce(Watchdog *dog, WatchdogStranger *stranger)
{
    ControlMessage message;
    const ControlEvent event = control_link_receive(&stranger->link, &message);
    if (event == CONTROL_NOTHING)
        return;
    if (event == CONTROL_MESSAGE && message.kind == CONTROL_HELLO && message.rank > 0 && message.rank < ranks_count() &&
        memcmp(message.token, dog->offer.hello, sizeof message.token) == 0 &&
        dog->peers[message.rank].link.descriptor < 0) {
        ControlMessage welcome = message_of(CONTROL_WELCOME);
        memcpy(welcome.token, dog->offer.welcome, sizeof welcome.token);
        control_link_send(&stranger->link, &welcome);
        dog->peers[message.rank].link = stranger->link;
        stranger->link.descriptor = -1;
    }
    control_link_close(&stranger->link);
    if (all_are_connected(dog))
        watchdog_stop_listening(dog);
}

/* Returns a free place, or else that of the connection that came first. */
static WatchdogStranger *find_place(Watchdog *dog)
{
    WatchdogStranger *first = dog->strangers;
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++) {
        if (dog->strangers[i].link.descriptor < 0)
            return &dog->strangers[i];
        if (dog->strangers[i].came < first->came)
            first = &dog->strangers[i];
    }
    return first;
}

/* When a place is free for the next connection, in milliseconds; 0: at once. */
static long long place_time(Watchdog *dog)
{
    const WatchdogStranger *place = find_place(dog);
    return place->link.descriptor < 0 ? 0 : place->came + PLACE_MILLISECONDS;
}

/* Accepts the connections that wait. Where all places are taken, a silent connection that has had its time goes. */
static void accept_strangers(Watchdog *dog)
{
    while (dog->listener >= 0 && place_time(dog) <= clock_milliseconds()) {
        WatchdogStranger *place = find_place(dog);
        const ControlLink link = control_accept(dog->listener);
        if (link.descriptor < 0)
            return;
        control_link_close(&place->link);
        *place = (WatchdogStranger){.link = link, .came = clock_milliseconds()};
    }
}

/* ---- the thread ---- */

static void tick(Watchdog *dog)
{
    update_own(dog, 1);
    send_to_all(dog, &dog->own);
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
        if (clock_milliseconds() - dog->strangers[i].came > STRANGER_MILLISECONDS)
            control_link_close(&dog->strangers[i].link);
    for (size_t i = 0; i < dog->peer_count; i++)
        check_peer(dog, &dog->peers[i]);
    if (dog->orphaned && ++dog->orphan_ticks > DEPUTY_TICKS)
        end_process();
    if (dog->told_failing && ++dog->failing_ticks > ANNOUNCED_TICKS)
        end_process();
    if (ranks_own() == 0)
        notice_late_rank(dog);
}

/* Does what the other threads and the signal handler ask for. */
static void obey(Watchdog *dog)
{
    char bytes[64];
    while (read(dog->wake[0], bytes, sizeof bytes) > 0)
        continue;
    if (atomic_exchange(&dog->saved, false)) {
        update_own(dog, 0);
        send_to_all(dog, &dog->own);
    }
    if (atomic_load(&dog->terminating) && !dog->told_terminating) {
        const ControlMessage message = message_of(CONTROL_TERMINATING);
        send_to_all(dog, &message);
        dog->told_terminating = true;
        dog->termination_time = ranks_own() == 0 ? clock_milliseconds() + TERMINATION_MILLISECONDS : 0;
    }
    if (atomic_load(&dog->failing) && !dog->told_failing) {
        ControlMessage message = message_of(CONTROL_FAILED);
        pthread_mutex_lock(&dog->lock);
        memcpy(message.text, dog->failure, sizeof message.text);
        pthread_mutex_unlock(&dog->lock);
        if (ranks_own() == 0 || dog->peers[0].link.descriptor < 0)
            end_run(dog, ranks_own(), "has failed: %s", message.text);
        send_to_all(dog, &message);
        dog->told_failing = true;
    }
}

/* Waits until a socket or the pipe has something to read, or until the time. */
static void wait_until(Watchdog *dog, long long time)
{
    size_t count = 0;
    const long long place = dog->listener >= 0 ? place_time(dog) : 0;
    const bool accepts = place <= clock_milliseconds(); /* else a connection that waits must not wake the thread */
    time = !accepts && place < time ? place : time;
    dog->sockets[count++] = (struct pollfd){.fd = dog->wake[0], .events = POLLIN};
    dog->sockets[count++] = (struct pollfd){.fd = accepts ? dog->listener : -1, .events = POLLIN};
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
        dog->sockets[count++] = (struct pollfd){.fd = dog->strangers[i].link.descriptor, .events = POLLIN};
    for (size_t i = 0; i < dog->peer_count; i++)
        dog->sockets[count++] = (struct pollfd){.fd = dog->peers[i].link.descriptor, .events = POLLIN};
    const long long left = time - clock_milliseconds();
    poll(dog->sockets, (nfds_t)count, left > 0 ? (int)left : 0);
}

static void say_goodbye(Watchdog *dog)
{
    ControlMessage goodbye = message_of(CONTROL_GOODBYE);
    pthread_mutex_lock(&dog->lock);
    goodbye.code = dog->exit_code;
    memcpy(goodbye.text, dog->failure, sizeof goodbye.text);
    pthread_mutex_unlock(&dog->lock);
    send_to_all(dog, &goodbye);
    say_ended(dog, goodbye.code);
}

void *watchdog_thread(void *watchdog)
{
    Watchdog *dog = watchdog;
    const long long period = dog->offer.tick_milliseconds;
    long long next_tick = clock_milliseconds() + period;
    while (!atomic_load(&dog->leaving)) {
        const bool soon = dog->termination_time && dog->termination_time < next_tick;
        wait_until(dog, soon ? dog->termination_time : next_tick);
        for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
            introduce(dog, &dog->strangers[i]);
        accept_strangers(dog); /* after introduce(), so that nobody loses a place who has shown the token */
        for (size_t i = 0; i < dog->peer_count; i++)
            receive_from(dog, &dog->peers[i]);
        obey(dog);
        const long long time = clock_milliseconds();
        if (dog->termination_time && time >= dog->termination_time) {
            dog->termination_time = 0;
            dog->said_terminating = true;
            say_terminating();
        }
        if (time >= next_tick) {
            tick(dog);
            next_tick = clock_milliseconds() + period; /* one tick, however long this process was stopped */
        }
    }
    for (size_t i = 0; i < dog->peer_count; i++)
        receive_from(dog, &dog->peers[i]); /* what others have said before this rank heard of it through MPI */
    say_goodbye(dog);
    return NULL;
}

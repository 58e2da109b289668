#define _POSIX_C_SOURCE 200809L
#include "distributed/watchdog.h"

#include "core/memory.h"
#include "core/printable.h"
#include "distributed/ranks.h"
#include "distributed/side_thread.h"
#include "distributed/watchdog_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MILLISECONDS = 10000 /* to reach rank 0 */ };

static Watchdog dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = {-1, -1}, .listener = -1};
static pthread_t thread;
static atomic_bool running; /* the thread */

/* ---- beginning and ending ---- */

static void wake_thread(void)
{
    const ssize_t written = write(dog.wake[1], "", 1);
    (void)written; /* a full pipe wakes the thread as well */
}

Status watchdog_read_limit(double *seconds)
{
    enum { SECONDS = WATCHDOG_SILENCE_TICKS, MOST_SECONDS = 3600 };
    const double least = 0.5;
    const char *text = getenv("CS336_WATCHDOG_SECONDS");
    char *end = NULL;
    *seconds = text && *text ? strtod(text, &end) : SECONDS;
    if ((end && *end) || (*seconds != 0 && !(*seconds >= least && *seconds <= MOST_SECONDS)))
        return status_fail(CS336_ERANGE, "CS336_WATCHDOG_SECONDS is \"%s\", expected 0 or a number from %g to %d", text,
                           least, MOST_SECONDS);
    return CS336_OK;
}

/* The lowest rank on another host than rank 0's; if there is none, rank 1. */
static int find_deputy(void)
{
    for (int i = 1; i < ranks_count(); i++)
        if (strcmp(ranks_host(i), ranks_host(0)) != 0)
            return i;
    return 1;
}

static Status prepare(void)
{
    dog.deputy = find_deputy();
    dog.peer_count = ranks_own() == 0 ? (size_t)ranks_count() : 1;
    dog.peers = memory_allocate_zeroed(dog.peer_count, sizeof *dog.peers);
    dog.sockets = memory_allocate((dog.peer_count + WATCHDOG_MAX_STRANGERS + 2) * sizeof *dog.sockets);
    for (size_t i = 0; dog.peers && i < dog.peer_count; i++)
        dog.peers[i].link.descriptor = -1;
    for (size_t i = 0; i < WATCHDOG_MAX_STRANGERS; i++)
        dog.strangers[i].link.descriptor = -1;
    if (!dog.peers || !dog.sockets)
        return status_fail(CS336_ENOMEM, "no memory for %zu connections of the watchdog", dog.peer_count);
    dog.peers[0].left = ranks_own() == 0; /* rank 0 does not watch itself */
    if (pipe(dog.wake) != 0)
        return status_fail(CS336_EIO, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        fcntl(dog.wake[i], F_SETFD, FD_CLOEXEC);
        fcntl(dog.wake[i], F_SETFL, O_NONBLOCK);
    }
    return CS336_OK;
}

static Status start_thread(void)
{
    const int error = side_thread_start(&thread, watchdog_thread, &dog);
    running = error == 0;
    return error ? status_fail(CS336_ENOMEM, "cannot start the watchdog's thread: %s", strerror(error)) : CS336_OK;
}

Status watchdog_begin(void)
{
    if (ranks_count() == 1)
        return CS336_OK;
    /* Rank 0 decides whether there is a watchdog, and listens. */
    double silence = 0;
    Status s = prepare();
    if (!s && ranks_own() == 0)
        s = watchdog_read_limit(&silence);
    if (!s && silence > 0)
        s = control_listen(&dog.listener, &dog.offer);
    dog.offer.tick_milliseconds = (uint32_t)(silence * 1000 / WATCHDOG_SILENCE_TICKS);
    s = ranks_agree(s);
    if (!s)
        ranks_broadcast(&dog.offer, sizeof dog.offer);
    /* The others connect. */
    if (!s && dog.offer.tick_milliseconds) {
        if (ranks_own() != 0)
            s = control_link_connect(&dog.peers[0].link, &dog.offer, ranks_own(), CONNECT_MILLISECONDS);
        if (!s)
            s = start_thread();
        s = ranks_agree(s);
    }
    if (s || !running)
        watchdog_end(EXIT_SUCCESS);
    return s;
}

void watchdog_end(int exit_code)
{
    if (running) {
        pthread_mutex_lock(&dog.lock);
        dog.exit_code = exit_code;
        snprintf(dog.failure, sizeof dog.failure, "%.*s", (int)sizeof dog.failure - 1,
                 exit_code ? status_message() : "");
        pthread_mutex_unlock(&dog.lock);
        atomic_store(&dog.leaving, true);
        wake_thread();
        pthread_join(thread, NULL);
        running = false;
    }
    watchdog_stop_listening(&dog);
    for (size_t i = 0; dog.peers && i < dog.peer_count; i++)
        control_link_close(&dog.peers[i].link);
    for (int i = 0; i < 2; i++) {
        if (dog.wake[i] >= 0)
            close(dog.wake[i]);
        dog.wake[i] = -1;
    }
    memory_release(dog.peers);
    memory_release(dog.sockets);
    dog.peers = NULL;
    dog.sockets = NULL;
}

/* ---- what the other threads say ---- */

static void set_activity(bool alone, const char *format, va_list arguments)
{
    char text[CONTROL_TEXT_BYTES];
    if (!atomic_load(&running))
        return;
    vsnprintf(text, sizeof text, format, arguments);
    pthread_mutex_lock(&dog.lock);
    printable_prefix(dog.activity, sizeof dog.activity, text, strlen(text));
    dog.alone = alone;
    dog.activity_number++;
    pthread_mutex_unlock(&dog.lock);
}

void watchdog_activity(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_activity(false, format, arguments);
    va_end(arguments);
}

void watchdog_activity_alone(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_activity(true, format, arguments);
    va_end(arguments);
}

void watchdog_saved(size_t step)
{
    recovery_set_saved(step);
    if (!running)
        return;
    atomic_store(&dog.saved, true);
    wake_thread();
}

void watchdog_terminating(void)
{
    const int old_errno = errno;
    if (running && !atomic_exchange(&dog.terminating, true))
        wake_thread();
    errno = old_errno;
}

void watchdog_abort(const char *format, ...)
{
    char text[CONTROL_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!running) {
        char line[CONTROL_TEXT_BYTES + RANKS_HOST_BYTES + 64];
        const int length =
            snprintf(line, sizeof line, "cs336: rank %d on %s: %s\n", ranks_own(), ranks_host(ranks_own()), text);
        const ssize_t written = write(ranks_stderr(), line, (size_t)length);
        (void)written; /* there is nobody else to tell */
        ranks_abort(EXIT_FAILURE);
    }
    pthread_mutex_lock(&dog.lock);
    printable_prefix(dog.failure, sizeof dog.failure, text, strlen(text));
    pthread_mutex_unlock(&dog.lock);
    atomic_store(&dog.failing, true);
    wake_thread();
    for (;;)
        pause(); /* the thread ends the process */
}

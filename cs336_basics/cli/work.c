#define _XOPEN_SOURCE 700
#include "cli/work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double SECONDS_ON_A_TERMINAL = 0.1, SECONDS_IN_A_FILE = 10, SECONDS_OF_SILENCE = 1;

double work_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- lines that may be skipped ---- */

typedef struct {
    int descriptor;
    bool dead; /* nobody will ever read it */
    bool late; /* nobody has read it for a second */
} Listener;

static Listener listeners[] = {
    [WORK_STDOUT] = {.descriptor = STDOUT_FILENO},
    [WORK_STDERR] = {.descriptor = STDERR_FILENO},
};

/*
 * poll() says of a terminal that it takes something, not that it takes a whole line, and write() then waits. Only a
 * terminal opened anew can be made non-blocking: the descriptor that we were given is shared with other programs.
 */
static void open_terminals(void)
{
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
        const char *name = isatty(listeners[i].descriptor) ? ttyname(listeners[i].descriptor) : NULL;
        const int own = name ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
        if (own >= 0)
            listeners[i].descriptor = own;
    }
}

static bool say(Listener *listener, const char *text, size_t length)
{
    enum { MILLISECONDS = 1000 };
    struct pollfd out = {.fd = listener->descriptor, .events = POLLOUT};
    if (listener->dead)
        return false;
    const int ready = poll(&out, 1, listener->late ? 0 : MILLISECONDS);
    listener->late = ready == 0;
    if (ready <= 0)
        return false;
    /* A pipe that takes something takes PIPE_BUF bytes, which is more than a line. */
    const ssize_t written = write(listener->descriptor, text, length);
    listener->late = written < 0 && errno == EAGAIN;
    listener->dead = written < 0 && (errno == EPIPE || errno == EIO || errno == EBADF);
    return written == (ssize_t)length;
}

bool work_say(WorkStream stream, const char *format, ...)
{
    char text[PIPE_BUF];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const size_t bytes = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    if (stream == WORK_STDOUT)
        fflush(stdout);
    return say(&listeners[stream], text, bytes);
}

void work_flush_stdout(void)
{
    if (fflush(stdout) == 0)
        return;
    if (errno != EPIPE)
        work_say(WORK_STDERR, "cs336: cannot write to standard output: %s; the run goes on\n", strerror(errno));
    listeners[WORK_STDOUT].dead = true;
    /* What is still in the buffer goes nowhere, and no error remains for the end of the program. */
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        close(nowhere);
        fflush(stdout);
        clearerr(stdout);
    }
}

/* ---- signals ---- */

static const double SECONDS_OF_ONE_PRESS = 0.5;
static atomic_int stop;
static atomic_llong last_signal; /* nanoseconds on the clock of work_seconds() */
static const char *_Atomic stop_notice;

/* Writes to a terminal that was opened with O_NONBLOCK, because a signal handler must not wait. */
static void say_notice(void)
{
    const char *notice = atomic_load(&stop_notice);
    const int descriptor = listeners[WORK_STDERR].descriptor;
    if (!notice || descriptor == STDERR_FILENO)
        return;
    const ssize_t written = write(descriptor, notice, strlen(notice));
    (void)written;
}

/* Calls only what POSIX allows in a signal handler. */
static void ask_to_stop(int number)
{
    const int error = errno;
    const long long now = (long long)(1e9 * work_seconds()), before = atomic_exchange(&last_signal, now);
    const bool from_keyboard = number == SIGINT || number == SIGQUIT;
    if (atomic_exchange(&stop, 1) == 0) {
        say_notice();
    } else if (from_keyboard && (double)(now - before) > 1e9 * SECONDS_OF_ONE_PRESS) {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = error;
}

static const atomic_int *install_handler(int flags)
{
    static const int signals[] = {
        SIGINT,
        SIGTERM,
        SIGQUIT,
        SIGHUP,
        SIGUSR1,
        SIGUSR2,
        SIGALRM,
        SIGVTALRM,
        SIGPROF,
        SIGXCPU,
#if defined(SIGPWR)
        SIGPWR,
#endif
    };
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ask_to_stop;
    action.sa_flags = flags;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction old;
        const bool ignored = sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN;
        if (!ignored || signals[i] == SIGINT || signals[i] == SIGTERM)
            sigaction(signals[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return &stop;
}

const atomic_int *work_stop_flag(void)
{
    return install_handler(0);
}

const atomic_int *work_stop_flag_saving(const char *notice)
{
    open_terminals();
    atomic_store(&stop_notice, notice);
    return install_handler(SA_RESTART);
}

Status work_check_stop(void)
{
    return atomic_load(&stop) ? status_fail(CS336_EINTERRUPTED, "interrupted") : CS336_OK;
}

WorkProgress work_begin(const char *command)
{
    const double now = work_seconds();
    return (WorkProgress){
        .command = command, .began = now, .drawn = now, .phase_began = now, .terminal = isatty(STDERR_FILENO) != 0};
}

bool work_is_due(const WorkProgress *progress)
{
    const double now = work_seconds(), pause = progress->terminal ? SECONDS_ON_A_TERMINAL : SECONDS_IN_A_FILE;
    return now - progress->began >= SECONDS_OF_SILENCE && now - progress->drawn >= pause;
}

void work_show(WorkProgress *progress, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%scs336 %s: ", progress->terminal ? WORK_LINE_BEGIN : "", progress->command);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(progress->terminal ? WORK_LINE_END : "\n", stderr);
    fflush(stderr);
    progress->dirty = true;
    progress->drawn = work_seconds();
}

WorkTime work_time(double seconds)
{
    WorkTime time;
    const double days = seconds / 86400;
    const long whole = days < 3 ? lround(seconds) : 0;
    if (days >= 3)
        snprintf(time.text, sizeof time.text, "%.0f days", days);
    else if (whole >= 3600)
        snprintf(time.text, sizeof time.text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(time.text, sizeof time.text, "%ld:%02ld", whole / 60, whole % 60);
    return time;
}

void work_begin_phase(WorkProgress *progress)
{
    progress->phase_began = work_seconds();
}

WorkTime work_left(const WorkProgress *progress, size_t done, size_t total)
{
    const double passed = work_seconds() - progress->phase_began;
    return work_time(passed * (double)(total - done) / (double)done);
}

double work_end(WorkProgress *progress)
{
    if (progress->dirty && progress->terminal)
        fputs(WORK_LINE_CLEAR, stderr);
    progress->dirty = false;
    return work_seconds() - progress->began;
}

FILE *work_summary_stream(const char *output)
{
    return strcmp(output, "-") == 0 ? stderr : stdout;
}

double work_megabytes_per_second(double bytes, double seconds)
{
    return seconds > 0 ? bytes / seconds / 1e6 : 0;
}

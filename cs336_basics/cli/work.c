#define _XOPEN_SOURCE 700
#include "cli/work.h"

#include <errno.h>
#include <fcntl.h>
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

/* ---- signals ---- */

static const double SECONDS_OF_ONE_PRESS = 0.5;
static atomic_int stop;
static atomic_llong last_signal; /* nanoseconds on the clock of work_seconds() */
static const char *_Atomic stop_notice;

/* On a terminal that takes it: a handler must not wait. */
static void say_notice(void)
{
    const char *notice = atomic_load(&stop_notice);
    struct pollfd terminal = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (!notice || !isatty(STDERR_FILENO) || poll(&terminal, 1, 0) != 1)
        return;
    const ssize_t written = write(STDERR_FILENO, notice, strlen(notice));
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
    static const int signals[] = {SIGINT,  SIGTERM, SIGQUIT,   SIGHUP,  SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU};
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

/* From now on what is printed to stdout goes nowhere, and no error of its remains for the end of the program. */
static void detach_stdout(void)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0)
        return;
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
    fflush(stdout);
    clearerr(stdout);
}

FILE *work_stdout(void)
{
    enum { MILLISECONDS = 1000 };
    static bool nobody_reads, reader_is_late;
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (nobody_reads)
        return stderr;
    const int ready = poll(&out, 1, reader_is_late ? 0 : MILLISECONDS);
    if (ready > 0 && (ferror(stdout) || out.revents & (POLLERR | POLLHUP))) {
        nobody_reads = true;
        detach_stdout();
        return stderr;
    }
    reader_is_late = ready == 0;
    return ready > 0 ? stdout : NULL;
}

void work_flush_stdout(const char *consolation)
{
    if (fflush(stdout) != 0 && errno != EPIPE)
        fprintf(stderr, "cs336: cannot write to standard output: %s; %s\n", strerror(errno), consolation);
}

double work_megabytes_per_second(double bytes, double seconds)
{
    return seconds > 0 ? bytes / seconds / 1e6 : 0;
}

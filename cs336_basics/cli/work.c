#define _XOPEN_SOURCE 700
#include "cli/work.h"

#include "core/clock.h"
#include "core/input_stream.h"
#include "core/printable.h"
#include "distributed/watchdog.h"

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

/* Seconds from one line of progress to the next; a file should not fill with lines. */
static const double SECONDS_ON_A_TERMINAL = 0.1, SECONDS_IN_A_FILE = 10;
/* Seconds before the first line, so that short work prints none. */
static const double SECONDS_OF_SILENCE = 1;

/* ---- lines that may be skipped ---- */

typedef struct {
    int descriptor;
    bool closed; /* its reader is gone for good: a closed pipe or terminal */
    bool stuck;  /* its reader did not read for a second: do not wait again until it reads */
} OutputStream;

static OutputStream streams[] = {
    [WORK_STDOUT] = {.descriptor = STDOUT_FILENO},
    [WORK_STDERR] = {.descriptor = STDERR_FILENO},
};

/*
 * Opens the terminals a second time, without blocking. poll() tells that a terminal takes a byte, but not that it takes
 * a whole line, so that write() might wait. The descriptors that we were given cannot be made non-blocking, because
 * they are shared with other programs such as the shell.
 */
static void open_terminals(void)
{
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const char *name = isatty(streams[i].descriptor) ? ttyname(streams[i].descriptor) : NULL;
        const int reopened = name ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
        if (reopened >= 0)
            streams[i].descriptor = reopened;
    }
}

/* Writes a line if the stream takes it within a second. True if it was written. */
static bool write_line(OutputStream *stream, const char *text, size_t length)
{
    enum { PATIENCE = 1000 }; /* milliseconds to wait for a slow reader, before its lines are skipped */
    struct pollfd out = {.fd = stream->descriptor, .events = POLLOUT};
    if (stream->closed)
        return false;
    const int ready = poll(&out, 1, stream->stuck ? 0 : PATIENCE);
    stream->stuck = ready == 0;
    if (ready <= 0)
        return false;
    /* poll() reports a pipe as ready only if it has room for PIPE_BUF bytes, which is more than a line. */
    const ssize_t written = write(stream->descriptor, text, length);
    stream->stuck = written < 0 && errno == EAGAIN;
    stream->closed = written < 0 && (errno == EPIPE || errno == EIO || errno == EBADF);
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
    return write_line(&streams[stream], text, bytes);
}

void work_flush_stdout(void)
{
    if (fflush(stdout) == 0)
        return;
    if (errno != EPIPE)
        work_say(WORK_STDERR, "cs336: cannot write to standard output: %s; the run continues\n", strerror(errno));
    streams[WORK_STDOUT].closed = true;
    /* Discard what is still in the buffer, so that the end of the program does not report this error again. */
    const int null_device = open("/dev/null", O_WRONLY);
    if (null_device >= 0) {
        dup2(null_device, STDOUT_FILENO);
        close(null_device);
        fflush(stdout);
        clearerr(stdout);
    }
}

/* ---- signals ---- */

/* Seconds within which several signals from the keyboard count as one press of Ctrl-C. */
static const double SECONDS_OF_ONE_PRESS = 0.5;
static atomic_int stop;
static atomic_llong last_signal;        /* nanoseconds on the clock of clock_seconds() */
static const char *_Atomic stop_notice; /* NULL: none */

/* Prints the notice, but only to a terminal that open_terminals() has opened: a signal handler must not block. */
static void print_notice(void)
{
    const char *notice = atomic_load(&stop_notice);
    const int descriptor = streams[WORK_STDERR].descriptor;
    if (!notice || descriptor == STDERR_FILENO)
        return;
    const ssize_t written = write(descriptor, notice, strlen(notice));
    (void)written;
}

/*
 * The signal handler. It may interrupt any function, so it calls only those that POSIX allows in a handler, and
 * restores errno. A signal from the keyboard more than half a second after the one before gets the default action,
 * which ends the process.
 */
static void ask_to_stop(int number)
{
    const int old_errno = errno;
    const long long time = (long long)(1e9 * clock_seconds()), previous_time = atomic_exchange(&last_signal, time);
    const bool from_keyboard = number == SIGINT || number == SIGQUIT;
    if (number != SIGUSR1 && number != SIGUSR2) /* these ask the run to save, and no kill follows */
        watchdog_terminating();
    if (atomic_exchange(&stop, 1) == 0) {
        print_notice();
    } else if (from_keyboard && (double)(time - previous_time) > 1e9 * SECONDS_OF_ONE_PRESS) {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = old_errno;
}

/* Installs ask_to_stop() for every signal that asks a process to end; `flags` are those of sigaction(). */
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
    /*
     * A signal that the parent process set to be ignored stays ignored: SIGHUP under nohup, SIGINT after `trap '' INT`.
     * A shell script without job control also ignores SIGINT and SIGQUIT for the processes that it starts with `&`.
     * SIGTERM still stops those.
     */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction old;
        if (sigaction(signals[i], NULL, &old) != 0 || old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
    /* Their default action would end the process. Ignored, the write fails with EPIPE or EFBIG. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    input_stop_on(&stop);
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
    const double time = clock_seconds();
    return (WorkProgress){.command = command,
                          .start_time = time,
                          .line_time = time,
                          .phase_start = time,
                          .terminal = isatty(STDERR_FILENO) != 0};
}

bool work_is_due(const WorkProgress *progress)
{
    const double time = clock_seconds(), pause = progress->terminal ? SECONDS_ON_A_TERMINAL : SECONDS_IN_A_FILE;
    return time - progress->start_time >= SECONDS_OF_SILENCE && time - progress->line_time >= pause;
}

void work_show(WorkProgress *progress, const char *format, ...)
{
    va_list arguments;
    char text[PRINTABLE_BYTES];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%scs336 %s: %s%s", progress->terminal ? WORK_LINE_BEGIN : "", progress->command,
            printable(text).text, progress->terminal ? WORK_LINE_END : "\n");
    fflush(stderr);
    progress->dirty = true;
    progress->line_time = clock_seconds();
}

WorkTime work_time(double seconds)
{
    WorkTime time;
    const double days = seconds / 86400;
    const long rounded = days < 3 ? lround(seconds) : 0;
    if (days >= 3)
        snprintf(time.text, sizeof time.text, "%.0f days", days);
    else if (rounded >= 3600)
        snprintf(time.text, sizeof time.text, "%ld:%02ld:%02ld", rounded / 3600, rounded / 60 % 60, rounded % 60);
    else
        snprintf(time.text, sizeof time.text, "%ld:%02ld", rounded / 60, rounded % 60);
    return time;
}

void work_begin_phase(WorkProgress *progress)
{
    progress->phase_start = clock_seconds();
}

WorkTime work_left(const WorkProgress *progress, size_t done, size_t total)
{
    const double passed = clock_seconds() - progress->phase_start;
    return work_time(passed * (double)(total - done) / (double)done);
}

double work_end(WorkProgress *progress)
{
    if (progress->dirty && progress->terminal)
        fputs(WORK_LINE_CLEAR, stderr);
    progress->dirty = false;
    return clock_seconds() - progress->start_time;
}

Status work_write_file(const char *output, WorkContents *write_contents, const void *context)
{
    FileWriter writer = {0};
    work_stop_flag();
    Status s = file_create(&writer, output);
    if (!s)
        s = write_contents(&writer, context);
    if (!s)
        s = work_check_stop();
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

FILE *work_summary_stream(const char *output)
{
    return strcmp(output, "-") == 0 ? stderr : stdout;
}

double work_megabytes_per_second(double bytes, double seconds)
{
    return seconds > 0 ? bytes / seconds / 1e6 : 0;
}

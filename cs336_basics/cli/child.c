#define _POSIX_C_SOURCE 200809L
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

/* Opens a file for a standard stream of the child; -1 if there is none to open. */
static Status open_stream(int *descriptor, const char *path, bool append)
{
    *descriptor = -1;
    if (!path)
        return CS336_OK;
    /* With O_APPEND two streams of one file never overwrite each other's lines. */
    *descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC), 0666);
    return *descriptor >= 0 ? CS336_OK : status_fail(CS336_EIO, "%s: cannot write: %s", path, strerror(errno));
}

static void close_stream(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* Calls the function in the child process, reports how it ended, and ends the process. */
static _Noreturn void run_in_child(int report, const int streams[2], int (*run)(void *context), void *context)
{
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    for (int i = 0; i < 2; i++)
        if (streams[i] >= 0)
            dup2(streams[i], i == 0 ? STDOUT_FILENO : STDERR_FILENO);
    ChildEnd end = {.code = run(context)};
    snprintf(end.message, sizeof end.message, "%s", status_message());
    fflush(NULL);
    /* One write of less than PIPE_BUF bytes arrives whole. If the parent is gone, nobody reads it. */
    signal(SIGPIPE, SIG_IGN);
    const ssize_t written = write(report, &end, sizeof end);
    _exit(written == (ssize_t)sizeof end ? 0 : 1);
}

Status child_start(Child *child, ChildStreams streams, int (*run)(void *context), void *context)
{
    int ends[2] = {-1, -1}, files[2] = {-1, -1};
    Status s = open_stream(&files[0], streams.output, streams.append);
    if (!s)
        s = open_stream(&files[1], streams.errors, streams.append);
    if (!s && pipe(ends) != 0)
        s = status_fail(CS336_EIO, "cannot make a pipe: %s", strerror(errno));
    if (!s) {
        /* What is still in the buffers would otherwise be printed by both processes. */
        fflush(NULL);
        child->process = fork();
        if (child->process == 0) {
            close(ends[0]);
            run_in_child(ends[1], files, run, context);
        }
        if (child->process < 0)
            s = status_fail(CS336_EIO, "cannot start a process: %s", strerror(errno));
    }
    close_stream(files[0]);
    close_stream(files[1]);
    close_stream(ends[1]);
    if (s)
        close_stream(ends[0]);
    child->report = s ? -1 : ends[0];
    return s;
}

/* Reads the report; false if the child ended without one. */
static bool read_report(ChildEnd *end, int report)
{
    size_t taken = 0;
    while (taken < sizeof *end) {
        const ssize_t got = read(report, (char *)end + taken, sizeof *end - taken);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        taken += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool child_wait(ChildEnd *end, const Child *child, int milliseconds)
{
    struct pollfd report = {.fd = child->report, .events = POLLIN};
    int state = 0;
    if (poll(&report, 1, milliseconds) <= 0)
        return false;
    if (!read_report(end, child->report))
        *end = (ChildEnd){.code = -1};
    close(child->report);
    while (waitpid(child->process, &state, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(state))
        end->signal = WTERMSIG(state);
    return true;
}

void child_ask_to_stop(const Child *child)
{
    kill(child->process, SIGTERM);
}

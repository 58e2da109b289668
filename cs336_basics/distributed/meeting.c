#define _POSIX_C_SOURCE 200809L
#include "distributed/meeting.h"

#include "core/clock.h"
#include "distributed/launcher.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "distributed/side_thread.h"
#include "distributed/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MORE_SECONDS = 10,  /* that the ranks have to meet than a rank may be silent later on */
    NEXT_SECONDS = 2,   /* after rank 0's limit come those of rank 1 and of the others */
    MPIRUN_SECONDS = 6, /* that mpirun has to end after the meeting has failed */
    MET = 0             /* what meeting_end() writes into the pipe; signals have greater numbers */
};

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING = sizeof ending / sizeof *ending };

static struct {
    int own;         /* this rank */
    double deadline; /* of this rank, on clock_seconds(); 0: none */
    int wake[2];     /* a pipe: the number of a signal, or MET */
    bool running;    /* the thread */
    pthread_t thread;
    struct sigaction old[ENDING];      /* what the signals did before */
    char late[RECOVERY_COMMAND_BYTES], /* the line to print if the ranks do not meet in time */
        ended[RECOVERY_COMMAND_BYTES]; /* the line to print if a signal ends this process before */
} meeting;

/* Signal handler. */
static void pass_on(int number)
{
    const int old_errno = errno;
    const unsigned char byte = (unsigned char)number;
    const ssize_t written = write(meeting.wake[1], &byte, 1);
    (void)written; /* a full pipe has woken the thread */
    errno = old_errno;
}

/* Prints the line, unless this process was stopped until another rank has spoken in its place. */
static void say(const char *line)
{
    if (meeting.deadline > 0 && clock_seconds() >= meeting.deadline + NEXT_SECONDS)
        return;
    const ssize_t written = write(ranks_stderr(), line, strlen(line));
    (void)written; /* there is nobody else to tell */
}

/*
 * Waits until the ranks have met. If they do not in time, or if a signal asks this process to end, ends it. OpenMPI 4.1
 * sometimes waits for ever if a rank ends so early, so its mpirun is killed if it does not end by itself.
 */
static void *wait_for_meeting(void *context)
{
    (void)context;
    struct pollfd pipe_end = {.fd = meeting.wake[0], .events = POLLIN};
    unsigned char byte = MET;
    int ready;
    do {
        const double left = meeting.deadline - clock_seconds();
        ready = poll(&pipe_end, 1, meeting.deadline <= 0 ? -1 : left > 0 ? (int)(1000 * left) + 1 : 0);
    } while (ready < 0);
    if (ready > 0 && (read(meeting.wake[0], &byte, 1) != 1 || byte == MET))
        return NULL;
    const bool late = ready == 0;
    if (meeting.own <= (late ? 1 : 0))
        say(late ? meeting.late : meeting.ended);
    if (meeting.own <= 1)
        launcher_kill_later(MPIRUN_SECONDS);
    if (late)
        _exit(EXIT_FAILURE);
    signal(byte, SIG_DFL);
    kill(getpid(), byte);
    return NULL;
}

/* How long the ranks have to meet; 0: as long as they want, also where watchdog_begin() will refuse the limit. */
static double seconds_to_meet(void)
{
    double silence = 0;
    const Status s = watchdog_read_limit(&silence);
    return s || silence == 0 ? 0 : ceil(silence) + MORE_SECONDS;
}

static void write_lines(double seconds)
{
    char what[128];
    snprintf(what, sizeof what,
             "the ranks have not met in %.0f s: one of them has ended or is stopped, or a host cannot be reached",
             seconds);
    recovery_line(meeting.late, sizeof meeting.late, what, 0);
    recovery_line(meeting.ended, sizeof meeting.ended, "the run was ended before all ranks had met", 0);
}

void meeting_begin(void)
{
    if (ranks_launched(&meeting.own) <= 1 || pipe(meeting.wake) != 0)
        return;
    fcntl(meeting.wake[0], F_SETFD, FD_CLOEXEC);
    fcntl(meeting.wake[1], F_SETFD, FD_CLOEXEC);
    const double seconds = seconds_to_meet();
    const int later = meeting.own < 2 ? meeting.own : 2;
    meeting.deadline = seconds > 0 ? clock_seconds() + seconds + NEXT_SECONDS * later : 0;
    write_lines(seconds);
    meeting.running = side_thread_start(&meeting.thread, wait_for_meeting, NULL) == 0;
    if (!meeting.running) { /* the start then has no limit */
        close(meeting.wake[0]);
        close(meeting.wake[1]);
        return;
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &meeting.old[i]);
        if (meeting.old[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
}

void meeting_end(void)
{
    if (!meeting.running)
        return;
    for (size_t i = 0; i < ENDING; i++)
        sigaction(ending[i], &meeting.old[i], NULL);
    const unsigned char byte = MET;
    if (write(meeting.wake[1], &byte, 1) == 1)
        pthread_join(meeting.thread, NULL);
    meeting.running = false;
    close(meeting.wake[0]);
    close(meeting.wake[1]);
}

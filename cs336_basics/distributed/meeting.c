#define _POSIX_C_SOURCE 200809L
#include "distributed/meeting.h"

#include "core/clock.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "distributed/watchdog.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MORE_SECONDS = 10, /* that the ranks have to meet than a rank may be silent later on */
    NEXT_SECONDS = 2   /* after rank 0's limit come those of rank 1 and of the others */
};

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING = sizeof ending / sizeof *ending };

/* What the signal handlers read. Lines are written before, because a handler may not format text. */
static struct {
    int own;         /* this rank */
    double deadline; /* of rank 0, on clock_seconds(); 0: none */
    char late[RECOVERY_COMMAND_BYTES], ended[RECOVERY_COMMAND_BYTES];
    size_t late_length, ended_length;
    struct sigaction old_alarm, old_ending[ENDING];
} meeting;

/* Prints a line, unless this rank was stopped until another one has spoken in its place. */
static void say(const char *line, size_t length, int last_speaker)
{
    if (meeting.own > last_speaker ||
        (meeting.deadline > 0 && clock_seconds() >= meeting.deadline + (meeting.own + 1) * NEXT_SECONDS))
        return;
    const ssize_t written = write(ranks_stderr(), line, length);
    (void)written; /* there is nobody else to tell */
}

static void end_late(int number)
{
    (void)number;
    say(meeting.late, meeting.late_length, 1);
    _exit(EXIT_FAILURE);
}

static void end_by_signal(int number)
{
    say(meeting.ended, meeting.ended_length, 0);
    signal(number, SIG_DFL);
    raise(number);
}

/* How long the ranks have to meet; 0: as long as they want, also where watchdog_begin() will refuse the limit. */
static unsigned seconds_to_meet(void)
{
    double silence = 0;
    const Status s = watchdog_read_limit(&silence);
    return s || silence == 0 ? 0 : (unsigned)ceil(silence) + MORE_SECONDS;
}

void meeting_begin(void)
{
    char what[128];
    if (ranks_launched(&meeting.own) <= 1)
        return;
    const unsigned seconds = seconds_to_meet();
    snprintf(what, sizeof what, "the ranks have not met in %u s: one of them is stopped, or a host cannot be reached",
             seconds);
    meeting.late_length = recovery_line(meeting.late, sizeof meeting.late, what, 0);
    meeting.ended_length =
        recovery_line(meeting.ended, sizeof meeting.ended, "the run was ended before all ranks had met", 0);
    meeting.deadline = seconds ? clock_seconds() + seconds : 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = end_by_signal;
    for (size_t i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &meeting.old_ending[i]);
        if (meeting.old_ending[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
    action.sa_handler = end_late;
    sigaction(SIGALRM, &action, &meeting.old_alarm);
    if (seconds)
        alarm(seconds + NEXT_SECONDS * (unsigned)(meeting.own < 2 ? meeting.own : 2));
}

void meeting_end(void)
{
    int own;
    if (ranks_launched(&own) <= 1)
        return;
    alarm(0);
    sigaction(SIGALRM, &meeting.old_alarm, NULL);
    for (size_t i = 0; i < ENDING; i++)
        sigaction(ending[i], &meeting.old_ending[i], NULL);
}

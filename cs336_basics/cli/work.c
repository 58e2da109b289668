#define _XOPEN_SOURCE 700
#include "cli/work.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double SECONDS_ON_A_TERMINAL = 0.1, SECONDS_IN_A_FILE = 10, SECONDS_OF_SILENCE = 1;

static atomic_int stop;

double work_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void ask_to_stop(int number)
{
    (void)number;
    atomic_store(&stop, 1);
}

const atomic_int *work_stop_flag(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ask_to_stop;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    return &stop;
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

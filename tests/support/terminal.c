#define _XOPEN_SOURCE 700
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE /* TIOCSCTTY */
#elif defined(__linux__)
#define _DEFAULT_SOURCE
#endif
#include "tests/support/terminal.h"

#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END = 1 /* a control character around the exit status, after the last output of the program */ };

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void run_program(const char *line)
{
    signal(SIGINT, SIG_DFL);
    setenv("TERM", "xterm-256color", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

/*
 * Runs in the child process: starts a session whose controlling terminal is the far end of the pseudo-terminal. When
 * the first process of a session ends, the kernel hangs the terminal up, and unread output may be lost. So this process
 * reports the program's exit status and then waits to be killed.
 */
static void run_session(const char *far_end, const char *line)
{
    setsid();
    signal(SIGINT, SIG_IGN); /* Ctrl-C is meant for the program */
    const int terminal = open(far_end, O_RDWR);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0)
        _exit(127);
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        dup2(terminal, descriptor);
    const pid_t program = fork();
    if (program == 0)
        run_program(line);
    int status = 0;
    waitpid(program, &status, 0);
    dprintf(terminal, "%c%d%c", END, exit_status(status), END);
    for (;;)
        pause();
}

/* Reads the output of the program into shell_output, types the keys, and returns the exit status. */
static int read_all(int near_end, const char *wait_for, const char *keys)
{
    const char *first = NULL;
    for (size_t length = 0; !first || !strchr(first + 1, END); first = strchr(shell_output, END)) {
        const ssize_t more = read(near_end, shell_output + length, sizeof shell_output - 1 - length);
        ck_assert_msg(more > 0, "the terminal ended after \"%s\"", shell_output);
        length += (size_t)more;
        shell_output[length] = '\0';
        if (wait_for && strstr(shell_output, wait_for)) {
            ck_assert_int_eq(write(near_end, keys, strlen(keys)), (int)strlen(keys));
            wait_for = NULL;
        }
    }
    const int status = atoi(first + 1);
    shell_output[first - shell_output] = '\0';
    return status;
}

/*
 * Opens a pseudo-terminal: the test reads and writes the near end, the program has the far end as its terminal. Returns
 * -1 if there is none, as in a chroot without /dev/ptmx or /dev/pts.
 */
static int open_terminal(const char **far_end)
{
    const int near_end = posix_openpt(O_RDWR | O_NOCTTY);
    *far_end = near_end >= 0 && grantpt(near_end) == 0 && unlockpt(near_end) == 0 ? ptsname(near_end) : NULL;
    if (*far_end && access(*far_end, R_OK | W_OK) == 0)
        return near_end;
    if (near_end >= 0)
        close(near_end);
    return -1;
}

const char *no_terminal(void)
{
    const char *far_end;
    const int near_end = open_terminal(&far_end);
    if (near_end < 0)
        return "no pseudo-terminal (/dev/ptmx and /dev/pts)";
    close(near_end);
    return NULL;
}

int terminal_run(const char *line, const char *wait_for, const char *keys)
{
    static char command[1 << 14];
    test_here(NULL, 0); /* the place of an earlier call would mislead; see from_here.h */
    const char *program = getenv("CS336");
    char *path = realpath(program ? program : "build/cs336", NULL);
    ck_assert_ptr_nonnull(path);
    snprintf(command, sizeof command, "program='%s'; cd '%s' && %s", path, temp_path("."), line);
    free(path);
    const char *far_end;
    const int near_end = open_terminal(&far_end);
    ck_assert_int_ge(near_end, 0);
    /* Flush first: a forked child would write the buffered output a second time. */
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        run_session(far_end, command);
    const int status = read_all(near_end, wait_for, keys);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    close(near_end);
    return status;
}

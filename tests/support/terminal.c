#define _XOPEN_SOURCE 700
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE /* TIOCSCTTY */
#elif defined(__linux__)
#define _DEFAULT_SOURCE
#endif
#include "tests/support/terminal.h"

#include "tests/support/files.h"
#include "tests/support/program.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END = 1 }; /* stands around the exit status, after all that the program has printed */

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
 * The child: a session of its own, whose terminal is the far end. When the first process of a session ends, the
 * terminal hangs up, and what nobody has read yet may be lost. So this one stays until it is killed.
 */
static void run_there(const char *far_end, const char *line)
{
    setsid();
    signal(SIGINT, SIG_IGN); /* keys are meant for the program */
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

/* All that appears before the exit status, which is returned. */
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

int terminal_run(const char *line, const char *wait_for, const char *keys)
{
    static char whole[1 << 14];
    const char *program = getenv("CS336");
    char *path = realpath(program ? program : "build/cs336", NULL);
    ck_assert_ptr_nonnull(path);
    snprintf(whole, sizeof whole, "program='%s'; cd '%s' && %s", path, temp_path("."), line);
    free(path);
    const int near_end = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(near_end, 0);
    ck_assert(grantpt(near_end) == 0 && unlockpt(near_end) == 0);
    const char *far_end = ptsname(near_end);
    ck_assert_ptr_nonnull(far_end);
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        run_there(far_end, whole);
    const int status = read_all(near_end, wait_for, keys);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    close(near_end);
    return status;
}

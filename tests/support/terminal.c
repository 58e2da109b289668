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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child: a session of its own, whose terminal is the far end. */
static void run_there(const char *far_end, const char *line)
{
    setsid();
    const int terminal = open(far_end, O_RDWR);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0)
        _exit(127);
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        dup2(terminal, descriptor);
    setenv("TERM", "xterm-256color", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

/* All that appears, until the last process has closed the terminal. */
static void read_all(int near_end, const char *wait_for, const char *keys)
{
    size_t length = 0;
    for (ssize_t more = 1; more > 0;) {
        more = read(near_end, shell_output + length, sizeof shell_output - 1 - length);
        length += more > 0 ? (size_t)more : 0;
        shell_output[length] = '\0';
        if (wait_for && strstr(shell_output, wait_for)) {
            ck_assert_int_eq(write(near_end, keys, strlen(keys)), (int)strlen(keys));
            wait_for = NULL;
        }
    }
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
    read_all(near_end, wait_for, keys);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    close(near_end);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

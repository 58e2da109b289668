#define _XOPEN_SOURCE 700
#include "tests/support/program.h"

#include "tests/support/check.h"
#include "tests/support/files.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LINE_BYTES = 1 << 14 /* of a line of sh; some tests list thousands of files */ };

char shell_output[1 << 16], shell_errors[1 << 13];

/* Reads a file into a buffer, as much as fits, and ends it with a zero byte. */
static void read_text(char *text, size_t capacity, const char *path)
{
    FILE *stream = fopen(path, "rb");
    ck_assert_msg(stream != NULL, "cannot read %s", path);
    text[fread(text, 1, capacity - 1, stream)] = '\0';
    fclose(stream);
}

/* Runs a line of sh. It is wrapped: it gets the program's name and the directory, and its streams go to files. */
static int run(const char *command)
{
    static char line[2 * LINE_BYTES];
    ck_assert_uint_lt(strlen(command), LINE_BYTES);
    const char *program = getenv("CS336");
    char *path = realpath(program ? program : "build/cs336", NULL);
    ck_assert_msg(path != NULL, "CS336=%s: no such program", program ? program : "build/cs336");
    const char *output = temp_path("stdout"), *errors = temp_path("stderr");
    snprintf(line, sizeof line,
             "export OMP_WAIT_POLICY=passive program='%s'; cs336() { \"$program\" \"$@\"; }; cd '%s' && { %s\n} >'%s' "
             "2>'%s' </dev/null",
             path, temp_path("."), command, output, errors);
    free(path);
    /* A test run may itself be in the background of a shell that ignores SIGINT; programs under test would ignore it.
     */
    signal(SIGINT, SIG_DFL);
    const int status = system(line);
    read_text(shell_output, sizeof shell_output, output);
    read_text(shell_errors, sizeof shell_errors, errors);
    ck_assert_msg(WIFEXITED(status), "%s: ended by a signal; %s", command, shell_errors);
    return WEXITSTATUS(status);
}

int shell(const char *format, ...)
{
    static char command[LINE_BYTES];
    test_here(NULL, 0); /* the place of an earlier call would mislead; see from_here.h */
    va_list arguments;
    va_start(arguments, format);
    ck_assert_int_lt(vsnprintf(command, sizeof command, format, arguments), LINE_BYTES);
    va_end(arguments);
    return run(command);
}

void assert_shell_fails(int code, const char *errors, const char *line)
{
    static char expected[sizeof shell_errors];
    const int exit_code = run(line);
    snprintf(expected, sizeof expected, "%s\n", errors);
    ck_assert_msg(exit_code == code, "%s: exit code %d, expected %d; %s", line, exit_code, code, shell_errors);
    ck_assert_msg(strcmp(shell_errors, expected) == 0, "%s: its errors are\n%sexpected\n%s", line, shell_errors,
                  expected);
}

void assert_shell_ok(const char *line)
{
    const int exit_code = run(line);
    ck_assert_msg(exit_code == 0 && !*shell_errors, "%s: exit code %d\n%s%s", line, exit_code, shell_output,
                  shell_errors);
}

void assert_prints(const char *text)
{
    ck_assert_msg(strstr(shell_output, text) != NULL, "no \"%s\" in:\n%s", text, shell_output);
}

#define _POSIX_C_SOURCE 200809L
#include "tests/exercises/checker/explain.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

bool explain_place(char *place, size_t size, const char *text, const char *file)
{
    const size_t length = strlen(file);
    for (const char *found = strstr(text, file); found; found = strstr(found + 1, file)) {
        char *end;
        if (found[length] != ':')
            continue;
        const long line = strtol(found + length + 1, &end, 10);
        if (line > 0 && end > found + length + 1) {
            snprintf(place, size, "%s:%ld", file, line);
            return true;
        }
    }
    return false;
}

/* What AddressSanitizer calls an error, and what we say. The first that the report contains is taken. */
static const struct {
    const char *report, *says;
} ERRORS[] = {
    {"stack-overflow", "leaves the stack: a function calls itself without end, a local array is too large, or an index "
                       "is far outside one"},
    {"heap-buffer-overflow", "outside the memory of an array"},
    {"stack-buffer-underflow", "in front of a local array"},
    {"stack-buffer-overflow", "beyond the end of a local array"},
    {"global-buffer-overflow", "beyond the end of a static array"},
    {"heap-use-after-free", "in memory that was freed before"},
    {"stack-use-after-scope", "in a local variable of a block that has ended"},
    {"stack-use-after-return", "in a local variable of a function that has returned"},
    {"attempting double-free", "frees the same memory twice"},
    {"attempting free on address", "frees memory that malloc() or memory_allocate() did not give"},
    {"address points to the zero page", "follows a NULL pointer. A result that the caller does not want has data == "
                                        "NULL, and so has memory of an arena that "
                                        "only measures or has no room: ask arena_status()"},
    {"AddressSanitizer: SEGV", "follows a pointer that points to no memory"},
    {"allocation-size-too-big", "asks for more memory than there is"},
    {"requested allocation size", "asks for more memory than there is"},
};

/* Copies the rest of the line after `after`, if the text has it. */
static bool rest_of_line(char *line, size_t size, const char *text, const char *after)
{
    const char *found = strstr(text, after);
    if (!found)
        return false;
    found += strlen(after);
    snprintf(line, size, "%.*s", (int)strcspn(found, "\n"), found);
    return true;
}

static bool explain_report(char *says, size_t size, const char *text)
{
    char line[512];
    /* at() reads stride[rank - 1], and the rank of (Tensor){0} is 0. */
    if (strstr(text, "index -1 out of bounds")) {
        snprintf(says, size, "uses a tensor without numbers. A result that the caller does not want has data == NULL");
        return true;
    }
    /* UndefinedBehaviorSanitizer says it well enough. */
    if (rest_of_line(line, sizeof line, text, "runtime error: ")) {
        snprintf(says, size, "%s", line);
        return true;
    }
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
        if (!strstr(text, ERRORS[i].report))
            continue;
        const char *access = strstr(text, "\nWRITE of size")  ? "writes "
                             : strstr(text, "\nREAD of size") ? "reads "
                                                              : "";
        snprintf(says, size, "%s%s", access, ERRORS[i].says);
        return true;
    }
    /* glibc: "program: file:line: function: Assertion `x' failed." */
    if (rest_of_line(line, sizeof line, text, "Assertion ")) {
        snprintf(says, size, "an assertion does not hold: %s", line);
        return true;
    }
    return false;
}

void explain(char *what, size_t size, const char *text, int wait_status, const char *file)
{
    char place[512] = "", says[768] = "", line[512];
    explain_place(place, sizeof place, text, file);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_TODO &&
        rest_of_line(line, sizeof line, text, "TODO: ")) {
        snprintf(what, size, "TODO: %s", line);
        return;
    }
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_ENDLESS)
        snprintf(says, sizeof says, "does not end within its time limit: an endless loop, or much too slow");
    else if (explain_report(says, sizeof says, text))
        ;
    else if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGXFSZ)
        snprintf(says, sizeof says, "prints without end, or writes a file of more than 64 MB");
    else if (WIFSIGNALED(wait_status))
        snprintf(says, sizeof says, "the program was ended by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(says, sizeof says, "the program ended with exit status %d: a library function must return instead",
                 WEXITSTATUS(wait_status));
    snprintf(what, size, "%s%s%s", place, *place ? " " : "", says);
}

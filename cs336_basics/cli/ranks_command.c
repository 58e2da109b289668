#define _POSIX_C_SOURCE 200809L
#include "cli/ranks_command.h"

#include "cli/shell_line.h"
#include "distributed/ranks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *program_name = "cs336";

void ranks_command_begin(const char *program)
{
    program_name = program;
}

/*
 * Returns how many arguments `word` begins that the list leaves out: 0; 1 for a flag, and for an option and its value
 * in one word; 2 for an option whose value is the next word.
 */
static int left_out(const char *word, const char *const *list)
{
    for (; *list; list++) {
        const size_t length = strcspn(*list, "=");
        if (strncmp(word, *list, length) != 0)
            continue;
        const bool takes_value = (*list)[length] == '=';
        if (word[length] == '\0')
            return takes_value ? 2 : 1;
        if (takes_value && word[length] == '=')
            return 1;
    }
    return 0;
}

void ranks_command(char *text, size_t capacity, int argc, char **argv, const char *const *without, const char *flag)
{
    ShellLine line = {.text = text, .capacity = capacity};
    char start[64];
    snprintf(start, sizeof start, "mpirun -q -n %d", ranks_count());
    shell_line_begin(&line, start);
    shell_line_add(&line, program_name);
    for (int i = 0; i < argc;) {
        const int count = left_out(argv[i], without);
        if (count == 0)
            shell_line_add(&line, argv[i]);
        i += count ? count : 1;
    }
    if (flag)
        shell_line_add(&line, flag);
    if (line.too_long)
        snprintf(text, capacity, "the same command%s%s", flag ? " with " : "", flag ? flag : "");
}

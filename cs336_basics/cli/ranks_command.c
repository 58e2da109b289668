#define _POSIX_C_SOURCE 200809L
#include "cli/ranks_command.h"

#include "cli/shell_line.h"
#include "distributed/launcher.h"
#include "distributed/ranks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct {
    int argc;
    char **argv;
} program; /* the arguments of main() */

void ranks_command_begin(int argc, char **argv)
{
    program.argc = argc;
    program.argv = argv;
}

/*
 * Returns the length of what precedes the program's own words in a command line, whose words each end in a zero byte; 0
 * if its last words are others, as where mpirun starts a script, or if it starts several programs.
 */
static size_t length_before_program(const char *words, size_t length)
{
    for (int i = program.argc - 1; i >= 0; i--) {
        const size_t bytes = strlen(program.argv[i]) + 1;
        if (bytes > length || memcmp(words + length - bytes, program.argv[i], bytes) != 0)
            return 0;
        length -= bytes;
    }
    for (size_t i = 0; i < length; i += strlen(words + i) + 1)
        if (strcmp(words + i, ":") == 0)
            return 0;
    return length == 0 || words[length - 1] != '\0' ? 0 : length;
}

/* Adds mpirun and its options, with -q. */
static void add_launcher(ShellLine *line)
{
    static char words[1 << 14];
    const size_t length = length_before_program(words, launcher_command_line(words, sizeof words));
    if (length == 0) {
        char count[16];
        int own;
        const int launched = ranks_launched(&own);
        snprintf(count, sizeof count, "%d", launched > ranks_count() ? launched : ranks_count());
        shell_line_begin(line, "mpirun -q -n");
        shell_line_add(line, count);
        return;
    }
    bool quiet = false;
    for (size_t i = 0; i < length; i += strlen(words + i) + 1)
        quiet = quiet || strcmp(words + i, "-q") == 0 || strcmp(words + i, "--quiet") == 0;
    shell_line_begin(line, "");
    for (size_t i = 0; i < length; i += strlen(words + i) + 1) {
        shell_line_add(line, words + i);
        if (i == 0 && !quiet)
            shell_line_add(line, "-q");
    }
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
    add_launcher(&line);
    shell_line_add(&line, program.argc ? program.argv[0] : "cs336");
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

#define _POSIX_C_SOURCE 200809L
#include "cli/ranks_command.h"

#include "distributed/ranks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *program_name = "cs336";

void ranks_command_begin(const char *program)
{
    program_name = program;
}

/* A line that is being written; when a byte does not fit, it is too long. */
typedef struct {
    char *text;
    size_t length, capacity;
    bool too_long;
} Line;

static void add(Line *line, const char *text, size_t count)
{
    line->too_long = line->too_long || count >= line->capacity - line->length;
    if (line->too_long)
        return;
    memcpy(line->text + line->length, text, count);
    line->length += count;
    line->text[line->length] = '\0';
}

/* Adds a blank and a word. Between single quotes sh takes every character as it is, but for the quote itself. */
static void add_word(Line *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    add(line, " ", 1);
    const size_t length = strlen(word);
    if (length && strspn(word, plain) == length) {
        add(line, word, length);
        return;
    }
    add(line, "'", 1);
    for (const char *rest = word; *rest;) {
        const size_t count = strcspn(rest, "'");
        add(line, rest, count);
        rest += count;
        if (*rest) {
            add(line, "'\\''", 4);
            rest++;
        }
    }
    add(line, "'", 1);
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
    Line line = {.text = text, .capacity = capacity};
    char start[64];
    snprintf(start, sizeof start, "mpirun -q -n %d", ranks_count());
    add(&line, start, strlen(start));
    add_word(&line, program_name);
    for (int i = 0; i < argc;) {
        const int count = left_out(argv[i], without);
        if (count == 0)
            add_word(&line, argv[i]);
        i += count ? count : 1;
    }
    if (flag)
        add_word(&line, flag);
    if (line.too_long)
        snprintf(text, capacity, "the same command%s%s", flag ? " with " : "", flag ? flag : "");
}

#include "cli/options.h"

#include "cli/commands.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_WIDTH = 80, HELP_COLUMN = 28, HELP_BYTES = 128 };

int options_bad_usage(const OptionTable *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "cs336 %s: ", table->command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see cs336 %s --help\n", table->command);
    va_end(arguments);
    return EXIT_BAD_USAGE;
}

/* ---- the help text ---- */

static bool takes_several(const Option *option)
{
    return option->type == OPTION_IS_TEXTS && option->value && strcmp(option->value, "FILE") == 0;
}

/* What stands behind an option's help: "(default 3)", or nothing. */
static void describe_default(char *text, size_t size, const Option *option)
{
    *text = '\0';
    const bool required = option->at_start == OPTION_REQUIRED;
    if (option->type == OPTION_IS_TEXTS)
        snprintf(text, size, "(%s%s)", required ? "required, " : "",
                 takes_several(option) ? "one or more" : "may be repeated");
    else if (required)
        snprintf(text, size, "(required)");
    else if (option->at_start == OPTION_UNSHOWN)
        return;
    else if (option->type == OPTION_IS_TEXT && *option->to.text)
        snprintf(text, size, "(default %s)", *option->to.text);
    else if (option->type == OPTION_IS_SIZE)
        snprintf(text, size, "(default %zu)", *option->to.size);
    else if (option->type == OPTION_IS_INTEGER)
        snprintf(text, size, "(default %lld)", (long long)*option->to.integer);
    else if (option->type == OPTION_IS_NUMBER)
        snprintf(text, size, "(default %g)", *option->to.number);
    else if (option->type == OPTION_IS_CHOICE)
        snprintf(text, size, "(default %s)", option->choices[*option->to.choice]);
}

/* A word behind others, on a line of its own where it does not fit. @return the column after it */
static int print_word(int used, int column, const char *word, int length)
{
    if (used > column && used + 1 + length > HELP_WIDTH)
        used = printf("\n%*s", column, "") - 1;
    else if (used > column)
        used += printf(" ");
    return used + printf("%.*s", length, word);
}

/* Words that begin at @p column on every line; the last piece stays in one. */
static void print_wrapped(int column, const char *text, const char *last)
{
    int used = column;
    while (*text) {
        const int length = (int)strcspn(text, " ");
        used = print_word(used, column, text, length);
        text += length + (text[length] == ' ');
    }
    if (*last)
        print_word(used, column, last, (int)strlen(last));
    putchar('\n');
}

static void print_option(const Option *option)
{
    char standard[HELP_BYTES];
    if (option->type == OPTION_IS_HEADING) {
        printf("\n%s:\n", option->help);
        return;
    }
    int used = printf("  --%s", option->name);
    if (option->value)
        used += printf(" %s", option->value);
    if (used > HELP_COLUMN - 2) {
        putchar('\n');
        used = 0;
    }
    printf("%*s", HELP_COLUMN - used, "");
    describe_default(standard, sizeof standard, option);
    print_wrapped(HELP_COLUMN, option->help, standard);
}

static void print_usage(const OptionTable *table)
{
    static const char indent[] = "\n      ";
    int used = printf("Usage: cs336 %s", table->command);
    for (size_t i = 0; i < table->count; i++) {
        const Option *option = &table->options[i];
        if (option->at_start != OPTION_REQUIRED)
            continue;
        if (used + (int)(strlen(option->name) + strlen(option->value)) + 4 > HELP_WIDTH)
            used = printf("%s", indent) - 1;
        used += printf(" --%s %s", option->name, option->value);
    }
    printf("%s [options]\n\n", used + 10 > HELP_WIDTH ? indent : "");
}

static void print_help(const OptionTable *table)
{
    print_usage(table);
    print_wrapped(0, table->summary, "");
    if (table->count && table->options[0].type != OPTION_IS_HEADING)
        fputs("\nOptions:\n", stdout);
    for (size_t i = 0; i < table->count; i++)
        print_option(&table->options[i]);
    printf("  --help%*sthis text\n", HELP_COLUMN - 8, "");
}

/* ---- values ---- */

static int store_size(const OptionTable *table, const Option *option, const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > SIZE_MAX)
        return options_bad_usage(table, "--%s: \"%s\" is not a whole number", option->name, text);
    if (value < option->at_least)
        return options_bad_usage(table, "--%s: %s is too small, at least %zu", option->name, text, option->at_least);
    if (value > option->at_most)
        return options_bad_usage(table, "--%s: %s is too large, at most %zu", option->name, text, option->at_most);
    *option->to.size = (size_t)value;
    return OPTIONS_PARSED;
}

static int store_integer(const OptionTable *table, const Option *option, const char *text)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    const char first = *text == '-' ? text[1] : *text;
    if (first < '0' || first > '9' || *end || errno)
        return options_bad_usage(table, "--%s: \"%s\" is not an integer", option->name, text);
    *option->to.integer = value;
    return OPTIONS_PARSED;
}

static int store_number(const OptionTable *table, const Option *option, const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (!*text || strchr(" \t\n\r\v\f", *text) || *end || !isfinite(value))
        return options_bad_usage(table, "--%s: \"%s\" is not a number", option->name, text);
    if (value < option->from || value > option->up_to)
        return options_bad_usage(table, "--%s: %s is not between %g and %g", option->name, text, option->from,
                                 option->up_to);
    /* What computes with it may do so in float32. */
    if (value != 0 && (float)value == 0)
        return options_bad_usage(table, "--%s: %s is too small for a 32-bit float", option->name, text);
    *option->to.number = value;
    return OPTIONS_PARSED;
}

static int store_choice(const OptionTable *table, const Option *option, const char *text)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *option->to.choice = i;
            return OPTIONS_PARSED;
        }
    }
    return options_bad_usage(table, "--%s: \"%s\" is not one of %s", option->name, text, option->value);
}

static int store(const OptionTable *table, const Option *option, const char *text)
{
    switch (option->type) {
    case OPTION_IS_TEXT:
        if (!*text && strcmp(option->value, "TEXT") != 0)
            return options_bad_usage(table, "--%s is empty", option->name);
        *option->to.text = text;
        break;
    case OPTION_IS_TEXTS:
        if (!*text)
            return options_bad_usage(table, "--%s is empty", option->name);
        if (option->to.texts->count == OPTION_MAX_TEXTS)
            return options_bad_usage(table, "--%s: given more than %d times", option->name, OPTION_MAX_TEXTS);
        option->to.texts->items[option->to.texts->count++] = text;
        break;
    case OPTION_IS_SIZE:
        return store_size(table, option, text);
    case OPTION_IS_INTEGER:
        return store_integer(table, option, text);
    case OPTION_IS_NUMBER:
        return store_number(table, option, text);
    case OPTION_IS_CHOICE:
        return store_choice(table, option, text);
    case OPTION_IS_FLAG:
    case OPTION_IS_HEADING:
        break;
    }
    return OPTIONS_PARSED;
}

/* ---- the command line ---- */

static const Option *find(const OptionTable *table, const char *name, size_t length)
{
    for (size_t i = 0; i < table->count; i++) {
        const Option *option = &table->options[i];
        if (option->type != OPTION_IS_HEADING && strlen(option->name) == length &&
            strncmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static bool given(const Option *option, int argc, char **argv)
{
    const size_t length = strlen(option->name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i] + 2, option->name, length) == 0 &&
            (argv[i][2 + length] == '\0' || argv[i][2 + length] == '='))
            return true;
    return false;
}

/* One option at argv[*at], whose values may be the arguments after it. */
static int parse_one(const OptionTable *table, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    if (strncmp(argument, "--", 2) != 0)
        return options_bad_usage(table, "unexpected argument \"%s\"", argument);
    const char *name = argument + 2;
    const size_t length = strcspn(name, "=");
    const Option *option = find(table, name, length);
    if (!option)
        return options_bad_usage(table, "unknown option --%.*s", (int)length, name);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (option->type == OPTION_IS_FLAG) {
        if (value)
            return options_bad_usage(table, "--%s takes no value", option->name);
        *option->to.flag = true;
        return OPTIONS_PARSED;
    }
    if (!value) {
        if (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return options_bad_usage(table, "--%s needs a value (%s)", option->name, option->value);
        value = argv[++*at];
    }
    int done = store(table, option, value);
    while (takes_several(option) && done == OPTIONS_PARSED && *at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0)
        done = store(table, option, argv[++*at]);
    return done;
}

int options_parse(const OptionTable *table, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(table);
            return EXIT_OK;
        }
    }
    for (int i = 1; i < argc; i++) {
        const int done = parse_one(table, argc, argv, &i);
        if (done != OPTIONS_PARSED)
            return done;
    }
    for (size_t i = 0; i < table->count; i++) {
        const Option *option = &table->options[i];
        if (option->at_start == OPTION_REQUIRED && !given(option, argc, argv))
            return options_bad_usage(table, "--%s %s is missing", option->name, option->value);
    }
    return OPTIONS_PARSED;
}

#include "cli/options.h"

#include "cli/commands.h"
#include "cli/options_config.h"
#include "cli/options_ranks.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELP_WIDTH = 80,     /* columns of a line of help */
    HELP_COLUMN = 28,    /* where the descriptions begin */
    DEFAULT_BYTES = 128, /* for a text such as "(default 3)"; a longer one is cut */
    ORIGIN_BYTES = 64    /* for an option's name with its dashes */
};

int options_bad_usage(const OptionTable *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    status_record_list(format, arguments); /* makes the arguments of the command line safe to print */
    va_end(arguments);
    fprintf(stderr, "cs336 %s: %s; see cs336 %s --help\n", table->source ? table->source : table->command,
            status_message(), table->command);
    return EXIT_BAD_USAGE;
}

/* ---- the help text ---- */

/* True if several values may follow the option, as in `--input a.txt b.txt`. */
static bool takes_several(const Option *option)
{
    return option->type == OPTION_IS_TEXTS && option->value_name && strcmp(option->value_name, "FILE") == 0;
}

/* Writes what follows an option's help, such as "(default 3)" or "(required)", or "". */
static void describe_default(char *text, size_t size, const Option *option)
{
    *text = '\0';
    const bool required = option->when_absent == OPTION_REQUIRED;
    if (option->type == OPTION_IS_TEXTS)
        snprintf(text, size, "(%s%s)", required ? "required, " : "",
                 takes_several(option) ? "one or more" : "may be repeated");
    else if (required)
        snprintf(text, size, "(required)");
    else if (option->when_absent == OPTION_UNSHOWN)
        return;
    else if (option->type == OPTION_IS_TEXT && *option->target.text)
        snprintf(text, size, "(default %s)", *option->target.text);
    else if (option->type == OPTION_IS_SIZE)
        snprintf(text, size, "(default %zu)", *option->target.size);
    else if (option->type == OPTION_IS_INTEGER)
        snprintf(text, size, "(default %lld)", (long long)*option->target.integer);
    else if (option->type == OPTION_IS_NUMBER)
        snprintf(text, size, "(default %g)", *option->target.number);
    else if (option->type == OPTION_IS_CHOICE)
        snprintf(text, size, "(default %s)", option->choices[*option->target.choice]);
}

/* Prints a word, on a new line if it does not fit. Lines begin at first_column. Returns the column after the word. */
static int print_word(int column, int first_column, const char *word, int length)
{
    if (column > first_column && column + 1 + length > HELP_WIDTH)
        column = printf("\n%*s", first_column, "") - 1;
    else if (column > first_column)
        column += printf(" ");
    return column + printf("%.*s", length, word);
}

/* Prints a text in lines that begin at first_column, then an ending that is not broken across lines. */
static void print_wrapped(int first_column, const char *text, const char *ending)
{
    int column = first_column;
    while (*text) {
        const int length = (int)strcspn(text, " ");
        column = print_word(column, first_column, text, length);
        text += length + (text[length] == ' ');
    }
    if (*ending)
        print_word(column, first_column, ending, (int)strlen(ending));
    putchar('\n');
}

static void print_option(const Option *option)
{
    if (option->type == OPTION_IS_HEADING) {
        printf("\n%s:\n", option->help);
        return;
    }
    /* "  --name VALUE", and a new line if that reaches into the descriptions. */
    int column = printf("  --%s", option->name);
    if (option->value_name)
        column += printf(" %s", option->value_name);
    if (column > HELP_COLUMN - 2) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    /* The description and the default. */
    char default_text[DEFAULT_BYTES];
    describe_default(default_text, sizeof default_text, option);
    print_wrapped(HELP_COLUMN, option->help, default_text);
}

/* Prints "Usage: cs336 COMMAND", the options that must be given, and "[options]". */
static void print_usage(const OptionTable *table)
{
    static const char indent[] = "\n      ";
    int column = printf("Usage: cs336 %s", table->command);
    if (table->operand)
        column += printf(" %s", table->operand);
    for (size_t i = 0; i < table->count; i++) {
        const Option *option = &table->options[i];
        if (option->when_absent != OPTION_REQUIRED)
            continue;
        if (column + (int)(strlen(option->name) + strlen(option->value_name)) + 4 > HELP_WIDTH)
            column = printf("%s", indent) - 1;
        column += printf(" --%s %s", option->name, option->value_name);
    }
    printf("%s [options]\n\n", column + (int)strlen(" [options]") > HELP_WIDTH ? indent : "");
}

static void print_help(const OptionTable *table)
{
    print_usage(table);
    print_wrapped(0, table->summary, "");
    if (table->count && table->options[0].type != OPTION_IS_HEADING)
        fputs("\nOptions:\n", stdout);
    for (size_t i = 0; i < table->count; i++)
        print_option(&table->options[i]);
    printf("  --help%*sprint this text\n", HELP_COLUMN - (int)strlen("  --help"), "");
}

/* ---- values: each function checks the text of a value and stores it, or reports bad usage ---- */

static int store_size(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        return options_bad_usage(table, "%s: \"%s\" is not a whole number", origin, text);
    if (!errno && value < option->min_size)
        return options_bad_usage(table, "%s: %s is too small, expected at least %zu", origin, text, option->min_size);
    if (errno || value > option->max_size)
        return options_bad_usage(table, "%s: %s is too large, expected at most %zu", origin, text, option->max_size);
    *option->target.size = (size_t)value;
    return OPTIONS_PARSED;
}

static int store_integer(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    const char first = *text == '-' ? text[1] : *text;
    if (first < '0' || first > '9' || *end || errno)
        return options_bad_usage(table, "%s: \"%s\" is not an integer", origin, text);
    *option->target.integer = value;
    return OPTIONS_PARSED;
}

static int store_number(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (!*text || strchr(" \t\n\r\v\f", *text) || *end || !isfinite(value))
        return options_bad_usage(table, "%s: \"%s\" is not a number", origin, text);
    if (value < option->min_number || value > option->max_number)
        return options_bad_usage(table, "%s: %s is not between %g and %g", origin, text, option->min_number,
                                 option->max_number);
    /* Models compute in float32, where such a number would become 0. */
    if (value != 0 && (float)value == 0)
        return options_bad_usage(table, "%s: %s is too small for a 32-bit float", origin, text);
    *option->target.number = value;
    return OPTIONS_PARSED;
}

static int store_choice(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *option->target.choice = i;
            return OPTIONS_PARSED;
        }
    }
    return options_bad_usage(table, "%s: \"%s\" is not one of %s", origin, text, option->value_name);
}

/* Checks a text by what the option calls it. No directory can be standard output: "-" would make one of that name. */
static int check_text(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    if (!*text && strcmp(option->value_name, "TEXT") != 0)
        return options_bad_usage(table, "%s: the value is empty, expected %s", origin, option->value_name);
    if (strcmp(text, "-") == 0 && strcmp(option->value_name, "DIR") == 0)
        return options_bad_usage(table, "%s: - is standard input or output, expected a directory", origin);
    return OPTIONS_PARSED;
}

int options_store(const OptionTable *table, const Option *option, const char *origin, const char *text)
{
    const bool is_text = option->type == OPTION_IS_TEXT || option->type == OPTION_IS_TEXTS;
    const int done = is_text ? check_text(table, option, origin, text) : OPTIONS_PARSED;
    if (done != OPTIONS_PARSED)
        return done;
    switch (option->type) {
    case OPTION_IS_TEXT:
        *option->target.text = text;
        break;
    case OPTION_IS_TEXTS:
        if (option->target.texts->count == OPTION_MAX_TEXTS)
            return options_bad_usage(table, "%s: too many values, expected at most %d", origin, OPTION_MAX_TEXTS);
        option->target.texts->items[option->target.texts->count++] = text;
        break;
    case OPTION_IS_SIZE:
        return store_size(table, option, origin, text);
    case OPTION_IS_INTEGER:
        return store_integer(table, option, origin, text);
    case OPTION_IS_NUMBER:
        return store_number(table, option, origin, text);
    case OPTION_IS_CHOICE:
        return store_choice(table, option, origin, text);
    case OPTION_IS_CONFIG:
        if (!*text)
            return options_bad_usage(table, "%s: the value is empty, expected %s", origin, option->value_name);
        option->target.config->path = text;
        break;
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

bool options_is_given(const Option *option, int argc, char **argv)
{
    const size_t length = strlen(option->name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i] + 2, option->name, length) == 0 &&
            (argv[i][2 + length] == '\0' || argv[i][2 + length] == '='))
            return true;
    return false;
}

static int store_operand(const OptionTable *table, const char *text)
{
    if (!*text)
        return options_bad_usage(table, "an argument is empty, expected %s", table->operand);
    if (table->operands->count == OPTION_MAX_TEXTS)
        return options_bad_usage(table, "too many arguments, expected at most %d", OPTION_MAX_TEXTS);
    table->operands->items[table->operands->count++] = text;
    return OPTIONS_PARSED;
}

/* Reads the option at argv[*index]. Moves *index to the last argument that the option takes. */
static int parse_one(const OptionTable *table, int argc, char **argv, int *index)
{
    const char *argument = argv[*index];
    if (strncmp(argument, "--", 2) != 0 && table->operands)
        return store_operand(table, argument);
    if (strncmp(argument, "--", 2) != 0)
        return options_bad_usage(table, "unexpected argument \"%s\"", argument);
    /* The name, and the value after "=", if there is one. */
    const char *name = argument + 2;
    const size_t length = strcspn(name, "=");
    const Option *option = find(table, name, length);
    if (!option)
        return options_bad_usage(table, "unknown option --%.*s", (int)length, name);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (option->type == OPTION_IS_FLAG) {
        if (value)
            return options_bad_usage(table, "--%s takes no value", option->name);
        *option->target.flag = true;
        return OPTIONS_PARSED;
    }
    /* Otherwise the value is the next argument. */
    if (!value) {
        if (*index + 1 == argc || strncmp(argv[*index + 1], "--", 2) == 0)
            return options_bad_usage(table, "--%s needs a value (%s)", option->name, option->value_name);
        value = argv[++*index];
    }
    char origin[ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "--%s", option->name);
    int done = options_store(table, option, origin, value);
    while (takes_several(option) && done == OPTIONS_PARSED && *index + 1 < argc &&
           strncmp(argv[*index + 1], "--", 2) != 0)
        done = options_store(table, option, origin, argv[++*index]);
    return done;
}

static int parse(const OptionTable *table, int argc, char **argv)
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
    const int done = options_config_read(table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    for (size_t i = 0; i < table->count; i++) {
        const Option *option = &table->options[i];
        if (option->when_absent == OPTION_REQUIRED && !options_is_given(option, argc, argv) &&
            !options_config_gives(table, option))
            return options_bad_usage(table, "--%s %s is missing", option->name, option->value_name);
    }
    if (table->operands && table->operands->count == 0)
        return options_bad_usage(table, "%s is missing", table->operand);
    return OPTIONS_PARSED;
}

int options_parse(const OptionTable *table, int argc, char **argv)
{
    return options_agree(table, parse(table, argc, argv));
}

/**
 * @file
 * @brief Long options from a table: `--name value`, `--name=value`, and `--help` written from the same table.
 *
 * - A target holds the default before options_parse(), and the answer after it.
 * - A value that begins with "--" is written as `--name=value`.
 * - Given twice, the last one counts, except for repeated texts, which are collected and must not be empty. Those that
 *   are files may also follow each other, as a shell expands them: `--input *.txt`.
 *
 * @code
 * const char *input = NULL;
 * size_t vocab_size = 10000;
 * const Option options[] = {
 *     OPTION_TEXT("input", &input, "FILE", OPTION_REQUIRED, "text to learn from"),
 *     OPTION_SIZE("vocab-size", &vocab_size, "N", 256, "entries of the vocabulary"),
 * };
 * const OptionTable table = OPTION_TABLE("train-bpe", "Learns a byte-pair encoding.", options);
 * const int done = options_parse(&table, argc, argv);
 * if (done != OPTIONS_PARSED)
 *     return done;
 * @endcode
 */
#ifndef CS336_CLI_OPTIONS_H
#define CS336_CLI_OPTIONS_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTION_MAX_TEXTS = 4096, OPTION_MAX_SIZE = INT32_MAX, OPTION_MAX_THREADS = 1024 };

/** @brief Values of an option that may be given several times, in order. */
typedef struct {
    const char *items[OPTION_MAX_TEXTS];
    size_t count;
} TextList;

typedef enum {
    OPTION_IS_HEADING, /**< a line of the help text, no option */
    OPTION_IS_FLAG,
    OPTION_IS_TEXT,
    OPTION_IS_TEXTS,
    OPTION_IS_SIZE,
    OPTION_IS_INTEGER,
    OPTION_IS_NUMBER,
    OPTION_IS_CHOICE
} OptionType;

/** @brief Whether the command line must give an option, and whether the help text shows the target as its default. */
typedef enum { OPTION_SHOWN, OPTION_REQUIRED, OPTION_UNSHOWN } OptionDefault;

typedef struct {
    const char *name; /**< without the dashes */
    OptionType type;
    OptionDefault at_start;
    union {
        bool *flag;
        const char **text;
        TextList *texts;
        size_t *size;
        int64_t *integer;
        double *number;
        int *choice; /**< index into choices */
    } to;
    const char *value;          /**< what the help text calls the value: "FILE", "N" */
    const char *help;           /**< one line, without a full stop */
    const char *const *choices; /**< names, ended by NULL */
    size_t at_least, at_most;   /**< for sizes, both included */
    double from, up_to;         /**< for numbers, both included */
} Option;

/**
 * @name Lines of the table; the macros check the target's type
 * @{
 */
#define OPTION_HEADING(about)                       \
    {                                               \
        .type = OPTION_IS_HEADING, .help = (about), \
    }
#define OPTION_FLAG(called, target, about)                                                   \
    {                                                                                        \
        .name = (called), .type = OPTION_IS_FLAG, .to = {.flag = (target)}, .help = (about), \
    }
/** A text; one that the help calls "TEXT" may be empty, a FILE or DIR may not. */
#define OPTION_TEXT(called, target, shown, start, about)                                                           \
    {                                                                                                              \
        .name = (called), .type = OPTION_IS_TEXT, .at_start = (start), .to = {.text = (target)}, .value = (shown), \
        .help = (about),                                                                                           \
    }
#define OPTION_TEXTS(called, target, shown, start, about)                                                            \
    {                                                                                                                \
        .name = (called), .type = OPTION_IS_TEXTS, .at_start = (start), .to = {.texts = (target)}, .value = (shown), \
        .help = (about),                                                                                             \
    }
/** A whole number from @p minimum to @p maximum. */
#define OPTION_SIZE_UP_TO(called, target, shown, minimum, maximum, about)                          \
    {                                                                                              \
        .name = (called), .type = OPTION_IS_SIZE, .to = {.size = (target)}, .at_least = (minimum), \
        .at_most = (maximum), .value = (shown), .help = (about),                                   \
    }
/** A size: a whole number from @p minimum to OPTION_MAX_SIZE. */
#define OPTION_SIZE(called, target, shown, minimum, about) \
    OPTION_SIZE_UP_TO(called, target, shown, minimum, OPTION_MAX_SIZE, about)
/** Where random numbers begin. */
#define OPTION_SEED(target, about) OPTION_SIZE_UP_TO("seed", target, "N", 0, INT64_MAX, about)
#define OPTION_THREADS(target)                                       \
    OPTION_SIZE_UP_TO("threads", target, "N", 0, OPTION_MAX_THREADS, \
                      "threads, 0: all; the result does not depend on it")
/** A size whose default depends on other options: the target's first value means "not given", the help text says what
 * follows. */
#define OPTION_SIZE_UNSHOWN(called, target, shown, minimum, about)                                      \
    {                                                                                                   \
        .name = (called), .type = OPTION_IS_SIZE, .at_start = OPTION_UNSHOWN, .to = {.size = (target)}, \
        .at_least = (minimum), .at_most = OPTION_MAX_SIZE, .value = (shown), .help = (about),           \
    }
/** A size that must be given. */
#define OPTION_SIZE_REQUIRED(called, target, shown, minimum, about)                                      \
    {                                                                                                    \
        .name = (called), .type = OPTION_IS_SIZE, .at_start = OPTION_REQUIRED, .to = {.size = (target)}, \
        .at_least = (minimum), .at_most = OPTION_MAX_SIZE, .value = (shown), .help = (about),            \
    }
#define OPTION_INTEGER(called, target, shown, about)                                                                 \
    {                                                                                                                \
        .name = (called), .type = OPTION_IS_INTEGER, .to = {.integer = (target)}, .value = (shown), .help = (about), \
    }
/** A finite number in [@p minimum, @p maximum]. */
#define OPTION_NUMBER(called, target, shown, minimum, maximum, about)                                                  \
    {                                                                                                                  \
        .name = (called), .type = OPTION_IS_NUMBER, .to = {.number = (target)}, .from = (minimum), .up_to = (maximum), \
        .value = (shown), .help = (about),                                                                             \
    }
/** A number whose default depends on other options, as OPTION_SIZE_UNSHOWN(). */
#define OPTION_NUMBER_UNSHOWN(called, target, shown, minimum, maximum, about)                               \
    {                                                                                                       \
        .name = (called), .type = OPTION_IS_NUMBER, .at_start = OPTION_UNSHOWN, .to = {.number = (target)}, \
        .from = (minimum), .up_to = (maximum), .value = (shown), .help = (about),                           \
    }
/** One of the NULL-ended names; the target receives its index. */
#define OPTION_CHOICE(called, target, names, shown, about)                                                            \
    {                                                                                                                 \
        .name = (called), .type = OPTION_IS_CHOICE, .to = {.choice = (target)}, .choices = (names), .value = (shown), \
        .help = (about),                                                                                              \
    }
/** @} */

typedef struct {
    const char *command; /**< "train" */
    const char *summary; /**< one or more sentences, the head of the help text */
    const Option *options;
    size_t count;
} OptionTable;

#define OPTION_TABLE(name, text, lines)                                                                        \
    {                                                                                                          \
        .command = (name), .summary = (text), .options = (lines), .count = sizeof(lines) / sizeof((lines)[0]), \
    }

/** @brief What options_parse() answers when the command shall go on; other answers are exit codes. */
enum { OPTIONS_PARSED = -1 };

/**
 * @brief Reads argv[1] to argv[argc - 1] into the table's targets.
 * @retval OPTIONS_PARSED  all is well
 * @retval 0               `--help` was given and its text printed
 * @retval 2               bad usage, one line was printed to stderr
 */
int options_parse(const OptionTable *table, int argc, char **argv);

/** @brief Prints "cs336 COMMAND: message; see cs336 COMMAND --help" and returns 2. */
int options_bad_usage(const OptionTable *table, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

#endif

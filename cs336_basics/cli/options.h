/**
 * @file
 * @brief Command-line options from a table, as argparse does in Python: `--name value`, `--name=value` and `--help`.
 *
 * - Each option has a target, a variable that holds the default before options_parse() and the answer after it.
 * - A value that begins with "--" must be given as `--name=value`.
 * - If an option is given twice, the last one counts. Options of type OPTION_TEXTS collect all their values instead.
 *   Those whose values are files also take several values, as a shell expands a pattern: `--input *.txt`.
 * - With an OPTION_CONFIG() in the table, a JSON file can give the options too (cli/options_config.h).
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

#include "core/api.h"
#include "core/parallel.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    OPTION_MAX_TEXTS = 4096, /**< values of a repeated option: more than the files that a shell pattern usually gives */
    OPTION_MAX_SIZE = INT32_MAX,              /**< of most sizes: token ids are int32 */
    OPTION_MAX_THREADS = PARALLEL_MAX_THREADS /**< a typing error must not start millions of threads */
};

/** @brief The values of an option that may be given several times, in order. */
typedef struct {
    const char *items[OPTION_MAX_TEXTS]; /**< strings of argv; the first count are in use */
    size_t count;                        /**< 0 to OPTION_MAX_TEXTS */
} TextList;

/** @brief The JSON file of an OPTION_CONFIG(). Targets of the type OPTION_TEXT point into its strings. */
typedef struct {
    const char *path; /**< a string of argv; NULL if no file was given */
    void *object;     /**< json_t, owned until options_config_deinit(); NULL if no file was read */
} OptionsConfig;

/** @brief What value an option takes, and so which member of Option.target is used. */
typedef enum {
    OPTION_IS_HEADING, /**< not an option: a heading of the help text */
    OPTION_IS_FLAG,    /**< takes no value */
    OPTION_IS_TEXT,    /**< any string, such as a path */
    OPTION_IS_TEXTS,   /**< a text that may be given several times */
    OPTION_IS_SIZE,    /**< a whole number, not negative */
    OPTION_IS_INTEGER, /**< a whole number of 64 bits with a sign */
    OPTION_IS_NUMBER,  /**< a finite floating-point number */
    OPTION_IS_CHOICE,  /**< one of a list of names */
    OPTION_IS_CONFIG   /**< a JSON file that gives other options */
} OptionType;

/** @brief How an option behaves if the command line does not give it. */
typedef enum {
    OPTION_SHOWN,    /**< the target keeps its default, which the help text shows */
    OPTION_REQUIRED, /**< that is an error */
    OPTION_UNSHOWN   /**< the target keeps its default, which the help text does not show */
} OptionDefault;

/** @brief One line of an option table: an option, or a heading. The macros below fill it in. */
typedef struct {
    const char *name;          /**< without the dashes; NULL for a heading */
    OptionType type;           /**< says which member of target is used */
    OptionDefault when_absent; /**< must it be given, and if not, does the help text show the default? */
    union {
        bool *flag;             /**< set to true */
        const char **text;      /**< set to a string of argv */
        TextList *texts;        /**< grows by a string of argv for each value */
        size_t *size;           /**< set to a number from min_size to max_size */
        int64_t *integer;       /**< set to any 64-bit number */
        double *number;         /**< set to a number from min_number to max_number */
        int *choice;            /**< set to an index into choices */
        OptionsConfig *config;  /**< set to the file, which options_parse() reads */
    } target;                   /**< the caller's variable; NULL for a heading */
    const char *value_name;     /**< what the help text calls the value: "FILE", "N" */
    const char *help;           /**< one line, without a full stop */
    const char *const *choices; /**< names, NULL after the last; of OPTION_IS_CONFIG: options that it cannot give */
    size_t min_size,            /**< the least allowed size */
        max_size;               /**< the greatest allowed size */
    double min_number,          /**< the least allowed number */
        max_number;             /**< the greatest allowed number */
} Option;

/**
 * @name Lines of the table
 * A target of the wrong type does not compile.
 * @{
 */
/** A heading of the help text, above the options that follow it in the table. */
#define OPTION_HEADING(help_text)                       \
    {                                                   \
        .type = OPTION_IS_HEADING, .help = (help_text), \
    }
/** An option without a value: giving it sets the bool at @p variable to true. */
#define OPTION_FLAG(long_name, variable, help_text)                                                       \
    {                                                                                                     \
        .name = (long_name), .type = OPTION_IS_FLAG, .target = {.flag = (variable)}, .help = (help_text), \
    }
/** A text. A value called "TEXT" may be empty; a FILE or a DIR may not, and a DIR is not "-", standard output. */
#define OPTION_TEXT(long_name, variable, placeholder, absent, help_text)                                      \
    {                                                                                                         \
        .name = (long_name), .type = OPTION_IS_TEXT, .when_absent = (absent), .target = {.text = (variable)}, \
        .value_name = (placeholder), .help = (help_text),                                                     \
    }
/** A text that may be given several times. A value called "TEXT" may be empty; another may not. */
#define OPTION_TEXTS(long_name, variable, placeholder, absent, help_text)                                       \
    {                                                                                                           \
        .name = (long_name), .type = OPTION_IS_TEXTS, .when_absent = (absent), .target = {.texts = (variable)}, \
        .value_name = (placeholder), .help = (help_text),                                                       \
    }
/** A whole number from @p minimum to @p maximum. */
#define OPTION_SIZE_UP_TO(long_name, variable, placeholder, minimum, maximum, help_text)                    \
    {                                                                                                       \
        .name = (long_name), .type = OPTION_IS_SIZE, .target = {.size = (variable)}, .min_size = (minimum), \
        .max_size = (maximum), .value_name = (placeholder), .help = (help_text),                            \
    }
/** A whole number from @p minimum to OPTION_MAX_SIZE. */
#define OPTION_SIZE(long_name, variable, placeholder, minimum, help_text) \
    OPTION_SIZE_UP_TO(long_name, variable, placeholder, minimum, OPTION_MAX_SIZE, help_text)
/** The seed of random numbers. */
#define OPTION_SEED(variable, help_text) OPTION_SIZE_UP_TO("seed", variable, "N", 0, INT64_MAX, help_text)
/** The number of threads. */
#define OPTION_THREADS(variable)                                       \
    OPTION_SIZE_UP_TO("threads", variable, "N", 0, OPTION_MAX_THREADS, \
                      "number of threads, 0: one per processor; the result does not depend on it")
/**
 * A size whose default depends on other options. The help text describes that default. The target starts with a value
 * that cannot be given, which means "not given".
 */
#define OPTION_SIZE_UNSHOWN(long_name, variable, placeholder, minimum, help_text) \
    OPTION_SIZE_UNSHOWN_UP_TO(long_name, variable, placeholder, minimum, OPTION_MAX_SIZE, help_text)
/** OPTION_SIZE_UNSHOWN() with a @p maximum. */
#define OPTION_SIZE_UNSHOWN_UP_TO(long_name, variable, placeholder, minimum, maximum, help_text)                    \
    {                                                                                                               \
        .name = (long_name), .type = OPTION_IS_SIZE, .when_absent = OPTION_UNSHOWN, .target = {.size = (variable)}, \
        .min_size = (minimum), .max_size = (maximum), .value_name = (placeholder), .help = (help_text),             \
    }
/** A size that must be given. */
#define OPTION_SIZE_REQUIRED(long_name, variable, placeholder, minimum, help_text)                                   \
    {                                                                                                                \
        .name = (long_name), .type = OPTION_IS_SIZE, .when_absent = OPTION_REQUIRED, .target = {.size = (variable)}, \
        .min_size = (minimum), .max_size = OPTION_MAX_SIZE, .value_name = (placeholder), .help = (help_text),        \
    }
/** A whole number with a sign. */
#define OPTION_INTEGER(long_name, variable, placeholder, help_text)                        \
    {                                                                                      \
        .name = (long_name), .type = OPTION_IS_INTEGER, .target = {.integer = (variable)}, \
        .value_name = (placeholder), .help = (help_text),                                  \
    }
/** A finite number from @p minimum to @p maximum. */
#define OPTION_NUMBER(long_name, variable, placeholder, minimum, maximum, help_text)                              \
    {                                                                                                             \
        .name = (long_name), .type = OPTION_IS_NUMBER, .target = {.number = (variable)}, .min_number = (minimum), \
        .max_number = (maximum), .value_name = (placeholder), .help = (help_text),                                \
    }
/** A number whose default depends on other options, as OPTION_SIZE_UNSHOWN(). */
#define OPTION_NUMBER_UNSHOWN(long_name, variable, placeholder, minimum, maximum, help_text) \
    {                                                                                        \
        .name = (long_name), .type = OPTION_IS_NUMBER, .when_absent = OPTION_UNSHOWN,        \
        .target = {.number = (variable)}, .min_number = (minimum), .max_number = (maximum),  \
        .value_name = (placeholder), .help = (help_text),                                    \
    }
/** One of several names, a list that ends with NULL. The target receives the index of the name. */
#define OPTION_CHOICE(long_name, variable, names, placeholder, help_text)                                    \
    {                                                                                                        \
        .name = (long_name), .type = OPTION_IS_CHOICE, .target = {.choice = (variable)}, .choices = (names), \
        .value_name = (placeholder), .help = (help_text),                                                    \
    }
/** One of several names, whose default depends on a file. The target starts with -1, which means "not given". */
#define OPTION_CHOICE_UNSHOWN(long_name, variable, names, placeholder, help_text)                               \
    {                                                                                                           \
        .name = (long_name), .type = OPTION_IS_CHOICE, .when_absent = OPTION_UNSHOWN,                           \
        .target = {.choice = (variable)}, .choices = (names), .value_name = (placeholder), .help = (help_text), \
    }
/** The file that gives options which the command line does not give, except those whose names are in @p excluded, a
 * list that ends with NULL. */
#define OPTION_CONFIG(variable, excluded)                                                                            \
    {                                                                                                                \
        .name = "config", .type = OPTION_IS_CONFIG, .when_absent = OPTION_UNSHOWN, .target = {.config = (variable)}, \
        .choices = (excluded), .value_name = "FILE",                                                                 \
        .help = "JSON object of options, such as config.json of an earlier run; the command line wins",              \
    }
/** @} */

/** @brief What options_parse() needs to know of a command. It points to memory of the caller. */
typedef struct {
    const char *source;    /**< printable: where the arguments come from if not from the command line. Messages then
                                begin with "cs336 SOURCE: " instead of "cs336 COMMAND: " */
    const char *command;   /**< "train" */
    const char *summary;   /**< one or more sentences at the top of the help text */
    const Option *options; /**< (count) in the order of the help text */
    size_t count;          /**< options and headings */
    const char *operand;   /**< what the help text calls an argument that is no option's, such as "FILE"; NULL: none */
    TextList *operands;    /**< grows by each such argument; there must be one or more. NULL: none are allowed */
} OptionTable;

/** @brief Initialises an OptionTable. @p lines must be an array, not a pointer: the macro takes its length. */
#define OPTION_TABLE(name, text, lines)                                                                        \
    {                                                                                                          \
        .command = (name), .summary = (text), .options = (lines), .count = sizeof(lines) / sizeof((lines)[0]), \
    }

/** @brief What options_parse() returns if the command shall run. Anything else is an exit code. */
enum { OPTIONS_PARSED = -1 };

/**
 * @brief Reads argv[1] to argv[argc - 1] into the table's targets, and then the file of an OPTION_CONFIG(). Under
 * mpirun it is collective, and compares the options of all ranks (cli/options_ranks.h).
 * @retval OPTIONS_PARSED  every target has its value
 * @retval EXIT_OK         `--help` was given, and the help text was printed
 * @retval EXIT_BAD_USAGE  the command line is wrong, and one line on stderr says why
 * @retval EXIT_BAD_INPUT  the file of an OPTION_CONFIG() is wrong, likewise
 */
int options_parse(const OptionTable *table, int argc, char **argv);

/** @brief True if the command line has this option. */
bool options_is_given(const Option *option, int argc, char **argv);

/**
 * @brief Checks the text of a value and stores it in the option's target. @p option takes a value.
 * @param origin  where the text comes from, at the start of the message: "--lr", or "run.json: lr"
 * @return OPTIONS_PARSED, or EXIT_BAD_USAGE after one line on stderr
 */
int options_store(const OptionTable *table, const Option *option, const char *origin, const char *text);

/** @brief Prints "cs336 COMMAND: message; see cs336 COMMAND --help" to stderr. @return EXIT_BAD_USAGE */
int options_bad_usage(const OptionTable *table, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

CS336_INTERNAL_END

#endif

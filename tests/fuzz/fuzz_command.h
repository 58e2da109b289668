/**
 * @file
 * @brief For targets that read options: a table with an option of each type, and what the parser prints.
 */
#ifndef CS336_TESTS_FUZZ_FUZZ_COMMAND_H
#define CS336_TESTS_FUZZ_FUZZ_COMMAND_H

#include "cli/options.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FUZZ_MOST_ARGUMENTS = 64 };

/** @brief The targets of the table. */
typedef struct {
    bool flag;
    const char *file, *text;
    TextList files, texts;
    size_t size, seed, threads, required;
    int64_t integer;
    double number;
    int choice;
    OptionsConfig config; /**< the caller frees it, if the table has the option */
} FuzzCommand;

/** @brief What was printed. */
typedef struct {
    int code;         /**< what options_parse() returned */
    ByteString bytes; /**< of both streams; valid until the next call */
} FuzzPrinted;

/**
 * @brief Parses a command line, and fails unless the exit code, the messages and the values are those that the header
 * promises.
 * @param[out] command      set to the defaults, then to the values
 * @param[in]  with_config  true if the table has --config, whose file may not give --threads
 */
FuzzPrinted fuzz_command_parse(FuzzCommand *command, bool with_config, int argc, char **argv);

#endif

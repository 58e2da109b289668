/**
 * @file
 * @brief The subcommands of `cs336`, and what they share: exit codes and the form of messages.
 *
 * A command gets its own name as argv[0], parses its options, calls the library and reports. It returns an exit code.
 */
#ifndef CS336_CLI_COMMANDS_H
#define CS336_CLI_COMMANDS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

enum {
    EXIT_OK = 0,
    EXIT_BAD_INPUT = 1, /**< a file, a model or the machine does not allow it */
    EXIT_BAD_USAGE = 2  /**< the command line is wrong */
};

int command_story(int argc, char **argv);
int command_train_bpe(int argc, char **argv);
int command_encode(int argc, char **argv);
int command_decode(int argc, char **argv);
int command_tokenizer_json(int argc, char **argv);
int command_tokenizer_report(int argc, char **argv);
int command_train(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_account(int argc, char **argv);

/** @brief Prints "cs336 COMMAND: " and the latest status_message() as one line to stderr. @return EXIT_BAD_INPUT */
int command_failed(const char *command);

/**
 * @brief Checks that a file is there and not empty before a command starts to work on it.
 * @param path   the file
 * @param maker  the command that makes such a file, as "cs336 encode"; NULL: nobody in particular
 * @retval CS336_EIO  it is missing, empty or a directory; the message names @p maker
 */
CS336_MUST_CHECK Status command_needs_file(const char *path, const char *maker);

/** @brief A file of the command line. */
typedef struct {
    const char *path; /**< NULL: not given; "-" is standard input or output */
    const char *what; /**< in messages: "the input", "--vocab" */
    bool written;
} CommandFile;

/**
 * @brief Checks that no output is another output or an input, by whatever name: links, "./", or letter case where the
 * file system ignores it. Call it before anything is written.
 * @param inputs  more inputs, or NULL
 * @retval CS336_EIO  the message names both
 */
CS336_MUST_CHECK Status command_files_differ(const CommandFile *files, size_t count, const TextList *inputs);

/**
 * @brief Checks that a file can be written where a command will write it, before it works for hours.
 * Pipes, devices and "-" are left alone.
 * @retval CS336_EIO  a directory, or in a directory that is missing or unwritable
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status command_needs_writable(const char *output);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief The subcommands of the program `cs336`, their exit codes, and checks of files that several of them need.
 *
 * The function of a command gets the command's name as argv[0]. It parses its options, calls the library, prints a
 * report, and returns an exit code.
 */
#ifndef CS336_CLI_COMMANDS_H
#define CS336_CLI_COMMANDS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

enum {
    EXIT_OK = 0,        /**< the command did its work, or printed the help text */
    EXIT_BAD_INPUT = 1, /**< the command failed: because of a file, a setting or the machine */
    EXIT_BAD_USAGE = 2  /**< the command line is wrong */
};

int command_story(int argc, char **argv);            /**< writes the embedded corpus, and says its exact entropy */
int command_train_bpe(int argc, char **argv);        /**< learns a tokenizer from text */
int command_encode(int argc, char **argv);           /**< turns text into a file of token ids */
int command_decode(int argc, char **argv);           /**< turns a file of token ids back into text */
int command_export_tokenizer(int argc, char **argv); /**< writes a tokenizer.json or a rank file for other programs */
int command_tokenizer_report(int argc, char **argv); /**< measures tokenizers: bytes per token, speed, unused tokens */
int command_train(int argc, char **argv);            /**< trains a model on a file of token ids, or resumes a run */
int command_experiment(int argc, char **argv);       /**< trains the runs of an experiment, or those that are missing */
int command_generate(int argc, char **argv);         /**< continues a prompt with the model of a checkpoint */
int command_evaluate(int argc, char **argv);         /**< measures how well a model predicts a text */
int command_report(int argc, char **argv);           /**< writes a page or a table about training runs */
int command_inspect(int argc, char **argv);          /**< writes the attention viewer, or a pass's shapes and norms */
int command_import(int argc, char **argv);           /**< makes a checkpoint of the weights of another program */
int command_export(int argc, char **argv);           /**< writes the weights of a checkpoint for other programs */
int command_account(int argc, char **argv);          /**< prints a model's parameters, FLOPs and memory by part */

/** @brief Prints "cs336 COMMAND: " and status_message() as one line to stderr. @return EXIT_BAD_INPUT */
int command_failed(const char *command);

/**
 * @brief Checks that an input file exists and is not empty, before the command begins its work.
 * @param path   the file
 * @param maker  the command that writes such files, as "cs336 encode", for the message; NULL if any file will do
 * @retval CS336_EIO  it is missing, empty or a directory; the message names @p maker
 */
CS336_MUST_CHECK Status command_needs_file(const char *path, const char *maker);

/** @brief The same as command_needs_file(), but the file may be empty, as text_form_check_empty() allows it. */
CS336_MUST_CHECK Status command_needs_readable(const char *path, const char *maker);

/**
 * @brief Checks that all files exist, and that one of them has text; "-" counts as text.
 * @retval CS336_EIO      one is missing or a directory, or all are empty
 * @retval CS336_EFORMAT  as text_form_check_empty()
 */
CS336_MUST_CHECK Status command_needs_text(const TextList *paths, const char *maker);

/** @brief A file that is named on the command line. */
typedef struct {
    const char *path; /**< NULL if not given; "-" is standard input or output */
    const char *what; /**< name for messages: "the input", "the vocabulary" */
    bool written;     /**< true for an output, false for an input */
} CommandFile;

/**
 * @brief Checks that no output is the same file as an input or another output. It compares files rather than names, so
 * it finds links, "./x" beside "x", and "X" beside "x" if the file system ignores letter case. Call it before anything
 * is written.
 * @param inputs  further inputs, or NULL
 * @retval CS336_EIO  two are the same file; the message names both
 */
CS336_MUST_CHECK Status command_files_differ(const CommandFile *files, size_t count, const TextList *inputs);

/**
 * @brief Checks that the output can be written, before the command works for hours. Pipes, devices and "-" are not
 * checked.
 * @retval CS336_EIO  it is a directory, or its directory is missing or not writable
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status command_needs_writable(const char *output);

CS336_INTERNAL_END

#endif

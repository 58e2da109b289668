/**
 * @file
 * @brief The options of every command that reads a tokenizer's files, and reading what it works on.
 */
#ifndef CS336_CLI_TOKENIZER_OPTIONS_H
#define CS336_CLI_TOKENIZER_OPTIONS_H

#include "cli/options.h"
#include "core/status.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdio.h>

typedef struct {
    const char *vocab, *merges;
    TextList special;
} TokenizerOptions;

/** @brief Lines of an option table for a TokenizerOptions. */
#define TOKENIZER_OPTION_LINES(o)                                                                  \
    OPTION_TEXT("vocab", &(o).vocab, "FILE", OPTION_REQUIRED, "vocab.json, from cs336 train-bpe"), \
        OPTION_TEXT("merges", &(o).merges, "FILE", OPTION_REQUIRED, "merges.txt of the same"),     \
        OPTION_TEXTS("special-token", &(o).special, "T", OPTION_UNSHOWN, "text that is one token wherever it stands")

/** @brief The texts of a repeated option as byte strings; room for OPTION_MAX_TEXTS. @return how many */
size_t texts_as_byte_strings(ByteString *strings, const TextList *texts);

/** @brief Loads the tokenizer; the message of a missing file names cs336 train-bpe. */
CS336_MUST_CHECK Status tokenizer_options_load(Tokenizer **tokenizer, const TokenizerOptions *options);

/** @brief Input of a command, read front to back; "-" is standard input. */
typedef struct {
    FILE *stream;
    const char *path; /**< for messages */
    size_t size;      /**< bytes, 0 when that is not known before the end */
    size_t taken;     /**< bytes read so far */
} InputStream;

/**
 * @brief Opens a file that must not be empty.
 * @param maker  the command that makes such a file, or NULL
 * @retval CS336_EIO  missing, empty, or a directory
 */
CS336_MUST_CHECK Status input_open(InputStream *input, const char *path, const char *maker);

/** @brief Up to @p most bytes; *bytes is 0 at the end. @retval CS336_EIO */
CS336_MUST_CHECK Status input_read(InputStream *input, void *buffer, size_t most, size_t *bytes);
void input_close(InputStream *input);

#endif

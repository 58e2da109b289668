/**
 * @file
 * @brief The options of commands that load a tokenizer, and reading their input.
 */
#ifndef CS336_CLI_TOKENIZER_OPTIONS_H
#define CS336_CLI_TOKENIZER_OPTIONS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/status.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/** @brief The targets of the options that describe a tokenizer. */
typedef struct {
    const char *vocab, /**< path of vocab.json */
        *merges;       /**< path of merges.txt, from the same training */
    TextList special;  /**< of --special-token; those that the vocabulary lacks get the next ids, in this order */
} TokenizerOptions;

/** @brief The help of --special-token. */
#define SPECIAL_TOKEN_HELP "text that is always one token, such as <|endoftext|>"

/** @brief Lines of an option table whose targets are the fields of the TokenizerOptions @p o. */
#define TOKENIZER_OPTION_LINES(o)                                                                          \
    OPTION_TEXT("vocab", &(o).vocab, "FILE", OPTION_REQUIRED, "vocab.json, from cs336 train-bpe"),         \
        OPTION_TEXT("merges", &(o).merges, "FILE", OPTION_REQUIRED, "merges.txt, from the same training"), \
        OPTION_TEXTS("special-token", &(o).special, "TOKEN", OPTION_UNSHOWN, SPECIAL_TOKEN_HELP)

/** @brief Entries of a list of CommandFile: the files of a TokenizerOptions, which a command reads. */
#define TOKENIZER_FILES(o)                               \
    {.path = (o).vocab, .what = "the vocabulary"},       \
    {                                                    \
        .path = (o).merges, .what = "the list of merges" \
    }

/**
 * @brief Converts the texts of a repeated option to byte strings.
 * @param[out] strings  room for OPTION_MAX_TEXTS
 * @return number of texts
 */
size_t texts_as_byte_strings(ByteString *strings, const TextList *texts);

/**
 * @brief Prints a line to stderr for each special token whose entry in the vocabulary's file could be meant otherwise,
 * and one for all that the file has and the caller did not name (tokenizer/files/special_text.h).
 */
void tokenizer_options_notes(const BPEModel *model, const char *vocab);

/**
 * @brief Loads the tokenizer. If a file is missing, the message names the command that makes it. It prints nothing:
 * see tokenizer_options_notes().
 */
CS336_MUST_CHECK Status tokenizer_options_load(Tokenizer **tokenizer, const TokenizerOptions *options);

/** @brief The token between documents. Commands that load a model know it, even if --special-token does not name it. */
#define TOKENIZER_DOCUMENT_END "<|endoftext|>"

/** @brief True if the vocabulary has TOKENIZER_DOCUMENT_END, but the options do not name it as a special token. */
bool tokenizer_options_lack_end(const TokenizerOptions *options, const Tokenizer *tokenizer);

/**
 * @brief Loads the tokenizer of a model. TOKENIZER_DOCUMENT_END is a special token also if the options do not name it,
 * but only if the vocabulary has it: the model does not know a token that would be added.
 */
CS336_MUST_CHECK Status tokenizer_options_load_for(Tokenizer **tokenizer, const TokenizerOptions *options);

/**
 * @brief Checks that the model has an id for every token: a model may have more ids than its tokenizer has tokens.
 * @param checkpoint  path of the model, for the message
 * @retval CS336_EFORMAT  there are more tokens; the message counts those that --special-token has added apart
 * @retval others         as tokenizer_options_load()
 */
CS336_MUST_CHECK Status tokenizer_options_fit(const Tokenizer *tokenizer, const TokenizerOptions *options,
                                              size_t vocab_size, const char *checkpoint);

/** @brief Input of a command: a file or standard input, read from beginning to end. */
typedef struct {
    FILE *stream;     /**< the open file, or stdin; NULL: closed */
    const char *path; /**< for messages */
    size_t size;      /**< bytes; 0 if the size is known at the end only */
    size_t taken;     /**< bytes read so far */
} InputStream;

/**
 * @brief Opens a file, which may be empty, or standard input.
 * @param path   "-" is standard input
 * @param maker  the command that writes such files, or NULL
 * @retval CS336_EIO  missing, or a directory
 */
CS336_MUST_CHECK Status input_open(InputStream *input, const char *path, const char *maker);

/**
 * @brief Reads up to @p capacity bytes.
 * @param[out] bytes  number of bytes read; 0 at the end
 * @retval CS336_EIO  the input cannot be read
 */
CS336_MUST_CHECK Status input_read(InputStream *input, void *buffer, size_t capacity, size_t *bytes);

/** @brief Closes the file. Standard input stays open; a zeroed or closed input is fine. */
void input_close(InputStream *input);

CS336_INTERNAL_END

#endif

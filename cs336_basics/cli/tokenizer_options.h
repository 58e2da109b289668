/**
 * @file
 * @brief The options of commands that load a tokenizer, and what they do with its special tokens.
 */
#ifndef CS336_CLI_TOKENIZER_OPTIONS_H
#define CS336_CLI_TOKENIZER_OPTIONS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/status.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief The targets of the options that describe a tokenizer: one file, or two. */
typedef struct {
    const char *file, /**< path of a tokenizer.json or a rank file; NULL with the pair */
        *vocab,       /**< path of vocab.json */
        *merges;      /**< path of merges.txt, from the same training */
    int pattern;      /**< index into tokenizer_pattern_choices */
    TextList special; /**< of --special-token; those that the vocabulary lacks get the next ids, in this order */
} TokenizerOptions;

/** @brief Values of --pattern: "file", then those of pattern_names. The list ends with NULL. */
extern const char *const tokenizer_pattern_choices[];

/** @brief The help of --tokenizer. */
#define TOKENIZER_FILE_HELP                                                                      \
    "the tokenizer: tokenizer.json, from cs336 train-bpe or Hugging Face, a rank file, such as " \
    "cl100k_base.tiktoken, or for decoding a tokenizer.bin of llama2.c"
/** @brief The help of --vocab. */
#define TOKENIZER_VOCAB_HELP "vocab.json, in place of --tokenizer and together with --merges"
/** @brief The help of --merges. */
#define TOKENIZER_MERGES_HELP "merges.txt, from the same training as --vocab"
/** @brief The help of --pattern. */
#define TOKENIZER_PATTERN_HELP                                                                                        \
    "how text is split into pre-tokens; file: as the file says, gpt2 for vocab.json. A rank file that is not one of " \
    "OpenAI's needs gpt2 or gpt4"
/** @brief The help of --special-token. */
#define SPECIAL_TOKEN_HELP "text that is always one token, such as <|endoftext|>"

/** @brief Lines of an option table whose targets are the fields of the TokenizerOptions @p o. */
#define TOKENIZER_OPTION_LINES(o)                                                                 \
    OPTION_TEXT("tokenizer", &(o).file, "FILE", OPTION_UNSHOWN, TOKENIZER_FILE_HELP),             \
        OPTION_TEXT("vocab", &(o).vocab, "FILE", OPTION_UNSHOWN, TOKENIZER_VOCAB_HELP),           \
        OPTION_TEXT("merges", &(o).merges, "FILE", OPTION_UNSHOWN, TOKENIZER_MERGES_HELP),        \
        OPTION_TEXTS("special-token", &(o).special, "TOKEN", OPTION_UNSHOWN, SPECIAL_TOKEN_HELP), \
        OPTION_CHOICE("pattern", &(o).pattern, tokenizer_pattern_choices, "file|gpt2|gpt4", TOKENIZER_PATTERN_HELP)

/** @brief Entries of a list of CommandFile: the files of a TokenizerOptions, which a command reads. */
#define TOKENIZER_FILES(o)                                                                      \
    {.path = (o).file, .what = "the tokenizer"}, {.path = (o).vocab, .what = "the vocabulary"}, \
    {                                                                                           \
        .path = (o).merges, .what = "the list of merges"                                        \
    }

/**
 * @brief Checks that the options name a tokenizer: by --tokenizer, or by --vocab and --merges.
 * @return OPTIONS_PARSED, or EXIT_BAD_USAGE after one line on stderr
 */
int tokenizer_options_check(const OptionTable *table, const TokenizerOptions *options);

/** @brief True if any option of a tokenizer was given. */
bool tokenizer_options_given(const TokenizerOptions *options);

/** @brief Returns the path of the file that has the vocabulary, for messages; NULL if no tokenizer is named. */
const char *tokenizer_options_path(const TokenizerOptions *options);

/**
 * @brief Reads the model of the options, without making a tokenizer. If a file is missing, the message names the
 * command that makes it. The caller frees it with bpe_model_deinit().
 */
CS336_MUST_CHECK Status tokenizer_options_read(BPEModel *model, const TokenizerOptions *options);

/**
 * @brief Converts the texts of a repeated option to byte strings.
 * @param[out] strings  room for OPTION_MAX_TEXTS
 * @return number of texts
 */
size_t texts_as_byte_strings(ByteString *strings, const TextList *texts);

/**
 * @brief Prints a line to stderr for each special token whose entry in the vocabulary's file could be meant otherwise,
 * one for all that the file has and the caller did not name (tokenizer/files/special_text.h), and one for the steps of
 * a tokenizer.json that are left out.
 * @param path  from tokenizer_options_path()
 */
void tokenizer_options_notes(const BPEModel *model, const char *path);

/**
 * @brief Loads the tokenizer. If a file is missing, the message names the command that makes it. It prints nothing:
 * see tokenizer_options_notes().
 */
CS336_MUST_CHECK Status tokenizer_options_load(Tokenizer **tokenizer, const TokenizerOptions *options);

/** @brief What a command that encodes names in place of a tokenizer that cannot. */
#define TOKENIZER_THAT_ENCODES "give a tokenizer.json, a rank file, or --vocab and --merges"

/**
 * @brief Checks that a tokenizer can do more than decode, and else names its file and what to do.
 * @param instead  what the user can give in its place
 * @retval CS336_ERANGE  it is one of llama2.c
 */
CS336_MUST_CHECK Status tokenizer_options_encode(const BPEModel *model, const TokenizerOptions *options,
                                                 const char *instead);

/** @brief True if the vocabulary has TOKENIZER_DOCUMENT_END, but neither the file nor an option makes it a special
 * token. False for a tokenizer that is decode_only, which finds no special tokens in text. */
bool tokenizer_options_lack_end(const Tokenizer *tokenizer);

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

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief The parts of `cs336 generate`: its prompts, the texts that it writes, and its interactive mode.
 */
#ifndef CS336_CLI_GENERATE_H
#define CS336_CLI_GENERATE_H

#include "cli/options.h"
#include "cli/screen.h"
#include "cli/tokenizer_options.h"
#include "core/api.h"
#include "core/status.h"
#include "generate/batch.h"
#include "generate/stop_text.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/** @brief The targets of the options. */
typedef struct {
    const char *checkpoint,     /**< path of the model */
        *prompt,                /**< the prompt, or NULL */
        *prompt_file,           /**< path of a file that is one prompt, or NULL */
        *prompts,               /**< path of a file with a prompt on each line, or NULL */
        *prompt_ids;            /**< the prompt as ids, or NULL */
    TokenizerOptions tokenizer; /**< its files and special tokens */
    TextList stops;             /**< of --stop; none: TOKENIZER_DOCUMENT_END, if the vocabulary has it */
    size_t max_tokens,          /**< of each text */
        seed,                   /**< of the random draws */
        samples,                /**< texts for each prompt */
        threads;                /**< 0: one for each processor */
    SampleConfig sample;        /**< how tokens are drawn */
    bool logprobs,              /**< print tokens and log-probabilities in place of the text */
        ids,                    /**< print ids in place of the text */
        interactive;            /**< read prompts line by line */
} GenerateOptions;

/** @brief What all texts of a call share. */
typedef struct {
    const GenerateOptions *options; /**< of the command line */
    const TransformerLM *lm;        /**< the model */
    const Tokenizer *tokenizer;     /**< its tokenizer */
    GenerateConfig config;  /**< for generate_all(); its stop_token is the default one, or -1 if --stop is given */
    int32_t document_start; /**< the token before each document, or -1 if the vocabulary has none */
    StopTexts stops;        /**< of --stop */
} GenerateJob;

/* ---- prompts: cli/generate_prompts.c ---- */

/** @brief A prompt, as bytes and as tokens. */
typedef struct {
    ByteString text; /**< without its tokens: an empty text starts a new document */
    size_t first,    /**< index of its first id in the list of all */
        count;       /**< number of its ids */
} GeneratePrompt;

/** @brief The prompts of a call. It owns their bytes and ids. */
typedef struct {
    ByteList bytes;        /**< what was read from a file, or the text of --prompt-ids */
    GeneratePrompt *items; /**< (count) */
    size_t count,          /**< prompts, at least 1 */
        capacity;          /**< prompts that there is room for */
    TokenList ids;         /**< of all prompts, one after the other */
} GeneratePrompts;

/**
 * @brief Reads the prompts that the options name: --prompt, --prompt-file, --prompts, or one empty prompt.
 * @retval CS336_EIO    a file cannot be read, or --prompts has no line
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status generate_prompts_read(GeneratePrompts *prompts, const GenerateOptions *options);

/**
 * @brief Encodes all prompts, or reads --prompt-ids and decodes them.
 * @retval CS336_ERANGE  a prompt is empty, and the vocabulary has no token to start a document with; the tokenizer
 *                       cannot encode; or --prompt-ids is not a list of ids of its tokens
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status generate_prompts_encode(GeneratePrompts *prompts, const GenerateJob *job);

/** @brief Frees the prompts; zeroed ones are fine. */
void generate_prompts_deinit(GeneratePrompts *prompts);

/* ---- texts: cli/generate_output.c ---- */

/** @brief A text on its way to standard output. */
typedef struct GenerateOutput GenerateOutput;

/** @brief Standard output, which gets the texts one after the other while they are generated together. */
typedef struct {
    const GenerateJob *job; /**< what all texts share */
    Screen screen;          /**< of the current text */
    GenerateOutput *texts;  /**< (count) */
    size_t count,           /**< texts */
        current;            /**< index of the text that is being written; those after it wait */
    bool begun;             /**< the beginning of the first text is written */
} GenerateWriter;

/** @brief Prepares for @p count texts. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status generate_writer_init(GenerateWriter *writer, const GenerateJob *job, size_t count);

/**
 * @brief Returns the receiver of text @p index, which begins with @p prompt in the output. The output begins with the
 * first token, when the memory is there and the model has read the prompt: a failure before that writes nothing. The
 * last id of the prompt is
 * @p previous.
 */
TextReceiver generate_writer_receiver(GenerateWriter *writer, size_t index, ByteString prompt, int32_t previous);

/** @brief Frees the texts; a zeroed writer is fine. */
void generate_writer_deinit(GenerateWriter *writer);

/** @brief Writes bytes to standard output, made safe for a terminal. `last` ends a text. @retval CS336_EIO,
 * CS336_ENOMEM */
CS336_MUST_CHECK Status generate_write(Screen *screen, ByteString piece, bool last);

/* ---- the generation: cli/generate.c ---- */

/**
 * @brief Does what generate_all() does. Where memory is missing, the message names the options that need less of it.
 * @retval CS336_EIO, CS336_ENOMEM, CS336_ERANGE  as generate_all()
 */
CS336_MUST_CHECK Status generate_texts(GenerateText *texts, size_t count, const GenerateJob *job);

/* ---- the interactive mode: cli/generate_interactive.c ---- */

/** @brief Checks that the tokenizer can encode lines. @retval CS336_ERANGE  it can only decode */
CS336_MUST_CHECK Status generate_check_interactive(const GenerateJob *job);

/**
 * @brief Reads a line, writes its continuation, and so on to the end of standard input. The model reads all that came
 * before in the same document, as far as its window holds it.
 * @retval CS336_EIO, CS336_ENOMEM, CS336_ERANGE  as generate_all(), or standard input or output fails
 */
CS336_MUST_CHECK Status generate_interactively(const GenerateJob *job);

CS336_INTERNAL_END

#endif

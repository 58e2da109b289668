/**
 * @file
 * @brief What the two forms of `cs336 inspect` share.
 */
#ifndef CS336_CLI_INSPECT_H
#define CS336_CLI_INSPECT_H

#include "cli/tokenizer_options.h"
#include "core/api.h"
#include "core/status.h"
#include "train/model_checkpoint.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief The command line. */
typedef struct {
    const char *checkpoint,     /**< path of the model */
        *prompt,                /**< NULL: random ids */
        *output;                /**< path of the page; NULL: prints shapes */
    TokenizerOptions tokenizer; /**< for the prompt */
    bool shapes;                /**< prints shapes */
    size_t batch_size,          /**< sequences of random ids; 0: not given */
        context_length;         /**< ids of each; 0: not given */
    size_t seed,                /**< of the random ids */
        threads;                /**< as parallel_set_threads() takes them */
} InspectOptions;

/** @brief The tokens of the prompt. */
typedef struct {
    Tokenizer *tokenizer; /**< owned */
    TokenList all;        /**< owned: every token of the prompt */
    const int32_t *ids;   /**< (count) the last of them, as many as the model sees at once */
    size_t count;         /**< at least 1 */
} InspectPrompt;

/**
 * @brief Loads the tokenizer and encodes the prompt. Free the result with inspect_prompt_deinit(), also on failure.
 * @retval CS336_EFORMAT  the tokenizer is not that of the model
 * @retval CS336_ERANGE   the prompt is empty
 */
CS336_MUST_CHECK Status inspect_encode(InspectPrompt *prompt, const InspectOptions *o,
                                       const TransformerLMConfig *config);

/** @brief Frees the tokens and the tokenizer. */
void inspect_prompt_deinit(InspectPrompt *prompt);

/** @brief Writes a sentence that says how many tokens the prompt has, and how many of them the model sees. */
void inspect_prompt_text(char *text, size_t size, const InspectPrompt *prompt);

/** @brief Checks the output before anything is computed. @retval CS336_EIO  not writable, or also an input */
CS336_MUST_CHECK Status inspect_page_check(const InspectOptions *o);

/** @brief Writes the attention viewer with the model's weights on the prompt. */
CS336_MUST_CHECK Status inspect_page(const InspectOptions *o, const TrainedModel *model);

CS336_INTERNAL_END

#endif

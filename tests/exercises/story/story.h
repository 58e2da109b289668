/**
 * @file
 * @brief A story that a model writes, token by token, with the logits from which each token was chosen.
 *
 * The same sources make two programs. One links the library alone and writes the reference's story to a file. The other
 * links the learner's functions, and the textbook solutions in place of all other exercises, and compares.
 */
#ifndef CS336_TESTS_EXERCISES_STORY_STORY_H
#define CS336_TESTS_EXERCISES_STORY_STORY_H

#include "core/status.h"
#include "nn/transformer_lm.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>

/** @brief What to write. */
typedef struct {
    const char *directory; /**< of the model's files: model.safetensors, tokenizer.json and train.bin */
    const char *prompt;
    size_t max_tokens;
    size_t seed;    /**< of the random draws; 0: always the likeliest token */
    size_t steps;   /**< of training */
    size_t minutes; /**< of training at most */
    bool printed;   /**< print each token when it is chosen */
} Settings;

/** @brief A tokenizer, and the ids of the prompt. */
typedef struct {
    Tokenizer *tokenizer;
    TokenList prompt;
    int32_t stop_token;
} Text;

/** @brief A story without its prompt. */
typedef struct {
    TokenList ids;
    bool ended;    /**< the model chose the stop token after the last id */
    float *logits; /**< (rows, vocab_size): row i chose token i */
    size_t rows;   /**< ids.count, and one more for the stop token */
    size_t vocab_size;
} Story;

/** @brief Loads the tokenizer and encodes the prompt. An empty prompt is a new document. */
Status text_init(Text *text, const Settings *settings);
void text_deinit(Text *text);

/**
 * @brief Writes a story by generate(), without a key-value cache: the model computes its whole window for each token.
 * @retval CS336_ERANGE  logits are NaN
 */
Status write_story(Story *story, const TransformerLM *lm, const Text *text, const Settings *settings);
void free_story(Story *story);

/** @brief Prints the prompt and tokens as text. */
void print_story(const Story *story, const Text *text, const Settings *settings);

/** @brief Writes a story to a file, and reads it. @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM */
Status save_story(const Story *story, const char *path);
Status load_story(Story *story, const char *path);

/** @brief Returns "DIRECTORY/NAME", valid until the next call. */
const char *path_in(const Settings *settings, const char *name);

/**
 * @brief Prints whether both stories are equal, and else the first word where they part, with the logits there.
 * @param lm  computes the learner's logits again
 */
Status stories_compare(const Story *yours, const Story *reference, const TransformerLM *lm, const Text *text);

/**
 * @brief Trains a small model from its initial weights by train_together(), and then writes a story with it.
 * @param reference  true: writes the losses and the story to files; false: prints both beside those of the files
 */
Status train_and_tell(const Settings *settings, const Text *text, bool reference);

#endif

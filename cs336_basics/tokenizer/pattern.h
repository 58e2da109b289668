/**
 * @file
 * @brief The regular expressions that split text into pre-tokens, by name.
 *
 * A vocabulary gives the ids it was made for only with the pattern that it was learned with. vocab.json and merges.txt
 * do not name their pattern: it is GPT-2's. tokenizer.json has the regular expression itself. Nothing here runs regular
 * expressions: their texts are compared with those that are known.
 */
#ifndef CS336_TOKENIZER_PATTERN_H
#define CS336_TOKENIZER_PATTERN_H

#include "core/api.h"
#include "tokenizer/buffers.h"

CS336_API_BEGIN

/** @brief How text is split before merges are learned or applied. Zero is the course's pattern. */
typedef enum {
    PATTERN_GPT2, /**< handout section 2.4; also the pattern of GPT-3 */
    PATTERN_GPT4  /**< of tiktoken's cl100k_base (GPT-4), and of Llama 3 */
} PretokenPattern;

/** @brief In place of a PretokenPattern: nobody has said which one, or it is none of them. */
enum { PATTERN_UNKNOWN = -1 };

/** @brief Names for command lines and messages, in the order of the enum: "gpt2", "gpt4". The list ends with NULL. */
extern const char *const pattern_names[];

/** @brief Returns the regular expression of a pattern, as a tokenizer.json has it. */
const char *pattern_regex(PretokenPattern pattern);

/** @brief Returns the PretokenPattern of a regular expression, or PATTERN_UNKNOWN if its text is none of the known. */
int pattern_of_regex(ByteString regex);

CS336_API_END

#endif

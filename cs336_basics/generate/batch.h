/**
 * @file
 * @brief Generating several texts together, each of which is the text that it would be alone.
 *
 * - Up to DECODER_TOGETHER texts advance at once, a token each. When one ends, the next one takes its place.
 * - A text depends on its prompt, its random numbers and the configuration, and not on the other texts.
 * - The caches have room for the longest prompt and max_tokens, at most context_length tokens.
 */
#ifndef CS336_GENERATE_BATCH_H
#define CS336_GENERATE_BATCH_H

#include "core/api.h"
#include "core/rng.h"
#include "core/status.h"
#include "core/tensor.h"
#include "generate/decode.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief A token that was drawn, and what it was drawn from. */
typedef struct {
    int32_t id;    /**< the token */
    bool stops;    /**< true: it is the stop token, which ends the text and is not part of it */
    Tensor logits; /**< (vocab_size) of all ids, for sample_log_probability(); valid during the call */
} DrawnToken;

/** @brief Receives a text. Any status but CS336_OK ends the generation of all texts with that status. */
typedef struct {
    /** Receives each token in the order of the text, also the stop token. Sets *end to end the text with it. */
    Status (*token)(void *context, const DrawnToken *token, bool *end);
    Status (*end)(void *context); /**< called once, after the last token; NULL: not called */
    void *context;                /**< passed to each call */
} TextReceiver;

/** @brief A text to generate. */
typedef struct {
    const int32_t *prompt; /**< (prompt_length) ids */
    size_t prompt_length;  /**< at least 1 */
    Rng rng;               /**< draws one uniform number for each token */
    TextReceiver receiver; /**< receives the tokens that follow the prompt */
    size_t generated;      /**< result: tokens of the text, without the stop token */
} GenerateText;

/**
 * @brief Generates the continuations of all prompts. The receivers are called in turn, from the calling thread.
 * @param[in,out] texts   count of them; rng and generated change
 * @param[in]     lm      the model
 * @param[in]     config  when to stop, and how to sample; as for generate()
 * @retval CS336_ERANGE  as generate()
 * @retval CS336_ENOMEM  the memory for one window was not there; with less memory, fewer texts advance together
 * @retval others        what a receiver returned
 * @see test_texts_together_are_those_made_alone
 */
CS336_MUST_CHECK Status generate_all(GenerateText *texts, size_t count, const TransformerLM *lm,
                                     const GenerateConfig *config);

CS336_API_END

#endif

/**
 * @file
 * @brief Generating text: the model predicts the next token from a window of tokens, again and again (handout section
 * 6, problem decoding).
 *
 * - The window holds the tokens that the model sees, at most context_length (or what decoder_bind() says). When it is
 * full and another token comes, the window keeps its last half, which moves to positions 0, 1, ..., and the token is
 * appended.
 * - With a key-value cache, the model computes only tokens whose keys and values are not cached: a prompt at once, then
 *   one token at a time. After the window has moved, it computes the half that was kept again. Without a cache it
 *   computes the whole window for each token. The logits of both agree up to rounding.
 */
#ifndef CS336_GENERATE_DECODE_H
#define CS336_GENERATE_DECODE_H

#include "core/api.h"
#include "core/arena.h"
#include "core/rng.h"
#include "core/status.h"
#include "generate/sample.h"
#include "nn/transformer_lm.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief A model, its window, and the memory that generating takes. */
typedef struct {
    const TransformerLM *lm; /**< the weights, which are only read; the caller owns them */
    Arena memory;            /**< owns everything below; empty after decoder_bind(), whose caller owns it */
    KeyValueCache *caches;   /**< one for each layer; NULL: without cache */
    int32_t *window;         /**< ids, the first length of them in use; room for context_length, or as decoder_bind()
                                  says */
    size_t length;           /**< tokens in the window */
    size_t computed;         /**< how many of them, from the first on, have their keys and values in the caches */
    Tensor logits;           /**< (1, vocab_size) for the token after the last of the window */
    Tensor all_logits;       /**< (1, context_length, vocab_size), without cache only */
} Decoder;

/** @brief Allocates a decoder for @p lm, which must outlive it; @p cached: with a cache. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status decoder_init(Decoder *decoder, const TransformerLM *lm, bool cached);

/** @brief Frees what decoder_init() allocated. */
void decoder_deinit(Decoder *decoder);

/** @brief Empties the window: the next token is the first of a text. */
void decoder_reset(Decoder *decoder);

/**
 * @brief Appends tokens to the window and computes the logits of the next one.
 * @param ids    any number of ids; the model computes only those that the window keeps
 * @param count  at least 1
 * @retval CS336_ERANGE  no token, or an id is not below vocab_size; the contents of the window are then unspecified
 * @retval CS336_ENOMEM  the workspace could not grow
 */
CS336_MUST_CHECK Status decoder_feed(Decoder *decoder, const int32_t *ids, size_t count);

/**
 * @name Several decoders that advance together
 * When a model computes one token, it reads every weight for one row of numbers. The rows of several texts can share
 * that reading: each weight then takes part in one product with a row for each text.
 * @{
 */

/** @brief The most decoders that advance together: kernels/matmul.c computes up to 16 rows in the order of one row. */
enum { DECODER_TOGETHER = 16 };

/**
 * @brief Takes window and caches from the arena, for decoder_feed_each(). The logits come with the first feed.
 * @param window  the tokens that the window can hold, 1 to context_length. A text that is shorter needs no more, and
 * the memory of the caches grows with it.
 * @retval CS336_ENOMEM  the arena is full
 */
CS336_MUST_CHECK Status decoder_bind(Decoder *decoder, Arena *arena, const TransformerLM *lm, size_t window);

/** @brief Returns the bytes of scratch for decoder_feed_each() with @p count decoders whose windows hold @p window
 * tokens at most. */
size_t decoder_scratch(const TransformerLM *lm, size_t count, size_t window);

/** @brief Tokens to append to one decoder. */
typedef struct {
    Decoder *decoder;   /**< from decoder_bind(); in a list of feeds, each only once */
    const int32_t *ids; /**< as for decoder_feed() */
    size_t count;       /**< at least 1 */
} DecoderFeed;

/**
 * @brief Does what decoder_feed() does, for several decoders of one model. The logits have the same bits: which
 * decoders advance together changes no text.
 *
 * Decoders with a single token to compute share one product for each weight. A prompt, and a window that has moved, are
 * computed on their own.
 * @param[in,out] feeds    count of them; each decoder->logits becomes a view of one row of @p logits
 * @param[in]     count    1 to DECODER_TOGETHER
 * @param[out]    logits   (count, vocab_size), rows in no particular order
 * @param[in]     scratch  decoder_scratch() bytes
 * @retval CS336_ERANGE, CS336_ENOMEM  as decoder_feed(); the contents of the windows are then unspecified
 * @see test_feeding_each_equals_feeding_alone
 */
CS336_MUST_CHECK Status decoder_feed_each(const DecoderFeed *feeds, size_t count, Tensor logits, Arena *scratch);

/**
 * @brief Makes a decoder go on where another one stands, so that several texts need to read a common prompt only once.
 * @param[out] to    of the same model, with the same room in its window; its logits become a view of those of @p from
 * @param[in]  from  with caches
 * @see test_texts_with_one_prompt_are_those_made_alone
 */
void decoder_copy(Decoder *to, const Decoder *from);
/** @} */

/** @brief When a generation ends, and how its tokens are drawn. */
typedef struct {
    size_t max_tokens;    /**< tokens to generate at most */
    int32_t stop_token;   /**< ends the text and is not part of it; -1: none */
    const bool *drawable; /**< (vocab_size) by id: true if it may be drawn (generate/draw.h); NULL: all ids */
    SampleConfig sample;  /**< temperature, top-p and top-k */
} GenerateConfig;

/** @brief Receives each token when it is chosen. Any status but CS336_OK ends the generation with that status. */
typedef struct {
    Status (*token)(void *context, int32_t token); /**< called once for each token, in the order of the text */
    void *context; /**< passed to each call: the receiver's own data, such as a list to append to */
} TokenReceiver;

/**
 * @brief Generates the continuation of a prompt.
 *
 * @par In this library
 * Only ids that are drawable are candidates.
 * @param[out]    count    tokens generated; NULL: not wanted
 * @param[in,out] decoder  its window grows by the prompt and the tokens; the model does not compute the last token
 * @param[in]     prompt   prompt_length ids, at least 1
 * @param[in]     config   when to stop, and how to sample
 * @param[in,out] rng      draws one uniform number for each token
 * @param[in]     receiver receives the tokens, without the stop token
 * @retval CS336_ERANGE  an empty prompt, an id outside the vocabulary, sampling rates out of range, or logits that
 *                       sample_candidates() rejects
 * @retval CS336_ENOMEM  the workspace could not grow
 * @retval others        what the receiver returned
 */
CS336_MUST_CHECK Status generate(size_t *count, Decoder *decoder, const int32_t *prompt, size_t prompt_length,
                                 const GenerateConfig *config, Rng *rng, TokenReceiver receiver);

CS336_API_END

#endif

/**
 * @file
 * @brief Finding special tokens in text: the earliest one, and of those that begin there the longest.
 *
 * - Special tokens cut a text into pieces that are pre-tokenized each on its own (handout section 2.6.1).
 * - A text may come in pieces: the search then says from where on it cannot tell yet.
 */
#ifndef CS336_TOKENIZER_SPLIT_SPECIAL_TOKENS_H
#define CS336_TOKENIZER_SPLIT_SPECIAL_TOKENS_H

#include "core/status.h"
#include "kernels/bytes.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief Distinct pairs of bytes at the start of tokens that are searched for in vectors; text hardly ever has them.
 */
enum { SPECIAL_TOKEN_PAIRS = 8 };

typedef struct {
    ByteString *tokens; /**< distinct, longest first */
    size_t count;
    bool begins[256]; /**< whether a token begins with this byte */
    BytePair pairs[SPECIAL_TOKEN_PAIRS];
    size_t pair_count; /**< the pairs that tokens begin with; 0: too many, or a token of one byte */
    uint8_t *bytes;    /**< of all tokens */
} SpecialTokens;

/**
 * @brief Copies and sorts the tokens; repeated ones count once.
 * @retval CS336_ERANGE  a token is empty; the message says which
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status special_tokens_init(SpecialTokens *special, const ByteString *tokens, size_t count);
void special_tokens_deinit(SpecialTokens *special);

typedef struct {
    size_t at;     /**< where the token begins; if there is none, where one may still begin when more text follows */
    int64_t index; /**< of the token in SpecialTokens.tokens, -1: none */
} SpecialMatch;

/**
 * @brief The first special token at or after @p from.
 * @param text    @p length bytes
 * @param ended   whether the text ends there; if not, a token that may be cut off is not decided: nothing at or after
 *                its beginning is
 */
SpecialMatch special_tokens_find(const SpecialTokens *special, const uint8_t *text, size_t length, size_t from,
                                 bool ended);

/**
 * @brief Whether a special token begins before @p cut and ends after it.
 * @param ended  whether the text ends after @p length bytes; if not, a token that may be cut off there counts too
 */
bool special_tokens_span(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut, bool ended);

#endif

/**
 * @file
 * @brief Finds special tokens in text: the earliest one, and of those that begin there the longest.
 *
 * - Some tokens may be late: they are found only in the text that is left between the others. A tokenizer.json asks for
 *   that, see BPESpecial.late. With "ab" late and "bc" not, the text "abc" has "bc" alone.
 * - There may be very many of them: GPT-2's files have one, others some hundred thousand. The time of a search depends
 * on the logarithm of their number.
 * - Special tokens cut a text into segments, each of which is pre-tokenized on its own (handout section 2.6.1).
 * - A text may come in several chunks. The search then says from which byte on more bytes are needed.
 */
#ifndef CS336_TOKENIZER_SPLIT_SPECIAL_TOKENS_H
#define CS336_TOKENIZER_SPLIT_SPECIAL_TOKENS_H

#include "core/api.h"
#include "core/status.h"
#include "kernels/bytes.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Most distinct pairs of first bytes that are searched for 64 bytes at a time. Each pair costs two comparisons a
 * group; beyond eight the plain search by the first byte is used.
 */
enum { SPECIAL_TOKEN_PAIRS = 8 };

/** @brief The tokens that are late, or those that are not, by first byte: an index into SpecialTokens.tokens. */
typedef struct {
    size_t starts[257]; /**< tokens[starts[b]] to tokens[starts[b + 1] - 1] begin with byte b */
} SpecialGroup;

/** @brief The special tokens of a tokenizer, with what finds them fast. It owns copies of their bytes. */
typedef struct {
    ByteString *tokens;                  /**< distinct; those that are not late, then those that are, each in the order
                                            of byte_string_compare() */
    int64_t *shorter;                    /**< (count) by index of a token: that of the longest other token of the same
                                            group that it begins with, -1: none */
    size_t count,                        /**< number of tokens */
        early_count,                     /**< number of those that are not late */
        longest;                         /**< bytes of the longest token; 0 without tokens */
    SpecialGroup early,                  /**< the tokens that are not late, */
        late;                            /**< and those that are */
    bool begins[256];                    /**< by byte: true if a token begins with it */
    BytePair pairs[SPECIAL_TOKEN_PAIRS]; /**< distinct; the first pair_count are in use */
    size_t pair_count;                   /**< pairs that tokens begin with; 0: too many, or a token has one byte */
    uint8_t *bytes;                      /**< of all tokens */
} SpecialTokens;

/**
 * @brief Copies and sorts the tokens; repeated ones count once.
 * @param late  (count) true for tokens that are late, the same for equal ones; NULL: none is
 * @retval CS336_ERANGE  a token is empty; the message says which
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status special_tokens_init(SpecialTokens *special, const ByteString *tokens, const bool *late,
                                            size_t count);

/** @brief Frees the tokens; a zeroed struct is fine. */
void special_tokens_deinit(SpecialTokens *special);

/** @brief True if a text is one of the tokens. */
bool special_tokens_contain(const SpecialTokens *special, ByteString text);

/** @brief The result of a search. */
typedef struct {
    size_t
        begin; /**< where the token begins; without a token, the first byte that may begin one if more text follows */
    int64_t index; /**< of the token in SpecialTokens.tokens, -1: no token */
} SpecialMatch;

/**
 * @brief Finds the first special token that begins at or after @p begin.
 * @param ended  true if the text ends after @p length bytes. If not, the search stops at the first token that the end
 *               may cut off
 */
SpecialMatch special_tokens_find(const SpecialTokens *special, const uint8_t *text, size_t length, size_t begin,
                                 bool ended);

/**
 * @brief True if a special token begins before index @p cut and ends after it.
 * @param ended  true if the text ends after @p length bytes; if not, a token that may be cut off there counts too
 */
bool special_tokens_cross(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut, bool ended);

/**
 * @brief True if a special token begins at index @p at.
 * @param ended  as for special_tokens_cross()
 */
bool special_tokens_begin_at(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, bool ended);

/** @brief True if a special token ends before index @p at. */
bool special_tokens_end_at(const SpecialTokens *special, const uint8_t *text, size_t at);

CS336_INTERNAL_END

#endif

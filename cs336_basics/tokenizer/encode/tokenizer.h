/**
 * @file
 * @brief Text to token ids and back (handout section 2.6, problem tokenizer).
 *
 * - Special tokens are found first, the longest of those that begin at one place; what lies between them is cut into
 *   pre-tokens, and in each of these the merges are applied in their order of creation.
 * - Text is any bytes: what is not UTF-8 comes back as it was.
 * - A Tokenizer does not change: several threads may use one.
 * @see encoder.h, which turns text into ids
 */
#ifndef CS336_TOKENIZER_ENCODE_TOKENIZER_H
#define CS336_TOKENIZER_ENCODE_TOKENIZER_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/bpe_merge.h"
#include "tokenizer/encode/word_cache.h"
#include "tokenizer/split/special_tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer {
    BPEModel model; /**< with all special tokens */
    TokenIndex index;
    MergeTable merges;
    WordCache whole; /**< pre-tokens that become one token, nearly all of those that do */
    SpecialTokens special;
    int32_t *special_ids; /**< of special.tokens */
} Tokenizer;

/**
 * @brief A tokenizer for a model, which is copied.
 * @param[out] tokenizer       NULL on failure; give it back with tokenizer_destroy()
 * @param[in]  model           with a token for each of the 256 bytes
 * @param[in]  special_tokens  those that the vocabulary does not hold are appended to it in the given order
 * @retval CS336_ERANGE  a byte has no token, a merge does not fit the vocabulary, or a special token is empty
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_create(Tokenizer **tokenizer, const BPEModel *model, const ByteString *special_tokens,
                                         size_t special_count);

/**
 * @brief tokenizer_create() from files as bpe_model_read() reads them.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ERANGE, CS336_ENOMEM  as these
 */
CS336_MUST_CHECK Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                                       const ByteString *special_tokens, size_t special_count);

void tokenizer_destroy(Tokenizer *tokenizer);

/** @brief Ids are below it. */
size_t tokenizer_vocab_size(const Tokenizer *tokenizer);

/** @brief The bytes of a token, valid as long as the tokenizer; @p id must be below the vocabulary's size. */
ByteString tokenizer_token(const Tokenizer *tokenizer, int32_t id);

/** @brief The lowest id of the token with these bytes, or -1. */
int32_t tokenizer_find(const Tokenizer *tokenizer, ByteString token);

/* ---- decoding ---- */

/**
 * @brief Appends the exact bytes of the tokens.
 * @retval CS336_ERANGE  an id is not in the vocabulary, the message names it; text is as before
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_decode(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count);

/**
 * @brief As tokenizer_decode(), but malformed UTF-8 becomes U+FFFD as Python's `errors="replace"` does it.
 * utf8_replace() does it for tokens that come one by one.
 * @retval CS336_ERANGE, CS336_ENOMEM  as tokenizer_decode()
 */
CS336_MUST_CHECK Status tokenizer_decode_replace(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids,
                                                 size_t count);

#endif

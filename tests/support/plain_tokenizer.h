/**
 * @file
 * @brief A plain reference for a tokenizer: plain_split() and plain_bpe_apply() encode, joined bytes are decoded.
 *
 * Tokens are byte strings, not ids.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_TOKENIZER_H
#define CS336_TESTS_SUPPORT_PLAIN_TOKENIZER_H

#include "tests/support/plain_bpe.h"
#include "tokenizer/buffers.h"

#include <stddef.h>

typedef struct {
    const PlainBPE *merges;
    const ByteString *special;
    size_t special_count;
    TokenizerMistake mistake; /**< TOKENIZER_RIGHT, or whose answers are wanted */
} PlainTokenizer;

/** @brief Encodes a text. @param[out] tokens  room for one token for each byte; views of the text @return how many */
size_t plain_encode(ByteString *tokens, const PlainTokenizer *tokenizer, ByteString text);

/**
 * @brief Encodes a text that comes in chunks.
 * @param[in] lengths  of the chunks; their sum is the length of the text
 * The other parameters are those of plain_encode(), and so is the right answer.
 */
size_t plain_encode_chunks(ByteString *tokens, const PlainTokenizer *tokenizer, ByteString text, const size_t *lengths,
                           size_t chunk_count);

/** @brief Appends the text of tokens, with U+FFFD for each malformed sequence. */
void plain_decode(ByteList *text, const PlainTokenizer *tokenizer, const ByteString *tokens, size_t count);

#endif

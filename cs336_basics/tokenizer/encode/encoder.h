/**
 * @file
 * @brief Text to token ids, whole or in pieces.
 *
 * Scanner, cache and merges, one after the other for a few hundred pre-tokens at a time: where the first says that they
 * end, the second is asked for all of them before the first answer is needed, and the third is left for those that it
 * does not know. Whole texts, streams and files go the same way, so their ids are the same.
 *
 * Memory is bounded whatever the text: the cache stops growing, and of an endless pre-token a few kilobytes are held.
 * @see tokenizer_decode() for the way back; pretokenize.h, word_cache.h and bpe_merge.h for the three
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODER_H
#define CS336_TOKENIZER_ENCODE_ENCODER_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

/**
 * @brief Appends the ids of a whole text.
 * @retval CS336_ENOMEM  ids are as before
 * @see Tests test_roundtrip_*, test_*_matches_tiktoken, test_overlapping_special_tokens
 */
CS336_MUST_CHECK Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text);

/** @brief Takes ids as they are found. What it returns ends the encoding unless it is CS336_OK. */
typedef Status TokenSink(void *context, const int32_t *ids, size_t count);

/**
 * @brief Encodes texts that come in pieces, cut anywhere. It remembers pre-tokens from one text to the next, and
 * belongs to one thread at a time.
 */
typedef struct Encoder Encoder;

/**
 * @brief An encoder at the start of a text.
 * @param[out] encoder    NULL on failure; give it back with encoder_destroy()
 * @param[in]  tokenizer  must outlive the encoder
 * @param[in]  sink       gets the ids in order
 * @param[in]  context    handed to sink
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context);

/** @brief The same with a bound for what it remembers pre-tokens in. */
CS336_MUST_CHECK Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes,
                                             TokenSink *sink, void *context);

/**
 * @brief The next bytes of the text; those ids that no further byte can change go to the sink, but for at most the last
 * 80 bytes and of a pre-token of more than 4096 bytes its last ones.
 * @retval CS336_ENOMEM  or what the sink returned; the encoder can then only be destroyed
 */
CS336_MUST_CHECK Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length);

/** @brief Ends the text: the rest goes to the sink, and the encoder stands at the start of another. @retval
 * CS336_ENOMEM  or what the sink returned */
CS336_MUST_CHECK Status encoder_finish(Encoder *encoder);

void encoder_destroy(Encoder *encoder);

#endif

/**
 * @file
 * @brief Text to token ids, whole or in chunks.
 *
 * Three stages take a few hundred pre-tokens at a time. The scanner (pretokenize.h) finds where pre-tokens end. The
 * cache (word_cache.h) is asked for the ids of all of them, with a prefetch for each before the first lookup, so that
 * the waits for memory overlap. Merging (bpe_merge.h) is left for the pre-tokens that the cache does not know. Whole
 * texts, streams and files all go this way, so they give the same ids.
 *
 * An encoder takes at most 32 MiB for its cache (or about what encoder_create_small() is given) and less than 400 KB
 * for the rest, however long the text is: 42 KB of ids, 180 KB for merging and 8 KB of text that is not encoded yet. It
 * takes more in these cases:
 * - A pre-token of more than 4096 bytes is encoded from left to right (long_pretoken.h). That takes 170 KB and about 20
 *   bytes for each byte of the longest token, and once, for all encoders of a tokenizer, up to 50 bytes for each byte
 *   of the vocabulary. There are vocabularies and texts in which the first id of a pre-token depends on its last byte.
 *   Then it takes 9 bytes for each byte of the pre-token.
 * - Every model from training is in order (token_pairs.h). If a model from elsewhere is not, pre-tokens of any length
 *   are merged whole, which takes 45 bytes for each of their bytes.
 * - A special token of more than 8 KB is kept until all of it has come.
 * - With GPT-4's pattern, white space behind a line end is kept until the next line end or visible character comes,
 *   which decides whether it belongs to that line end (pretokenizer_next()).
 * @see tokenizer_decode() for the other direction
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODER_H
#define CS336_TOKENIZER_ENCODE_ENCODER_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/**
 * @brief Appends the ids of a whole text.
 * @retval CS336_ENOMEM  ids are unchanged
 * @retval CS336_ERANGE  the model is decode_only
 * @see Tests test_roundtrip_*, test_*_matches_tiktoken, test_overlapping_special_tokens
 */
CS336_MUST_CHECK Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text);

/** @brief A sink that appends the ids to a TokenList, its context. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_list_sink(void *list, const int32_t *ids, size_t count);

/**
 * @brief Encodes texts that come in chunks, cut anywhere. Its cache lasts from one text to the next. One thread at a
 * time may use an encoder.
 */
typedef struct Encoder Encoder;

/**
 * @brief Makes an encoder, at the start of a text.
 * @param[out] encoder    NULL on failure; free it with encoder_destroy()
 * @param[in]  tokenizer  must outlive the encoder
 * @param[in]  sink       receives the ids
 * @param[in]  context    passed to sink
 * @retval CS336_ERANGE  the model is decode_only
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context);

/** @brief Makes an encoder whose cache grows to about @p cache_bytes. @retval CS336_ERANGE, CS336_ENOMEM  as
 * encoder_create() */
CS336_MUST_CHECK Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes,
                                             TokenSink *sink, void *context);

/**
 * @brief Takes the next bytes of the text, and passes on the ids that no further byte can change. Of the text, it holds
 * back at most 80 bytes, or a pre-token of at most 4096 bytes; see above for those that are longer.
 * @retval CS336_ENOMEM  or what the sink returned; the encoder can then only be destroyed
 */
CS336_MUST_CHECK Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length);

/**
 * @brief Ends the text and passes on the remaining ids. The encoder is then at the start of another text.
 * @retval CS336_ENOMEM  or what the sink returned; the encoder can then only be destroyed
 */
CS336_MUST_CHECK Status encoder_finish(Encoder *encoder);

/** @brief Frees an encoder; NULL is fine. */
void encoder_destroy(Encoder *encoder);

CS336_API_END

#endif

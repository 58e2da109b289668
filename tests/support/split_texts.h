/**
 * @file
 * @brief Texts that are hard to cut: special tokens that overlap, parts of special tokens, incomplete characters,
 * blanks of many kinds. And a tokenizer that has merged pairs of all of these.
 */
#ifndef CS336_TESTS_SUPPORT_SPLIT_TEXTS_H
#define CS336_TESTS_SUPPORT_SPLIT_TEXTS_H

#include "tests/support/random_text.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/split/pretokenize.h"

enum { SPLIT_SPECIALS = 4, SPLIT_VOCABULARY = 400 };

extern const ByteString split_specials[SPLIT_SPECIALS];

/** @brief Fills a buffer with random texts, up to the last LONGEST_TEXT bytes. */
ByteString split_text(Rng *rng, uint8_t *buffer, size_t capacity);

/**
 * @brief Makes such a text of at most 120 chunks of chunk_bytes each; 0: as long as the buffer allows.
 *
 * Threads take turns, one for each chunk. Where other programs use the processors too, a turn can take milliseconds.
 */
ByteString split_text_of_chunks(Rng *rng, uint8_t *buffer, size_t capacity, size_t chunk_bytes);

/** @brief Makes a tokenizer of SPLIT_VOCABULARY tokens and the special tokens. */
Tokenizer *split_tokenizer(PretokenPattern pattern, const ByteString *specials, size_t special_count);

#endif

/**
 * @file
 * @brief Makes 5 MB of text from an integer hash: the same text as tests/tools/make_tokenizer_fixtures.py makes.
 *
 * Words of syllables, some foreign, numbers and contractions, punctuation, newlines, `<|endoftext|>` between documents.
 */
#ifndef CS336_TESTS_SUPPORT_CORPUS_H
#define CS336_TESTS_SUPPORT_CORPUS_H

#include <stddef.h>
#include <stdint.h>

/** @brief Makes the text and checks its length and hash; free() it. core/memory does not count its memory. */
uint8_t *corpus_make(size_t *length);

#endif

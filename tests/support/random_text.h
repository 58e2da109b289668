/**
 * @file
 * @brief Short random texts, put together from given byte strings ("atoms"). A test chooses the atoms for its edge
 * cases.
 */
#ifndef CS336_TESTS_SUPPORT_RANDOM_TEXT_H
#define CS336_TESTS_SUPPORT_RANDOM_TEXT_H

#include "core/rng.h"
#include "tokenizer/buffers.h"

enum { LONGEST_TEXT = 300 };

/** @brief An element of an array of byte strings; the text may hold NUL. */
#define ATOM(text)                                                   \
    {                                                                \
        .bytes = (const uint8_t *)(text), .length = sizeof(text) - 1 \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

/** @brief Makes a text of up to @p max_atoms atoms, some of them repeated, in a buffer of LONGEST_TEXT bytes. */
ByteString random_text(Rng *rng, uint8_t *buffer, const ByteString *atoms, size_t atom_count, size_t max_atoms);

/** @brief Makes a text of at least @p bytes bytes (up to 200) in the same way. */
ByteString random_text_of(Rng *rng, uint8_t *buffer, const ByteString *atoms, size_t atom_count, size_t bytes);

#endif

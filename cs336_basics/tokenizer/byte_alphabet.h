/**
 * @file
 * @brief GPT-2's printable alphabet: one character for each byte value. vocab.json and merges.txt are written in it.
 *
 * A byte that prints in Latin-1 (33-126, 161-172, 174-255) stands for the character of that number. The 68 others stand
 * for U+0100 and the following characters, in their order: blank is U+0120 (Ġ), newline U+010A (Ċ).
 */
#ifndef CS336_TOKENIZER_BYTE_ALPHABET_H
#define CS336_TOKENIZER_BYTE_ALPHABET_H

#include "core/api.h"

#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief Returns the character that stands for a byte. */
uint32_t byte_alphabet_character(uint8_t byte);

/** @brief Returns the byte that a character stands for, or -1 if the alphabet does not have the character. */
int byte_alphabet_byte(uint32_t character);

/** @brief Returns byte @p rank (0 to 255) of the alphabet sorted by character: GPT-2's vocabulary has this order. */
uint8_t byte_alphabet_sorted(unsigned rank);

CS336_INTERNAL_END

#endif

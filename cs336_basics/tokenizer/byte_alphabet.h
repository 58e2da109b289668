/**
 * @file
 * @brief GPT-2's printable alphabet: one character for each byte value, in which vocab.json and merges.txt are written.
 *
 * Bytes that print in Latin-1 (33-126, 161-172, 174-255) stand for themselves, the 68 others are U+0100 and up in their
 * order: blank is U+0120 (Ġ), newline U+010A (Ċ).
 */
#ifndef CS336_TOKENIZER_BYTE_ALPHABET_H
#define CS336_TOKENIZER_BYTE_ALPHABET_H

#include <stdint.h>

/** @brief The character of a byte. */
uint32_t byte_alphabet_character(uint8_t byte);

/** @brief The byte of a character, or -1 if it is none of the alphabet. */
int byte_alphabet_byte(uint32_t character);

/** @brief The byte at a place (0 to 255) of the alphabet sorted by character, the order of GPT-2's vocabulary. */
uint8_t byte_alphabet_sorted(unsigned place);

#endif

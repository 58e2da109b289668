/**
 * @file
 * @brief GPT-2's pre-tokenization as a scanner (handout section 2.4).
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * - Every byte belongs to exactly one pre-token, so it is enough to find where each one ends.
 * - Contractions apart, whether a pre-token ends before a character depends only on the classes of its neighbours. So
 *   the scanner decides 64 bytes at a time, as bits of 64-bit integers, and never branches on a pre-token's length.
 * - Text between two special tokens is a text of its own: its ends are ends of text. Any bytes are a text: see
 *   unicode.h for malformed UTF-8.
 * - A text may be given in several chunks. Each byte is scanned once, and pre-tokens do not depend on the cuts.
 *
 * The scanner reads only the bytes that it is given.
 */
#ifndef CS336_TOKENIZER_SPLIT_PRETOKENIZE_H
#define CS336_TOKENIZER_SPLIT_PRETOKENIZE_H

#include "core/api.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Most ends that pretokenizer_next() finds in 64 bytes: one before each byte, and the end of the text. */
enum { PRETOKENS_PER_GROUP = 65 };

/** @brief A scanner between two groups of 64 bytes. Bit i of a bitset is about the i-th byte from `unscanned` on. */
typedef struct {
    const uint8_t *unscanned;                   /**< the first byte that is not scanned yet; callers may read it */
    const uint8_t *end;                         /**< of the bytes given */
    bool ended;                                 /**< the text ends there */
    uint64_t class_before[UNICODE_CLASS_COUNT]; /**< bit 0: the byte before has this UnicodeClass */
    uint64_t blank_before;                      /**< bit 0: the byte before is ' ' */
    uint64_t rest_class[UNICODE_CLASS_COUNT];   /**< bytes of a character that began before, by its class */
    uint64_t rest;                              /**< the same bytes, of any class */
    uint64_t start;                             /**< bytes that begin a pre-token, because a contraction ends there */
    uint64_t no_start; /**< bytes that begin none: the first of a text, the second of a contraction */
} Pretokenizer;

/** @brief Prepares a scanner for a new text. */
void pretokenizer_begin(Pretokenizer *pretokenizer);

/**
 * @brief Gives a text or its next chunk. pretokenizer_next() must have returned 0 for the chunk before.
 * @param text    the bytes from `unscanned` on, at the same or another address, and those that follow; @p length bytes
 *                that must stay until pretokenizer_next() returns 0
 * @param ended   true if the text ends there
 */
void pretokenizer_feed(Pretokenizer *pretokenizer, const uint8_t *text, size_t length, bool ended);

/**
 * @brief Finds the next pre-tokens.
 * @param[out] ends      where they end, in ascending order; each begins where the one before it ends
 * @param      capacity  room in @p ends, at least PRETOKENS_PER_GROUP; several times as much is faster
 * @return how many; 0 at the end of the text or, if the text has not ended, where more bytes decide. Fewer than 80 of
 * the bytes given are then still unscanned.
 *
 *     while ((count = pretokenizer_next(&pretokenizer, ends, capacity)))
 *         for (size_t i = 0; i < count; begin = ends[i++])
 *             use(begin, ends[i]);
 */
size_t pretokenizer_next(Pretokenizer *pretokenizer, const uint8_t **ends, size_t capacity);

CS336_API_END

#endif

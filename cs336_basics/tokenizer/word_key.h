/**
 * @file
 * @brief The keys of hash tables of words: a word of up to 15 bytes is its own key, two 64-bit integers.
 *
 * Two keys are compared with one branch and without following a pointer.
 */
#ifndef CS336_TOKENIZER_WORD_KEY_H
#define CS336_TOKENIZER_WORD_KEY_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

CS336_INTERNAL_BEGIN

enum { WORD_KEY_BYTES = 15 /**< length of the longest word that is its own key */ };

/** @brief The word's bytes, then zeros, then its length in the 16th byte. Tables mark longer words in that byte. */
typedef struct {
    uint64_t low, /**< the first 8 bytes as they are in memory */
        high;     /**< the other 8; not 0, because every word has a length */
} WordKey;

/* Shift of a key's 16th byte in `high`. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
enum { WORD_LAST_BYTE = 0 };
#else
enum { WORD_LAST_BYTE = 56 };
#endif

/** @brief True if two keys are the same. */
static inline bool word_key_equal(WordKey a, WordKey b)
{
    return ((a.low ^ b.low) | (a.high ^ b.high)) == 0; /* one branch, not two */
}

/**
 * @brief Returns the key of a word of at most WORD_KEY_BYTES.
 * @param readable  bytes that may be read at @p word. From 16 on the key is one load of 16 bytes, cut to length by an
 * AND; a copy of unknown length would be slower
 */
static inline WordKey word_key_of(const uint8_t *word, size_t length, size_t readable)
{
    static const uint8_t ones_then_zeros[2 * sizeof(WordKey)] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                                 255, 255, 255, 255, 255, 255, 255, 255};
    WordKey key = {0, 0}, kept;
    if (readable < sizeof key) {
        memcpy(&key, word, length);
    } else {
        memcpy(&key, word, sizeof key);
        memcpy(&kept, ones_then_zeros + sizeof key - length, sizeof kept);
        key.low &= kept.low;
        key.high &= kept.high;
    }
    key.high |= (uint64_t)length << WORD_LAST_BYTE;
    return key;
}

/**
 * @brief Returns the hash of a key. Multiplying by a large odd number carries each bit upwards, so the upper bits
 * depend on all bits of the key: slots and shards are chosen by the upper bits.
 */
static inline uint64_t word_key_hash(WordKey key)
{
    return (key.low ^ key.high * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
}

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief Short pre-tokens as two machine words, which one comparison tells apart: the keys of tables and caches.
 */
#ifndef CS336_TOKENIZER_WORD_KEY_H
#define CS336_TOKENIZER_WORD_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORD_KEY_BYTES = 15 /**< of the longest pre-token that is its own key */ };

/** @brief Bytes, zeros and the length in the last byte; other values of that byte are the table's to give a meaning. */
typedef struct {
    uint64_t low, high;
} WordKey;

/* Where in a key's high word its last byte lies. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
enum { WORD_LAST_BYTE = 0 };
#else
enum { WORD_LAST_BYTE = 56 };
#endif

static inline bool word_key_equal(WordKey a, WordKey b)
{
    return ((a.low ^ b.low) | (a.high ^ b.high)) == 0; /* one branch, not two */
}

/**
 * @brief The key of a pre-token of at most WORD_KEY_BYTES.
 * @param readable  bytes that may be read at @p word: where sixteen may, they are, and then cut by a mask
 */
static inline WordKey word_key_of(const uint8_t *word, size_t length, size_t readable)
{
    static const uint8_t ones_then_zeros[2 * sizeof(WordKey)] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                                 255, 255, 255, 255, 255, 255, 255, 255};
    WordKey key = {0, 0}, mask;
    if (readable < sizeof key) {
        memcpy(&key, word, length);
    } else {
        memcpy(&key, word, sizeof key);
        memcpy(&mask, ones_then_zeros + sizeof key - length, sizeof mask);
        key.low &= mask.low;
        key.high &= mask.high;
    }
    key.high |= (uint64_t)length << WORD_LAST_BYTE;
    return key;
}

/** @brief Multiplying carries every bit upwards, so the upper bits depend on all: places are taken from those. */
static inline uint64_t word_key_hash(WordKey key)
{
    return (key.low ^ key.high * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
}

#endif

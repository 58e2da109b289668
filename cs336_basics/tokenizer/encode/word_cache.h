/**
 * @file
 * @brief Pre-tokens that have been encoded, with their ids: text repeats itself, and finding is faster than merging.
 *
 * - Almost every pre-token has at most 15 bytes: these are its key, with the length in the 16th. A longer one's key is
 *   a hash, and its bytes are kept to be compared. Most have at most 3 tokens, which lie beside the key: an entry is
 *   half a cache line, and following it takes one wait for memory.
 * - It is a cache, not a table: it grows with the distinct pre-tokens until it has the bytes that it may have, or
 * memory is exhausted; from then on new ones take the places of old ones. A pre-token is sought in a few slots in a
 * row, so that no text makes that slow.
 */
#ifndef CS336_TOKENIZER_ENCODE_WORD_CACHE_H
#define CS336_TOKENIZER_ENCODE_WORD_CACHE_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/word_key.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WORD_CACHED_BYTES = 256, /**< longer ones hardly ever come back, and are not kept */
    WORD_INLINE_IDS = 3,
    WORD_CACHE_PROBES = 8
};

typedef struct {
    WordKey key;
    int32_t ids[WORD_INLINE_IDS]; /**< or the first is a place in WordCache.stored */
    uint32_t count;               /**< more than WORD_INLINE_IDS: WORD_STORED and how many are stored */
} CachedWord;

#define WORD_STORED UINT32_C(0x80000000)

typedef struct {
    CachedWord *slots; /**< slot_count, and WORD_CACHE_PROBES more */
    size_t slot_count, count;
    int shift;        /**< of a hash to its first slot */
    TokenList stored; /**< ids, and after those of a pre-token without its bytes in the key its bytes */
    size_t most_slots, most_stored;
} WordCache;

/** @brief An empty cache that grows to about @p most_bytes. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_cache_init(WordCache *cache, size_t most_bytes);
void word_cache_deinit(WordCache *cache);

/** @brief For pre-tokens of more than WORD_KEY_BYTES, or so near the end of what may be read that 16 bytes are not. */
WordKey word_key_slowly(const uint8_t *word, size_t length);

/**
 * @brief The key of any pre-token: of a longer one a hash, and a mark where others have their length. Never zero, so a
 * zeroed slot is free.
 * @param readable  bytes that may be read at @p word
 */
static inline WordKey word_key(const uint8_t *word, size_t length, size_t readable)
{
    if (length > WORD_KEY_BYTES || readable < sizeof(WordKey))
        return word_key_slowly(word, length);
    return word_key_of(word, length, readable);
}

/** @brief The first of the slots that may have this key. */
static inline size_t word_cache_place(const WordCache *cache, WordKey key)
{
    return word_key_hash(key) >> cache->shift;
}

/** @brief Asks for the memory that word_cache_find() will look at. */
static inline void word_cache_prefetch(const WordCache *cache, size_t place)
{
    __builtin_prefetch(&cache->slots[place]);
}

/**
 * @brief The entry with this key, or NULL.
 * @param place  word_cache_place(), perhaps of before something was added: if the cache has grown since, the entry may
 *               be elsewhere by now, and the pre-token is taken for a new one
 */
static inline const CachedWord *word_cache_find(const WordCache *cache, WordKey key, size_t place)
{
    const CachedWord *slot = &cache->slots[place];
    for (int i = 0; i < WORD_CACHE_PROBES; i++, slot++) {
        if (word_key_equal(slot->key, key))
            return slot;
        if (!slot->key.high)
            break;
    }
    return NULL;
}

/** @brief The ids of what was found; NULL if it is of another pre-token, whose hash is the same. */
const int32_t *word_cache_ids(const WordCache *cache, const CachedWord *found, ByteString word);

/** @brief Keeps the ids of a pre-token of at most WORD_CACHED_BYTES, or lets it be when there is no room. */
void word_cache_add(WordCache *cache, WordKey key, ByteString word, const int32_t *ids, size_t count);

#endif

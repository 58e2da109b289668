/**
 * @file
 * @brief A cache of encoded pre-tokens: text repeats itself, and looking ids up is faster than merging.
 *
 * - A pre-token of at most 15 bytes, as almost every one is, is its own key (word_key.h). The key of a longer one is
 * its hash and length; its bytes are stored and compared. Up to 3 ids are in the entry itself, which suffices for most.
 * An entry has 32 bytes, half a cache line, so a lookup usually waits for memory once.
 * - A key is looked for in 8 neighbouring slots, so that no text can make lookups slow. When all 8 are used, a new
 *   pre-token evicts one.
 * - The cache grows with the number of distinct pre-tokens until it has as many bytes as it may have, or no more memory
 *   can be had. From then on it only evicts.
 */
#ifndef CS336_TOKENIZER_ENCODE_WORD_CACHE_H
#define CS336_TOKENIZER_ENCODE_WORD_CACHE_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/word_key.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    WORD_CACHED_BYTES = 256, /**< longer pre-tokens hardly ever come back and are not cached */
    WORD_INLINE_IDS = 3,     /**< ids in an entry: with a key of 16 bytes and the count they make 32 bytes */
    WORD_CACHE_PROBES = 8    /**< slots that may hold a key: 4 neighbouring cache lines */
};

/** @brief An entry of the cache, half a cache line. */
typedef struct {
    WordKey key;                  /**< zero: a free slot */
    int32_t ids[WORD_INLINE_IDS]; /**< the ids, or first the index of the ids in WordCache.stored */
    uint32_t count;               /**< of ids; WORD_STORED is set if they are in WordCache.stored */
} CachedWord;

/** @brief The bit of CachedWord.count that says that the ids are in WordCache.stored. */
#define WORD_STORED UINT32_C(0x80000000)

/** @brief The cache. It owns its slots and stored ids. */
typedef struct {
    CachedWord *slots; /**< slot_count, and WORD_CACHE_PROBES more */
    size_t slot_count, /**< a power of two */
        count;         /**< slots in use */
    int shift;         /**< the first slot of a key is its hash, shifted right by this */
    TokenList stored;  /**< the ids of pre-tokens that have more than 3, or whose key is a hash: then also the bytes */
    size_t most_slots, /**< slot_count at most, three quarters of the bytes; 0: no memory to grow */
        most_stored;   /**< ids in stored at most, a quarter of the bytes */
} WordCache;

/** @brief Makes an empty cache that grows to about @p most_bytes. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_cache_init(WordCache *cache, size_t most_bytes);

/** @brief Frees the cache; a zeroed one is fine. */
void word_cache_deinit(WordCache *cache);

/** @brief word_key() for a word of more than WORD_KEY_BYTES, or one after which fewer than 16 bytes may be read. */
WordKey word_key_slowly(const uint8_t *word, size_t length);

/**
 * @brief Returns the key of any pre-token. It is never zero, so a zeroed slot is free.
 * @param readable  bytes that may be read at @p word
 */
static inline WordKey word_key(const uint8_t *word, size_t length, size_t readable)
{
    if (length > WORD_KEY_BYTES || readable < sizeof(WordKey))
        return word_key_slowly(word, length);
    return word_key_of(word, length, readable);
}

/** @brief Returns the first of the slots that may hold a key. */
static inline size_t word_cache_slot(const WordCache *cache, WordKey key)
{
    return word_key_hash(key) >> cache->shift;
}

/** @brief Prefetches the first slots that word_cache_find() will read. */
static inline void word_cache_prefetch(const WordCache *cache, size_t slot)
{
    __builtin_prefetch(&cache->slots[slot]);
}

/**
 * @brief Returns the entry with this key, or NULL.
 * @param slot  from word_cache_slot(). A slot computed before the cache grew is still safe to pass: the lookup may then
 *              miss, and the caller encodes the pre-token again
 */
static inline const CachedWord *word_cache_find(const WordCache *cache, WordKey key, size_t slot)
{
    const CachedWord *entry = &cache->slots[slot];
    for (int i = 0; i < WORD_CACHE_PROBES; i++, entry++) {
        if (word_key_equal(entry->key, key))
            return entry;
        if (!entry->key.high)
            break;
    }
    return NULL;
}

/** @brief Returns the ids of an entry that was found; NULL if it belongs to another pre-token with the same hash. */
const int32_t *word_cache_ids(const WordCache *cache, const CachedWord *entry, ByteString word);

/** @brief Caches the ids of a pre-token of at most WORD_CACHED_BYTES. Without memory for them it does nothing. */
void word_cache_add(WordCache *cache, WordKey key, ByteString word, const int32_t *ids, size_t count);

CS336_INTERNAL_END

#endif

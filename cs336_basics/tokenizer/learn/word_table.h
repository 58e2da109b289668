/**
 * @file
 * @brief The words of a corpus (its distinct pre-tokens) and how often each occurs: a hash table that threads share.
 *
 * - A word of at most 15 bytes, as almost every word is, is its own key: see word_key.h. The key of a longer word is
 * its hash and where its bytes are stored; the bytes are compared too, so two words of equal hash stay apart.
 * - The table consists of 64 shards, chosen by the first bits of the hash, each with a lock of its own. With a few
 *   threads, two of them rarely want the same shard. A full shard doubles alone, so the table grows little by little.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_TABLE_H
#define CS336_TOKENIZER_LEARN_WORD_TABLE_H

#include "core/api.h"
#include "core/parallel.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/word_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief A word's shard is the first bits of its hash: of word_key_hash() if it has at most WORD_KEY_BYTES. The hash
 * is the same on every machine of one byte order. */
enum {
    WORD_SHARD_BITS = 6,               /**< first bits of the hash that choose the shard */
    WORD_SHARDS = 1 << WORD_SHARD_BITS /**< shards of a table */
};

/** @brief A word and how often it occurs. */
typedef struct {
    WordKey key;    /**< the word, or its hash and where its bytes are */
    uint64_t count; /**< occurrences; 0: a free slot */
} WordSlot;

/** @brief One of the hash tables that together are a WordTable. */
typedef struct {
    WordSlot *slots;   /**< open addressing; NULL before the first word */
    size_t slot_count, /**< a power of two; 0 before the first word */
        used;          /**< slots that hold a word, at most three quarters */
    int shift;         /**< the first slot is the hash, without the bits that chose the shard, shifted right by this */
    ByteList long_words; /**< for each word of more than WORD_KEY_BYTES its length, a size_t, and its bytes */
    ParallelLock lock;   /**< held while a thread reads or writes the fields above */
} WordShard;

/** @brief A zeroed table is empty and ready. */
typedef struct {
    WordShard shards[WORD_SHARDS]; /**< by the first bits of the hash */
} WordTable;

/** @brief Adds @p count occurrences of a word of at least one byte. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_table_add(WordTable *table, ByteString word, uint64_t count);

/** @brief Most words of one word_table_add_to_shard(). */
enum { WORD_TABLE_BATCH = 64 };

/**
 * @brief Adds up to WORD_TABLE_BATCH words of one shard, each with its number of occurrences, under one lock. It
 * prefetches all their slots before it uses the first one, so the waits for memory overlap.
 * @param words  of at most WORD_KEY_BYTES bytes
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status word_table_add_to_shard(WordTable *table, size_t shard, const WordSlot *words, size_t count);

/** @brief Returns the number of words. */
size_t word_table_size(const WordTable *table);

/** @brief Visits all words: `for (WordCursor c = {0}; word_table_next(&table, &c);) use(c.word, c.count);` */
typedef struct {
    size_t shard,    /**< the shard that is being visited */
        visited;     /**< its slots that have been looked at */
    ByteString word; /**< valid until the table changes */
    uint64_t count;  /**< its occurrences */
} WordCursor;

/**
 * @brief Moves to the next word: shard by shard, and within a shard in an order that suits another table to which the
 * words are added. A visit may begin at any shard, with `{.shard = i}`.
 * @return false after the last word
 */
bool word_table_next(const WordTable *table, WordCursor *cursor);

/** @brief Removes all words of a shard and frees its memory. */
void word_table_clear_shard(WordTable *table, size_t shard);

/** @brief Frees the memory and leaves an empty table, which may be used again. */
void word_table_deinit(WordTable *table);

CS336_INTERNAL_END

#endif

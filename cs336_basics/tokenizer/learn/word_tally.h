/**
 * @file
 * @brief One thread's counts of words, before they reach the table that all threads share.
 *
 * A corpus uses few words all the time and most words hardly ever. A tally counts in a small table of 32 768 slots (768
 * KiB) that stays in the core's L2 cache. Each slot holds the latest word with its hash. When another word needs the
 * slot, the word in it moves, with its count, to a batch for its shard of the large table; a full batch is added at
 * once. So the large table is touched once for many occurrences.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_TALLY_H
#define CS336_TOKENIZER_LEARN_WORD_TALLY_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/learn/word_table.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    WORD_TALLY_BITS =
        15, /**< bits of the hash that choose a slot: 2^15 slots of 24 bytes, 768 KiB, stay in a 1 MiB L2 cache */
    WORD_TALLY_BATCH = 512 /**< most words of one word_tally_count(), which prefetches all their slots first */
};

/** @brief The small table of one thread, and its batches for the large one: 865 KiB from word_tally_new(). */
typedef struct {
    WordTable *table; /**< where the counts go in the end; all threads share it, and the caller owns it */
    WordSlot latest[1 << WORD_TALLY_BITS];           /**< by the first bits of the hash */
    WordSlot batches[WORD_SHARDS][WORD_TABLE_BATCH]; /**< by shard: words that left `latest`, with their counts */
    size_t batch_counts[WORD_SHARDS];                /**< words in each batch */
} WordTally;

/** @brief Makes a tally whose words go to @p table. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_tally_new(WordTally **tally, WordTable *table);

/** @brief Frees a tally; NULL is allowed. */
void word_tally_free(WordTally *tally);

/**
 * @brief Counts pre-tokens that follow each other in a text, once each.
 * @param begin     where the first one begins; each of the others begins where the one before it ends
 * @param ends      where they end: @p count addresses, at most WORD_TALLY_BATCH
 * @param readable  end of the bytes that may be read, not before the last pre-token's end; keys are made faster where
 * 16 bytes may be read
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status word_tally_count(WordTally *tally, const uint8_t *begin, const uint8_t *const *ends,
                                         size_t count, const uint8_t *readable);

/** @brief Adds all counts to the table that have not reached it yet. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_tally_finish(WordTally *tally);

CS336_INTERNAL_END

#endif

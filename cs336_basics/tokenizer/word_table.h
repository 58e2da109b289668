/**
 * @file
 * @brief The distinct pre-tokens ("words") of a corpus and how often each occurs: a hash table.
 *
 * - Almost every word has at most 15 bytes, and then it is its own key: its bytes, zeros, and the length. Two keys are
 *   compared by two words of the machine, and no pointer is followed. A longer word's key is its hash and where its
 *   bytes are; they are compared too, so that words of one hash stay apart.
 * - Words are added in batches: first all their slots are asked for, then all are counted, so that the waiting for
 *   memory overlaps.
 * - The table is in parts by the first bits of the hash. A word is in the same part of every table, so threads that
 *   join tables part by part never meet; and a table that grows does so in small steps.
 */
#ifndef CS336_TOKENIZER_WORD_TABLE_H
#define CS336_TOKENIZER_WORD_TABLE_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/word_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_PARTS = 64, WORD_BATCH = 512 };

typedef struct {
    WordKey key;
    uint64_t count; /**< occurrences; 0: a free slot */
} WordSlot;

typedef struct {
    WordSlot *slots; /**< open addressing */
    size_t slot_count, used;
    ByteList long_words; /**< each behind its length, a size_t */
} WordPart;

/** @brief A zeroed one is empty and ready. */
typedef struct {
    WordPart parts[WORD_PARTS];
} WordTable;

/**
 * @brief Counts words that follow each other, once each.
 * @param begin     of the first one; each of the others begins where the one before it ends
 * @param ends      @p count of them, at most WORD_BATCH
 * @param readable  end of the bytes that may be read, not before the last word's: copying is faster when 16 may be
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status word_table_count(WordTable *table, const uint8_t *begin, const uint8_t *const *ends,
                                         size_t count, const uint8_t *readable);

/** @brief Adds @p count occurrences of one word of at least one byte. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_table_add(WordTable *table, ByteString word, uint64_t count);

/** @brief Moves one part of @p from into @p to; what was in @p from is given back. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_table_join_part(WordTable *to, WordTable *from, size_t part);

/** @brief Distinct words. */
size_t word_table_size(const WordTable *table);

/** @brief Walks over the words: `for (WordCursor at = {0}; word_table_next(&table, &at);) use(at.word, at.count);` */
typedef struct {
    size_t part, slot;
    ByteString word; /**< valid until the table changes */
    uint64_t count;
} WordCursor;

bool word_table_next(const WordTable *table, WordCursor *cursor);

void word_table_deinit(WordTable *table);

#endif

/**
 * @file
 * @brief The distinct pre-tokens ("words") of a corpus and how often each occurs: a hash table that threads share.
 *
 * - Almost every word has at most 15 bytes, and then it is its own key: its bytes, zeros, and the length. Two keys are
 *   compared by two words of the machine, and no pointer is followed. A longer word's key is its hash and where its
 *   bytes are; they are compared too, so that words of one hash stay apart.
 * - The table is in parts by the first bits of the hash, and one thread at a time adds to a part; so the others hardly
 *   ever wait, and the table grows in small steps.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_TABLE_H
#define CS336_TOKENIZER_LEARN_WORD_TABLE_H

#include "core/parallel.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/word_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief A word's part is the first bits of its hash, word_key_hash() for one of at most WORD_KEY_BYTES. */
enum { WORD_PART_BITS = 6, WORD_PARTS = 1 << WORD_PART_BITS };

typedef struct {
    WordKey key;
    uint64_t count; /**< occurrences; 0: a free slot */
} WordSlot;

typedef struct {
    WordSlot *slots; /**< open addressing */
    size_t slot_count, used;
    int shift;           /**< of a hash without its first bits, to its first slot */
    ByteList long_words; /**< each behind its length, a size_t */
    ParallelLock lock;
} WordPart;

/** @brief A zeroed one is empty and ready. */
typedef struct {
    WordPart parts[WORD_PARTS];
} WordTable;

/** @brief Adds @p count occurrences of one word of at least one byte. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_table_add(WordTable *table, ByteString word, uint64_t count);

enum { WORD_TABLE_ADDS = 64 };

/**
 * @brief Adds to one part at most WORD_TABLE_ADDS words, each with its own number of occurrences: all their slots are
 * asked for first, so that the waiting for memory overlaps.
 * @param words  of at most WORD_KEY_BYTES bytes, of this part
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status word_table_add_to_part(WordTable *table, size_t part, const WordSlot *words, size_t count);

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

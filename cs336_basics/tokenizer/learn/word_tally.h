/**
 * @file
 * @brief One thread's counting of words, on their way into the table of all threads.
 *
 * A corpus has few words that it uses all the time and many that it hardly ever uses. A tally counts words in a small
 * table that stays in the core's own cache: each slot has the last word that came to it. The word before it is put to
 * those of its part of the large table that wait, and a full batch of them is added at once. So the large table is
 * touched once for many tokens, and grows with the distinct words of the corpus whatever the number of threads.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_TALLY_H
#define CS336_TOKENIZER_LEARN_WORD_TALLY_H

#include "core/status.h"
#include "tokenizer/learn/word_table.h"

#include <stddef.h>
#include <stdint.h>

enum { WORD_TALLY_BITS = 15, WORD_BATCH = 512 };

typedef struct {
    WordTable *table;
    WordSlot latest[1 << WORD_TALLY_BITS]; /**< by the first bits of the hash */
    WordSlot waiting[WORD_PARTS][WORD_TABLE_ADDS];
    size_t waiting_count[WORD_PARTS];
} WordTally;

/** @brief A tally of words for @p table. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_tally_new(WordTally **tally, WordTable *table);

/** @brief Frees a tally; NULL is allowed. */
void word_tally_free(WordTally *tally);

/**
 * @brief Counts words that follow each other, once each.
 * @param begin     of the first one; each of the others begins where the one before it ends
 * @param ends      @p count of them, at most WORD_BATCH
 * @param readable  end of the bytes that may be read, not before the last word's: copying is faster when 16 may be
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status word_tally_count(WordTally *tally, const uint8_t *begin, const uint8_t *const *ends,
                                         size_t count, const uint8_t *readable);

/** @brief Adds to the table all that has not reached it yet. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_tally_finish(WordTally *tally);

#endif

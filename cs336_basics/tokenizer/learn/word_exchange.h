/**
 * @file
 * @brief Adds up the words that several ranks (distributed/ranks.h) have counted, so that rank 0 has those of the whole
 * corpus.
 *
 * - Each rank owns a range of the words' hashes. Every rank sends each of its words, with the count, to the owner of
 * its hash; the owner adds. So the adding is shared, and a frequent word, which all ranks have, reaches rank 0 once.
 * - Then all owners send their words to rank 0, where no two of them are the same.
 * - A packed word takes its bytes and usually two more: its length and its count, seven bits in each byte (LEB128).
 * - Beside its table, a rank takes the packed words that it sends, then those that it receives.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_EXCHANGE_H
#define CS336_TOKENIZER_LEARN_WORD_EXCHANGE_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/learn/word_table.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief Returns the rank that owns a hash. The ranges are in the order of the ranks and differ by at most one hash.
 */
int word_owner(uint64_t hash, int ranks);

/** @brief Words with their counts as bytes, in one part for each rank. */
typedef struct {
    uint8_t *bytes;     /**< all parts in the order of the ranks, without gaps */
    size_t *part_bytes; /**< (ranks) lengths */
} PackedWords;

/**
 * @brief Packs a table.
 * @param[out] packed  zeroed on failure; free it with packed_words_free()
 * @param[in]  words   those of an owner come into its part
 * @param      ranks   number of parts
 * @param      to_one  true: all words come into the part of rank 0, whoever owns them
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status packed_words_make(PackedWords *packed, const WordTable *words, int ranks, bool to_one);

/** @brief Frees packed words; zeroed ones are fine. */
void packed_words_free(PackedWords *packed);

/** @brief Adds the words of a part, or of several that follow each other, to a table. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status packed_words_add(WordTable *words, const uint8_t *part, size_t bytes);

/**
 * @brief Gives rank 0 the sums of all ranks' counts. Collective.
 * @param[in,out] words  what this rank has counted; afterwards all words of the corpus on rank 0, and none on the
 *                       others. Empty on failure
 * @param[out]    sent   bytes that this rank has sent to others
 * @retval CS336_ENOMEM  on all ranks alike
 */
CS336_MUST_CHECK Status words_gather(WordTable *words, size_t *sent);

CS336_INTERNAL_END

#endif

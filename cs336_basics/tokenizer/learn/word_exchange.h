/**
 * @file
 * @brief Adds up the words that several ranks (distributed/ranks.h) have counted, so that rank 0 has those of the whole
 * corpus.
 *
 * - The words are divided by their hashes: each rank owns some shards of word_table.h. Every rank keeps the words of
 * its own shards and sends each of the others, with the count, to its owner, which adds. So the adding is shared, and a
 * frequent word, which all ranks have, reaches rank 0 once.
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

/** @brief Returns the rank that owns a shard. Ranks own as many shards as each other, or one more, in their order; of
 * more than WORD_SHARDS ranks, some own none. */
int word_shard_owner(size_t shard, int ranks);

/** @brief Words with their counts as bytes, in one part for each rank. */
typedef struct {
    uint8_t *bytes;     /**< all parts in the order of the ranks, without gaps */
    size_t *part_bytes; /**< (ranks) lengths; 0 for the own rank */
} PackedWords;

/**
 * @brief Takes the words that go to other ranks out of a table, and packs them.
 * @param[out]    packed  zeroed on failure; free it with packed_words_free()
 * @param[in,out] words   afterwards those that stay; unchanged on failure
 * @param         ranks   number of parts
 * @param         own     the own rank, whose words stay
 * @param         to_one  false: a word goes to its owner; true: all words go to rank 0
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status packed_words_make(PackedWords *packed, WordTable *words, int ranks, int own, bool to_one);

/** @brief Frees packed words; zeroed ones are fine. */
void packed_words_free(PackedWords *packed);

/** @brief Adds the words of a part, or of several that follow each other, to a table. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status packed_words_add(WordTable *words, const uint8_t *part, size_t bytes);

/**
 * @brief Gives rank 0 the sums of all ranks' counts. Collective.
 * @param[in,out] words  what this rank has counted; afterwards all words of the corpus on rank 0, and none on the
 *                       others. Empty on failure
 * @retval CS336_ENOMEM  on all ranks alike
 */
CS336_MUST_CHECK Status words_gather(WordTable *words);

CS336_INTERNAL_END

#endif

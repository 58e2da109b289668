/**
 * @file
 * @brief Learns merges from counted words: the second half of bpe_train().
 *
 * The words stand one after the other in an array of cells, one cell for each byte:
 *
 *     before            . t h e . t h e n .        "." is an edge
 *     (h, e) is merged  . t A A . t A A n .        A = "he"
 *     (t, A) is merged  . B - B . B - B n .        B = "the", "-" is a hole
 *
 * - The first and the last cell of a token hold its id; the cells between them are holes. So the left neighbour of a
 *   token is in the cell before it and the right one in the cell after it, without links. A merge changes only the
 * cells of its pair.
 * - Each cell also holds how often its word occurs. A word with more than 2^32 - 1 occurrences is written several times
 *   and they are shared out, which gives the same counts.
 * - Memory, in bytes for each cell: 8 for the cell, at most 12 for positions (4 for each pair at the start and for the
 * up to two new pairs of each merged occurrence), and at most 16 for the neighbours of one merge's occurrences.
 * - A merge takes time in proportion to the occurrences of its pair, not to the corpus, because the positions are
 * known. It first adds up, by neighbour, what the pairs on both sides lose and gain. So it looks up the index of pairs
 * once for each distinct neighbour, not for each occurrence.
 * - Most pairs are too rare ever to be merged. Counts only fall, so a pair whose count is below the floor, which the
 *   merged pairs have all reached, changes nothing and is left out. When no pair at the floor is left, the floor is
 *   lowered and the pairs are collected again from the cells. A floor that is badly guessed costs time, never
 *   correctness.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_LEARN_H
#define CS336_TOKENIZER_LEARN_BPE_LEARN_H

#include "core/api.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_table.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Adds merges to a model whose last 256 tokens are the bytes, until it has config->vocab_size tokens.
 * @param[in,out] words  emptied as soon as they have been copied to the cells
 * @retval CS336_ENOMEM
 * @retval CS336_ERANGE        the words have more than 2^32 - 1 bytes
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status bpe_learn(BPEModel *model, WordTable *words, const BPETrainConfig *config);

CS336_INTERNAL_END

#endif

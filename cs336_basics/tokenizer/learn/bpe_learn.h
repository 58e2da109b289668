/**
 * @file
 * @brief Byte-pair merges from counted pre-tokens: the second half of bpe_train().
 *
 * The distinct pre-tokens ("words") stand one after the other in a row of places, one place for each byte:
 *
 *     before            . t h e . t h e n .        each symbol is a token; "." is an edge
 *     (h, e) is merged  . t A A . t A A n .        A = "he"
 *     (t, A) is merged  . B - B . B - B n .        B = "the", "-" is a hole
 *
 * - A token is held by the first and the last of its bytes' places; the places between are holes. So the neighbour on
 *   either side of a token is one look away, without links, and a merge touches nothing but the places of its pair.
 * - Beside each symbol stands how often its word occurs. A word that occurs more often than 32 bits can tell stands
 *   there several times, which is the same.
 * - One merge takes time proportional to the occurrences of its pair, not to the corpus: the places are known. What the
 *   pairs on both sides lose and gain is first added up by neighbour, in plain arrays, so that the index of pairs is
 *   asked once for each distinct neighbour.
 * - Most pairs are too rare ever to be merged. Because counts only fall, a pair below a floor that all merged pairs
 *   have exceeded so far changes nothing: it is left out. When no pair is left above the floor, it is lowered and the
 *   pairs are collected again from the places. The floor is a guess that costs time when it is bad, never correctness.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_LEARN_H
#define CS336_TOKENIZER_LEARN_BPE_LEARN_H

#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_table.h"

/**
 * @brief Adds merges to a model whose last 256 tokens are the bytes, up to config->vocab_size.
 * @param[in,out] words  given back as soon as it has been read
 * @retval CS336_ENOMEM
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status bpe_learn(BPEModel *model, WordTable *words, const BPETrainConfig *config);

#endif

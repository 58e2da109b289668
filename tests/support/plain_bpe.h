/**
 * @file
 * @brief A plain reference for training and encoding: byte-pair encoding exactly as the handout describes it.
 *
 * Tokens are byte strings; all pairs are counted again before each merge; merges are applied one after the other.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_BPE_H
#define CS336_TESTS_SUPPORT_PLAIN_BPE_H

#include "tokenizer/buffers.h"

#include <stddef.h>

/** @brief Mistakes that people make, named after the wrong solutions in tests/exercises/wrong/train_bpe. */
typedef enum {
    TRAIN_RIGHT,
    TRAIN_COUNTS_SPECIAL_TOKENS,
    TRAIN_COUNTS_WORDS_NOT_OCCURRENCES,
    TRAIN_COUNTS_WITHOUT_OVERLAP,
    TRAIN_KEEPS_LOST_PAIRS,
    TRAIN_MERGES_ACROSS_PRETOKENS,
    TRAIN_TIES_BY_AGE,
    TRAIN_TIES_BY_ID,
    TRAIN_TIES_TO_THE_LESSER_PAIR,
    TRAIN_VOCABULARY_WITHOUT_SPECIAL_TOKENS,
    TRAIN_MISTAKES /**< how many values there are */
} TrainMistake;

/** @brief Merges by rank; the byte strings are views of the text. */
typedef struct {
    ByteString *left, *right;
    size_t merge_count;
} PlainBPE;

/**
 * @brief Learns at most @p merges merges. plain_split() splits the text.
 * @param mistake  TRAIN_RIGHT, or whose merges are wanted
 */
PlainBPE plain_bpe_train(ByteString text, const ByteString *special, size_t special_count, size_t merges,
                         TrainMistake mistake);
void plain_bpe_free(PlainBPE *plain);

/**
 * @brief Mistakes that people make, named after the wrong solutions in tests/exercises/wrong/tokenizer. One of them has
 * the right tokens, and so no value here: stream_holds_everything.
 */
typedef enum {
    TOKENIZER_RIGHT,
    TOKENIZER_MERGES_FROM_LEFT_TO_RIGHT, /**< this and the next: of plain_bpe_apply() */
    TOKENIZER_LONGEST_TOKEN_FIRST,
    TOKENIZER_SPECIAL_TOKENS_NOT_KEPT, /**< this and the others: of plain_tokenizer.h */
    TOKENIZER_CHUNKS_END_PRETOKENS,
    TOKENIZER_STREAM_HOLDS_ONE_PRETOKEN,
    TOKENIZER_STREAM_HOLDS_TWO_PRETOKENS,
    TOKENIZER_STREAM_CUTS_SPECIAL_TOKENS,
    TOKENIZER_DECODES_TOKENS_ONE_BY_ONE,
    TOKENIZER_MALFORMED_UTF8_KEPT,
    TOKENIZER_MISTAKES /**< how many values there are */
} TokenizerMistake;

/**
 * @brief Encodes one pre-token.
 * @param[out] tokens  room for one token for each byte, in order; views of @p word
 * @param mistake      TOKENIZER_RIGHT, or whose tokens are wanted
 * @return how many
 */
size_t plain_bpe_apply(ByteString *tokens, ByteString word, const ByteString *left, const ByteString *right,
                       size_t merge_count, TokenizerMistake mistake);

#endif

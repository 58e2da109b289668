/**
 * @file
 * @brief The steps of bpe_train() before it learns, for bpe_train_ranks() too.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_TRAIN_STEPS_H
#define CS336_TOKENIZER_LEARN_BPE_TRAIN_STEPS_H

#include "core/api.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_count.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Adds the special tokens and the bytes to an empty model.
 * @retval CS336_ERANGE  config->vocab_size has no room for them
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_train_begin(BPEModel *model, const BPETrainConfig *config);

/**
 * @brief Counts the words of the sources.
 * @param[out] words        empty on failure
 * @param[out] bytes        of what was counted
 * @param      tasks        as in WordCountConfig
 * @retval others  as count_words()
 */
CS336_MUST_CHECK Status bpe_train_count(WordTable *words, size_t *bytes, const WordSource *sources, size_t source_count,
                                        const BPETrainConfig *config, RanksTasks *tasks);

CS336_INTERNAL_END

#endif

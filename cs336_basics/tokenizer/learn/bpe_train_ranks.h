/**
 * @file
 * @brief Learns a vocabulary with all ranks (distributed/ranks.h), on one machine or several.
 *
 * - The ranks share the counting, rank 0 learns: counting is nearly all of the work of a large corpus, and learning
 *   needs the words of the whole corpus.
 * - Files of plain text are shared by chunks. Each host has a share of the chunks, as large as its share of the ranks,
 *   and its ranks take them one after the other (RanksTasks). The chunks end where those of threads do, so no rank asks
 *   another one where it begins.
 * - A rank that fails or is stopped tells the others, which then stop counting.
 * - A stream is counted whole by one rank: by the one that has the fewest bytes of streams so far. Rank 0 reads
 *   standard input and pipes, which other hosts do not have.
 * - word_exchange.h adds the counts up. The model is that of bpe_train_inputs(), because it depends on the counts
 *   alone.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_TRAIN_RANKS_H
#define CS336_TOKENIZER_LEARN_BPE_TRAIN_RANKS_H

#include "core/api.h"
#include "tokenizer/input_texts.h"
#include "tokenizer/learn/bpe_train.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Chooses which rank counts each text.
 * @param[out] ranks  (texts->count) -1: all ranks share it
 * @param      count  number of ranks
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_train_share(int *ranks, const InputTexts *texts, int count);

/**
 * @brief Learns from the texts of all ranks' disks: each must have the same files. Collective.
 *
 * config->progress gets what rank 0 has counted, times the number of ranks, as an estimate for all of them.
 * @param[out] model  rank 0: the model. The others: empty
 * @param[out] stats  rank 0: of the whole corpus
 * @return the same on all ranks, as ranks_agree() gives it; but a failure while rank 0 learns only on rank 0
 * @retval CS336_EIO     a rank lacks a file, or has another size of it
 * @retval CS336_EFORMAT, CS336_ERANGE, CS336_ENOMEM, CS336_EINTERRUPTED  as bpe_train_inputs()
 */
CS336_MUST_CHECK Status bpe_train_ranks(BPEModel *model, BPETrainStats *stats, const InputTexts *texts,
                                        const BPETrainConfig *config);

CS336_INTERNAL_END

#endif

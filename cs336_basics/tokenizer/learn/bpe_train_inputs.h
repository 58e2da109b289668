/**
 * @file
 * @brief Learns a vocabulary from texts of any form that input_texts.h reads: compressed files, JSON Lines, pipes.
 *
 * It is a file of its own, because bpe_train.h links without jansson and zlib.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_TRAIN_INPUTS_H
#define CS336_TOKENIZER_LEARN_BPE_TRAIN_INPUTS_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/input_texts.h"
#include "tokenizer/learn/bpe_train.h"

CS336_API_BEGIN

/**
 * @brief The same as bpe_train() with texts that are read once. The ending of documents should be a special token of
 * @p config; as ordinary text it would be counted.
 * @param[out] model   empty on failure; free it with bpe_model_deinit()
 * @param[out] stats   may be NULL
 * @param[in]  texts   from input_texts_begin(); the streams are read to their end
 * @param[in]  config  as for bpe_train()
 * @retval CS336_EIO, CS336_EFORMAT  a text cannot be read; the message says which, and in JSON Lines the line
 * @retval CS336_ERANGE, CS336_ENOMEM, CS336_EINTERRUPTED  as bpe_train()
 */
CS336_MUST_CHECK Status bpe_train_inputs(BPEModel *model, BPETrainStats *stats, const InputTexts *texts,
                                         const BPETrainConfig *config);

CS336_API_END

#endif

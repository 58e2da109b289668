/**
 * @file
 * @brief Batches of training sequences (handout section 5.1, problem data_loading).
 */
#ifndef CS336_DATA_BATCH_H
#define CS336_DATA_BATCH_H

#include "core/api.h"
#include "core/rng.h"
#include "core/status.h"
#include "data/token_file.h"

CS336_API_BEGIN

/**
 * @brief Samples training sequences. The targets are the same sequences one token later.
 *
 * Each sequence starts at a position i that is uniform in [0, n - m), where n is the number of ids:
 * \f[ x = (t_i, \dots, t_{i+m-1}), \qquad y = (t_{i+1}, \dots, t_{i+m}) \f]
 * @param[out]    inputs          (batch_size, context_length) ids x
 * @param[out]    targets         (batch_size, context_length) ids y
 * @param[in]     tokens          at least context_length + 1 ids
 * @param[in]     batch_size      number of sequences
 * @param[in]     context_length  m, tokens per sequence
 * @param[in]     device          "cpu", the only device
 * @param[in,out] rng             gives one number per sequence
 * @retval CS336_ERANGE  another device, too few ids, or an id that is not below the vocabulary size
 * @see Test test_get_batch
 */
CS336_MUST_CHECK Status get_batch(int32_t *inputs, int32_t *targets, const TokenFile *tokens, size_t batch_size,
                                  size_t context_length, const char *device, Rng *rng);

/**
 * @brief Draws the starts of @p batch_size sequences as get_batch() does, and reads none. A rank passes over the
 * sequences of the other ranks with it.
 * @param tokens, context_length  as get_batch() would accept them
 */
void skip_batch(const TokenFile *tokens, size_t batch_size, size_t context_length, Rng *rng);

CS336_API_END

#endif

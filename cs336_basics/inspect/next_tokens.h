/**
 * @file
 * @brief The likeliest next tokens, in order.
 */
#ifndef CS336_INSPECT_NEXT_TOKENS_H
#define CS336_INSPECT_NEXT_TOKENS_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "generate/sample.h"

CS336_API_BEGIN

/**
 * @brief Finds the likeliest tokens and their probabilities: the softmax of the logits.
 * @param[out]    likeliest  room for @p count; the likeliest token first, and of equally likely ones that of lower id
 * @param[in,out] count      tokens wanted; then tokens found, fewer only if the vocabulary has fewer with a
 *                           probability above 0
 * @param[in]     logits     (vocab_size)
 * @param[in]     scratch    sample_scratch() bytes
 * @retval CS336_ERANGE  a logit is NaN or +inf, or all are -inf
 * @retval CS336_ENOMEM  scratch is too small
 * @see sample_candidates(); test_next_tokens_are_the_softmax_in_order
 */
CS336_MUST_CHECK Status next_tokens(SampleCandidate *likeliest, size_t *count, Tensor logits, Arena *scratch);

CS336_API_END

#endif

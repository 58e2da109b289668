/**
 * @file
 * @brief Where each head of a trained model looks: the attention weights of a sequence.
 *
 * Attention never stores its weights (nn/functional.h). After a forward pass that saves, the rotated queries and keys
 * are at hand, and the weights follow from them by a softmax.
 */
#ifndef CS336_INSPECT_ATTENTION_WEIGHTS_H
#define CS336_INSPECT_ATTENTION_WEIGHTS_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/transformer_lm.h"

CS336_API_BEGIN

/** @brief Returns the bytes of scratch that attention_weights() takes for a sequence of @p seq tokens. */
size_t attention_weights_scratch(const TransformerLM *lm, size_t seq);

/**
 * @brief Computes the attention weights of all heads, and the logits of the token that follows.
 * \f[ P_{ij} = \frac{e^{s_{ij}}}{\sum_{k \le i} e^{s_{ik}}} \text{ for } j \le i, \qquad
 *     P_{ij} = 0 \text{ for } j > i, \qquad s_{ij} = \frac{q_i \cdot k_j}{\sqrt{d_k}} \f]
 * Each row sums to 1 up to the rounding of its own numbers, also for huge scores.
 * @param[out] weights  (num_layers, num_heads, seq, seq), contiguous, overwritten: the last two dimensions are the
 *                      query and the key
 * @param[out] logits   (vocab_size), overwritten; data NULL: not wanted
 * @param[in]  lm       the model
 * @param[in]  ids      (seq), at most context_length of them
 * @param[in]  scratch  attention_weights_scratch() bytes
 * @retval CS336_ESHAPE  weights or logits have another shape, or seq is 0 or exceeds context_length
 * @retval CS336_ERANGE  an id is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Handout section 3.4.4, problem scaled_dot_product_attention; test_attention_weights_are_those_of_the_reference
 */
CS336_MUST_CHECK Status attention_weights(Tensor weights, Tensor logits, const TransformerLM *lm, TokenTensor ids,
                                          Arena *scratch);

CS336_API_END

#endif

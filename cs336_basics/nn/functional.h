/**
 * @file
 * @brief Stateless functions: softmax, log-sum-exp, SiLU, cross-entropy and scaled dot-product attention.
 *
 * Read this file first. Everything else in nn/ is linear maps around these functions.
 *
 * Some of these functions have no caller in the model. Where the model needs a softmax, the next step reads its numbers
 * at once, while they are in registers or in a cache. So the model runs a fused function, which computes both steps.
 * The comment of each function here names the fused one, and the test that compares the two.
 */
#ifndef CS336_NN_FUNCTIONAL_H
#define CS336_NN_FUNCTIONAL_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/**
 * @brief Computes the softmax over one dimension. It is safe for any finite input.
 * \f[ y_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}, \qquad m = \max_j x_j \f]
 *
 * @par In this library
 * In the model every softmax is fused with what reads it, so that the probabilities are never written to memory:
 * - scaled_dot_product_attention_forward() has one for each query: test_attention_is_softmax_between_two_products;
 * - cross_entropy_row() turns it into the gradient of the loss: test_cross_entropy_is_log_sum_exp_less_the_target;
 * - sample_candidates() keeps only the likeliest tokens, and its sums are double:
 *   test_sampling_probabilities_are_the_softmax.
 * @param[out] y          the shape of x, overwritten; may be x itself
 * @param[in]  x          (...)
 * @param[in]  dimension  the dimension that sums to 1; a negative one counts from the last
 * @retval CS336_ESHAPE  y and x differ, or there is no such dimension
 * @see Handout section 3.4.4, problem softmax; test_softmax_matches_pytorch
 */
CS336_MUST_CHECK Status softmax_forward(Tensor y, Tensor x, int dimension);

/**
 * @brief Computes the gradient of softmax_forward() from its output.
 *
 * @par In this library
 * The model runs scaled_dot_product_attention_backward(), which recomputes the probabilities block by block and fuses
 * this with its matrix products: test_attention_is_softmax_between_two_products.
 * @param[out] grad_x  the shape of y, overwritten; may be grad_y itself
 * @param[in]  grad_y  the shape of y
 * @param[in]  y, dimension  as the forward pass had them
 * @retval CS336_ESHAPE  shapes differ, or there is no such dimension
 * @see test_functional_gradients_are_central_differences
 */
CS336_MUST_CHECK Status softmax_backward(Tensor grad_x, Tensor grad_y, Tensor y, int dimension);

/**
 * @brief Computes the logarithm of the sum of exponentials over the last dimension.
 * \f[ \ell = m + \log \sum_j e^{x_j - m} \f]
 *
 * @par In this library
 * The model computes it inside cross_entropy_row() and scaled_dot_product_attention_forward(), which get the gradient
 * or the output from the same exponentials: test_cross_entropy_is_log_sum_exp_less_the_target,
 * test_attention_is_softmax_between_two_products.
 * @param[out] log_sum_exp  (..., 1)
 * @param[in]  x            (..., n); a row of -inf gives -inf
 * @retval CS336_ESHAPE  an extent differs, or rows of x are not contiguous
 * @see Handout section 4.1, problem cross_entropy; test_log_sum_exp
 */
CS336_MUST_CHECK Status log_sum_exp_forward(Tensor log_sum_exp, Tensor x);

/**
 * @brief Computes the gradient of log_sum_exp_forward(): grad_x = grad_log_sum_exp softmax(x).
 *
 * @par In this library
 * The model runs cross_entropy_row(), which also subtracts the 1 of the target, and needs no second pass for the
 * exponentials: test_cross_entropy_is_log_sum_exp_less_the_target.
 * @param[out] grad_x            (..., n), overwritten; may be x itself
 * @param[in]  grad_log_sum_exp  (..., 1)
 * @param[in]  log_sum_exp, x    as the forward pass had them
 * @retval CS336_ESHAPE  an extent differs, or rows are not contiguous
 * @see test_functional_gradients_are_central_differences
 */
CS336_MUST_CHECK Status log_sum_exp_backward(Tensor grad_x, Tensor grad_log_sum_exp, Tensor log_sum_exp, Tensor x);

/**
 * @brief Computes SiLU, also called swish, element by element.
 * \f[ y = x\, \sigma(x) = \frac{x}{1 + e^{-x}} \f]
 *
 * @par In this library
 * The feed-forward network runs the same kernel, vecmath()->swiglu(), on rows that stay in its scratch memory. Its gate
 * is NULL here, and in a network without gate: test_feed_forward_is_silu_between_two_maps.
 * @param[out] y  the shape of x, overwritten; may be x itself
 * @param[in]  x  (...)
 * @retval CS336_ESHAPE  shapes differ, or rows are not contiguous
 * @see Handout section 3.4.2, problem positionwise_feedforward; test_silu_matches_pytorch
 */
CS336_MUST_CHECK Status silu_forward(Tensor y, Tensor x);

/**
 * @brief Computes the gradient of silu_forward().
 *
 * @par In this library
 * The feed-forward network runs the same kernel, vecmath()->swiglu_backward(), which also computes the layer's hidden
 * numbers again: test_feed_forward_is_silu_between_two_maps.
 * @param[out] grad_x  the shape of x, overwritten; may be grad_y or x itself
 * @param[in]  grad_y  the shape of x
 * @param[in]  x       as the forward pass had it
 * @retval CS336_ESHAPE  shapes differ, or rows are not contiguous
 * @see test_functional_gradients_are_central_differences
 */
CS336_MUST_CHECK Status silu_backward(Tensor grad_x, Tensor grad_y, Tensor x);

/**
 * @brief Computes the cross-entropy: the mean negative log-likelihood of the targets.
 * \f[ L = \frac1N \sum_n \left( \ell_n - x_{n, t_n} \right), \qquad \ell_n = \log \sum_j e^{x_{nj}} \f]
 *
 * @par In this library
 * The model runs linear_cross_entropy(), in training and in evaluation. That function also calls cross_entropy_row(),
 * but it holds the logits of at most 1024 rows at a time, because all logits would be the model's largest array:
 * test_linear_cross_entropy_equals_linear_and_cross_entropy.
 * @param[out] loss         one number, summed in double
 * @param[out] log_sum_exp  (..., 1), for the backward pass; data NULL when only the loss is wanted
 * @param[in]  logits       (..., vocab)
 * @param[in]  targets      (...), ids below vocab
 * @retval CS336_ESHAPE  leading dimensions differ, or rows of logits are not contiguous
 * @retval CS336_ERANGE  a target is not below vocab; the message names it and its index
 * @see Handout section 4.1, problem cross_entropy; test_cross_entropy
 */
CS336_MUST_CHECK Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets);

/**
 * @brief Computes the loss of one row, and its gradient in the same pass over the logits.
 *
 * cross_entropy_forward() sums these losses; the model calls this function from linear_cross_entropy().
 * @param[out] grad_logits  (vocab) weight (softmax(logits) - onehot(target)); may be the logits themselves; NULL: not
 *                          wanted
 * @param[out] log_sum_exp  one number; NULL: not wanted
 * @param[in]  logits       (vocab)
 * @param[in]  target       an id below vocab
 * @param[in]  weight       what the gradient is multiplied by: 1 / N for a mean over N rows; the loss is not
 * @return log_sum_exp - logits[target], in double
 */
double cross_entropy_row(float *grad_logits, float *log_sum_exp, const float *logits, size_t vocab, size_t target,
                         double weight);

/**
 * @brief Computes the gradient of the mean loss: (softmax(logits) - onehot(targets)) / N.
 *
 * @par In this library
 * The model runs cross_entropy_row(), which computes loss and gradient from the same exponentials:
 * test_linear_cross_entropy_equals_linear_and_cross_entropy.
 * @param[out] grad_logits  (..., vocab), overwritten; may be the logits themselves
 * @param[in]  log_sum_exp, logits, targets  as the forward pass had them
 * @retval CS336_ESHAPE, CS336_ERANGE  as cross_entropy_forward()
 * @see test_functional_gradients_are_central_differences
 */
CS336_MUST_CHECK Status cross_entropy_backward(Tensor grad_logits, Tensor log_sum_exp, Tensor logits,
                                               TokenTensor targets);

/** @brief The rule by which a query sees a key. */
typedef enum {
    ATTEND_ALL,    /**< every query sees every key */
    ATTEND_CAUSAL, /**< query i of n sees keys 0 ... i + m - n of m: the last query and last key are of one token */
    ATTEND_WHERE   /**< a query sees the keys for which a boolean mask is true */
} AttentionKind;

/** @brief Which keys a query sees. */
typedef struct {
    AttentionKind kind; /**< only ATTEND_WHERE reads the mask below */
    MaskTensor where;   /**< (..., q, k) for ATTEND_WHERE, true: the key is seen; leading dimensions broadcast */
} AttentionMask;

/**
 * @brief Computes scaled dot-product attention over any leading dimensions.
 * \f[ O = \mathrm{softmax}\!\left( \frac{Q K^\top}{\sqrt{d_k}} \right) V \f]
 *
 * A key that a query does not see has no influence on its output, not even if it holds an infinity or a NaN. Inputs may
 * repeat along a dimension by a stride of 0.
 *
 * @par In this library
 * The scores exist only block by block, so the memory that this function needs does not grow with q or k.
 * The files behind it, in reading order:
 * 1. nn/functional.c: the online softmax, and the derivation of the gradients;
 * 2. nn/attention_plan.h: checks, sizes, and which keys a block of queries sees;
 * 3. nn/attention_block.h: packing;
 * 4. kernels/attention.h and kernels/attention_kernel.h: the arithmetic, in the vectors of kernels/vector.h.
 * @param[out] output       (..., q, d_v), overwritten; a query that sees no key gets zeros
 * @param[out] log_sum_exp  (..., q, 1) of the scaled scores, -inf where nothing is seen; data NULL when only inferring
 * @param[in]  query        (..., q, d_k)
 * @param[in]  key          (..., k, d_k)
 * @param[in]  value        (..., k, d_v)
 * @param[in]  mask         which keys a query sees; the probabilities of the others are exactly 0
 * @retval CS336_ESHAPE  extents differ, the mask does not broadcast, rows are not contiguous, or output repeats
 * @retval CS336_ENOMEM  the workspace could not grow
 * @see Handout section 3.4.4, problem scaled_dot_product_attention; test_scaled_dot_product_attention,
 * test_4d_scaled_dot_product_attention; Dao et al., FlashAttention, 2022
 */
CS336_MUST_CHECK Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query,
                                                             Tensor key, Tensor value, AttentionMask mask);

/**
 * @brief Computes the gradients of scaled_dot_product_attention_forward(), recomputing the probabilities from
 * log_sum_exp.
 * @param[out] grad_query   (..., q, d_k), overwritten; data NULL skips it; must not overlap any input
 * @param[out] grad_key     (..., k, d_k), likewise
 * @param[out] grad_value   (..., k, d_v), likewise
 * @param[in]  grad_output  (..., q, d_v)
 * @param[in]  output, log_sum_exp  as the forward pass wrote them
 * @param[in]  query, key, value, mask  as the forward pass read them
 * @param[in]  scratch      see scaled_dot_product_attention_scratch()
 * @retval CS336_ESHAPE  extents differ, rows are not contiguous, a gradient repeats, or log_sum_exp is missing
 * @retval CS336_ENOMEM  the workspace could not grow, or scratch is too small
 * @see test_attention_gradients_are_central_differences, test_attention_matches_pytorch
 */
CS336_MUST_CHECK Status scaled_dot_product_attention_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value,
                                                              Tensor grad_output, Tensor output, Tensor log_sum_exp,
                                                              Tensor query, Tensor key, Tensor value,
                                                              AttentionMask mask, Arena *scratch);

/**
 * @brief Does what scaled_dot_product_attention_forward() does, but rounds the operands of both products to bfloat16,
 * to the nearest, ties to even.
 *
 * - Query, key and value are rounded, then the exponentials of the scores: the factors of P V.
 * - Products are added in float32. The softmax, its sum and the output are float32, too, where PyTorch's autocast
 * rounds the output to bfloat16. So the result is nearer to that of float32 than PyTorch's.
 * - The exponentials are relative to the greatest score so far when they are rounded. "So far" means up to the end of
 *   each 128 keys.
 * - With AMX the products run in the matrix unit, with AVX512_BF16 in its vectors (kernels/attention_tile_kernel.h);
 *   both take denormals for 0. Elsewhere the float32 kernels multiply the rounded numbers, which takes a little longer
 *   than float32.
 * @param      output, log_sum_exp, query, key, value, mask  as for scaled_dot_product_attention_forward()
 * @retval CS336_ESHAPE, CS336_ENOMEM  as scaled_dot_product_attention_forward()
 * @see test_bf16_attention_agrees_with_rounded_operands
 */
CS336_MUST_CHECK Status scaled_dot_product_attention_bf16_forward(Tensor output, Tensor log_sum_exp, Tensor query,
                                                                  Tensor key, Tensor value, AttentionMask mask);

/**
 * @brief Computes the gradients as scaled_dot_product_attention_backward() does, with the operands of its five products
 * rounded to bfloat16: query, key, value, grad_output, the probabilities, and the gradients of the scores.
 *
 * Rounding itself counts as the identity: its gradient is 1.
 * @param      grad_query, grad_key, grad_value, grad_output, output, log_sum_exp, query, key, value, mask, scratch  as
 * for scaled_dot_product_attention_backward(), with output and log_sum_exp of the bf16 forward pass
 * @retval CS336_ESHAPE, CS336_ENOMEM  as scaled_dot_product_attention_backward()
 * @see test_bf16_attention_agrees_with_rounded_operands
 */
CS336_MUST_CHECK Status scaled_dot_product_attention_bf16_backward(Tensor grad_query, Tensor grad_key,
                                                                   Tensor grad_value, Tensor grad_output, Tensor output,
                                                                   Tensor log_sum_exp, Tensor query, Tensor key,
                                                                   Tensor value, AttentionMask mask, Arena *scratch);

/** @brief Returns the bytes of scratch that either backward pass takes for this query: one float for each of its rows.
 */
size_t scaled_dot_product_attention_scratch(Tensor query);

CS336_API_END

#endif

/**
 * @file
 * @brief Floating-point operations of a model's matrix products, and the time that they take.
 *
 * - A product of (m, k) and (k, n) counts 2 m k n: a multiplication and an addition for each of its m k n terms. What
 * is not a matrix product (norms, softmax, SiLU, residuals) is left out, as in the course: it is below one percent.
 * - Attention is counted over all T^2 pairs, as in the course, though a causal mask needs only half of them.
 * - Counts are doubles: exact up to 2^53, and never an overflow beyond.
 * @see Handout sections 3.5 and 4.3, problems transformer_accounting and adamw_accounting
 */
#ifndef CS336_ACCOUNTING_FLOPS_H
#define CS336_ACCOUNTING_FLOPS_H

#include "nn/transformer_lm.h"

/** @brief FLOPs of a forward pass; those of layers are summed over all layers. B sequences of T tokens. */
typedef struct {
    double qkv_projections;   /**< 3 products (B T, d) (d, d): 6 B T d^2 a layer */
    double attention_scores;  /**< Q K^T: 2 B T^2 d a layer */
    double attention_values;  /**< P V: 2 B T^2 d a layer */
    double output_projection; /**< 2 B T d^2 a layer */
    double feed_forward;      /**< W1, W3, W2: 6 B T d d_ff a layer; 4 B T d d_ff without a gate */
    double lm_head;           /**< 2 B T d V */
    double total;
} AccountFlops;

/** @brief FLOPs of one forward pass over @p batch sequences of @p seq tokens. */
AccountFlops account_forward_flops(const TransformerLMConfig *config, size_t batch, size_t seq);

/**
 * @brief FLOPs of forward and backward together: three times the forward pass.
 * For y = W x the backward pass has two products of the same size, grad_x = W^T grad_y and grad_W = grad_y x^T.
 */
double account_training_flops(const TransformerLMConfig *config, size_t batch, size_t seq);

/**
 * @brief FLOPs of one AdamW step on @p parameters numbers: 14 each.
 * 1 for the decay (theta times a constant), 3 for m, 4 for v, 6 for the update (divide v, root, add eps, divide m,
 * times the rate, subtract).
 */
double account_adamw_flops(size_t parameters);

/**
 * @brief Model FLOPs utilization: the part of the machine's peak that the model's own products use.
 * @param flops_per_token    account_training_flops() of a sequence, over its tokens
 * @param tokens_per_second  as measured
 * @param peak               FLOP/s of the machine
 */
double account_mfu(double flops_per_token, double tokens_per_second, double peak);

/** @brief Hours that @p flops take at @p mfu of @p peak FLOP/s. */
double account_hours(double flops, double peak, double mfu);

#endif

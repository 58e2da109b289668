/**
 * @file
 * @brief Floating-point operations (FLOPs) of a model's matrix products, and the time that they take.
 *
 * - A product of (m, k) and (k, n) counts 2 m k n FLOPs: a multiplication and an addition for each of its m k n terms.
 * - Norms, softmax, SiLU and residuals are not counted, as in the course: they are below one percent.
 * - Attention counts all T^2 pairs of tokens, as in the course, though a causal mask needs only half of them.
 * - Counts are doubles. They are exact up to 2^53, and larger counts cannot overflow as integers would.
 * @see Handout sections 3.5 and 4.3, problems transformer_accounting and adamw_accounting
 */
#ifndef CS336_ACCOUNTING_FLOPS_H
#define CS336_ACCOUNTING_FLOPS_H

#include "core/api.h"
#include "nn/transformer_lm.h"

CS336_API_BEGIN

/** @brief FLOPs of a forward pass over B sequences of T tokens, summed over all layers. */
typedef struct {
    double qkv_projections;   /**< 3 products (B T, d) (d, d): 6 B T d^2 per layer */
    double attention_scores;  /**< Q K^T: 2 B T^2 d per layer */
    double attention_values;  /**< P V: 2 B T^2 d per layer */
    double output_projection; /**< 2 B T d^2 per layer */
    double feed_forward;      /**< W1, W3, W2: 6 B T d d_ff per layer; 4 B T d d_ff without W3 */
    double lm_head;           /**< 2 B T d V */
    double total;             /**< sum of the parts above */
} AccountFlops;

/** @brief Counts the FLOPs of one forward pass over @p batch sequences of @p seq tokens. */
AccountFlops account_forward_flops(const TransformerLMConfig *config, size_t batch, size_t seq);

/**
 * @brief Counts the FLOPs of forward and backward pass together: three times the forward pass.
 *
 * For y = W x the backward pass has two products of the same size, grad_x = W^T grad_y and grad_W = grad_y x^T.
 */
double account_training_flops(const TransformerLMConfig *config, size_t batch, size_t seq);

/**
 * @brief Counts the FLOPs of one AdamW step: 14 for each of @p parameters numbers.
 *
 * 1 for the weight decay (theta times a constant), 3 for the first moment m, 4 for the second moment v, and 6 for the
 * update: divide v, square root, add eps, divide m, multiply by the learning rate, subtract.
 */
double account_adamw_flops(double parameters);

/**
 * @brief Returns the model FLOPs utilization (MFU): the fraction of the machine's peak that the model's products use.
 * @param flops_per_token    account_training_flops() of a sequence, divided by its number of tokens
 * @param tokens_per_second  measured training speed
 * @param peak               FLOP/s that the machine can reach
 */
double account_mfu(double flops_per_token, double tokens_per_second, double peak);

/** @brief Returns the hours that @p flops take at the fraction @p mfu of @p peak FLOP/s. */
double account_hours(double flops, double peak, double mfu);

CS336_API_END

#endif

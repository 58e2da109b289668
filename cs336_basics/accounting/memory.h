/**
 * @file
 * @brief Memory of training with AdamW in float32 (problem adamw_accounting).
 */
#ifndef CS336_ACCOUNTING_MEMORY_H
#define CS336_ACCOUNTING_MEMORY_H

#include "nn/transformer_lm.h"

/** @brief Bytes. */
typedef struct {
    double parameters;      /**< 4 P */
    double gradients;       /**< 4 P */
    double optimizer_state; /**< 8 P: two moments */
    double activations;     /**< grows with the batch */
    double total;
} AccountMemory;

/**
 * @brief The course's expression for B sequences of T tokens, 4 bytes a number.
 * \f[ A = L \left( B T (8 d + 4 d_{ff}) + 2 B H T^2 \right) + B T d + 2 B T V \f]
 * A layer: two norms, q, k, v, attended values and output projection (7 B T d), scores and their softmax (2 B H T^2),
 * W1, W3, SiLU and product (4 B T d_ff; W1 and SiLU alone: 2 B T d_ff), W2 (B T d). Then the final norm (B T d), logits
 * and their softmax for the cross-entropy (2 B T V). Without norms the 2 d of a layer and the final d fall away.
 */
AccountMemory account_memory_expression(const TransformerLMConfig *config, size_t batch, size_t seq);

/** @brief Largest batch whose total by the expression is at most @p bytes; 0 when not even one sequence fits. */
size_t account_largest_batch(const TransformerLMConfig *config, size_t seq, double bytes);

#endif

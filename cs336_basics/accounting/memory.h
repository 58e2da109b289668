/**
 * @file
 * @brief Memory of training with AdamW in float32 (handout section 4.3, problem adamw_accounting).
 *
 * Two answers. The course's is an expression: every named intermediate result is kept for the backward pass. This
 * program's is measured from its own arenas: attention keeps no (T, T) matrix, and logits never exist whole.
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

/**
 * @brief What this program takes for the same: arenas of parameters, gradients and moments, and scratch of a step.
 * Nothing of that size is allocated.
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status account_memory_measured(AccountMemory *memory, const TransformerLMConfig *config, size_t batch,
                                                size_t seq);

/** @brief Largest batch whose total by the expression is at most @p bytes; 0 when not even one sequence fits. */
size_t account_largest_batch(const TransformerLMConfig *config, size_t seq, double bytes);

/** @brief The same by measurement. @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as account_memory_measured() */
CS336_MUST_CHECK Status account_largest_batch_measured(size_t *batch, const TransformerLMConfig *config, size_t seq,
                                                       double bytes);

#endif

/**
 * @file
 * @brief A whole forward pass in double precision, from the formulas of tests/support: the attention weights, and the
 * root mean square of every operation's output.
 */
#ifndef CS336_TESTS_INSPECT_REFERENCE_PASS_H
#define CS336_TESTS_INSPECT_REFERENCE_PASS_H

#include "tests/support/reference_layers.h"

enum { REFERENCE_PASS_MAX = 256 /* operations */ };

typedef struct {
    double rms[REFERENCE_PASS_MAX]; /**< in the order of the code, as in inspect/trace.h, without the loss */
    size_t count;                   /**< operations */
    double *weights;                /**< (layers, batch, heads, seq, seq) */
    double *logits;                 /**< (batch, seq, vocab_size) */
} ReferencePass;

/** @brief Runs the model on @p ids (batch, seq), contiguous. The memory is never freed. */
void reference_pass(ReferencePass *pass, const ReferenceWeights *weights, const TransformerLMConfig *config,
                    const int32_t *ids, size_t batch, size_t seq);

#endif

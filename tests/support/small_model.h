/**
 * @file
 * @brief A whole model with gradients, moments and scratch, for tests: weights by the hash.
 */
#ifndef CS336_TESTS_SUPPORT_SMALL_MODEL_H
#define CS336_TESTS_SUPPORT_SMALL_MODEL_H

#include "core/arena.h"
#include "nn/transformer_lm.h"
#include "tests/support/reference_layers.h"

#include <stddef.h>

typedef struct {
    TransformerLM value, grad, first, second;
    ParameterList parameters;
    Arena memory, scratch;
    size_t batch, seq;
} SmallModel;

/** @brief Vocabulary 40, context 16, d_model 16, 2 layers, 2 heads, d_ff 24: the one of make_layer_fixtures.py. */
TransformerLMConfig small_config(void);

/** @brief Binds everything, and as much scratch as loss, gradients and logits of (batch, seq) ids take. */
void small_model_init(SmallModel *model, const TransformerLMConfig *config, size_t batch, size_t seq);
void small_model_deinit(SmallModel *model);

/** @brief ids and targets: rows of seq + 1 hashed ids, and the same shifted by one. */
void small_model_batch(const SmallModel *model, const char *name, TokenTensor *ids, TokenTensor *targets);

/** @brief The weights as double, for the reference. */
ReferenceWeights small_model_widen(const SmallModel *model);

#endif

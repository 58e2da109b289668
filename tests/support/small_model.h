/**
 * @file
 * @brief A model with gradients, moments and scratch memory for tests. Its weights come from the hash (hash_weights.h).
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

/** @brief Vocabulary 40, context 16, d_model 16, 2 layers, 2 heads, d_ff 24, as in make_layer_fixtures.py. */
TransformerLMConfig small_config(void);

/** @brief Makes the model, with enough scratch for the loss, the gradients and the logits of (batch, seq) ids. */
void small_model_init(SmallModel *model, const TransformerLMConfig *config, size_t batch, size_t seq);
void small_model_deinit(SmallModel *model);

/** @brief Makes rows of seq + 1 ids from the hash called @p name: @p ids are the first seq, @p targets the last seq. */
void small_model_batch(const SmallModel *model, const char *name, TokenTensor *ids, TokenTensor *targets);

/** @brief Returns the weights as double, for the reference implementation. */
ReferenceWeights small_model_widen(const SmallModel *model);

#endif

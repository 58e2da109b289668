/**
 * @file
 * @brief Language models small enough for a test, in every variant.
 */
#ifndef CS336_TESTS_SUPPORT_TINY_LM_H
#define CS336_TESTS_SUPPORT_TINY_LM_H

#include "core/arena.h"
#include "nn/transformer_lm.h"

/** @brief Norm placement x position x feed-forward. */
enum { TINY_LM_VARIANTS = 12 };

/** @brief Sizes that are all different; @p variant chooses norm, position and feed-forward. */
TransformerLMConfig tiny_lm_config(int variant);

typedef struct {
    TransformerLM lm;
    Arena memory;
} TinyLM;

/** @brief A model with the handout's initial weights from the seed; from here on one thread, which is fastest for it.
 */
void tiny_lm_init(TinyLM *tiny, const TransformerLMConfig *config, uint64_t seed);
void tiny_lm_deinit(TinyLM *tiny);

#endif

/**
 * @file
 * @brief Language models that are small enough for a test, in every variant.
 */
#ifndef CS336_TESTS_SUPPORT_TINY_LM_H
#define CS336_TESTS_SUPPORT_TINY_LM_H

#include "core/arena.h"
#include "nn/transformer_lm.h"

/** @brief Number of variants: 3 norm placements x 2 position kinds x 2 feed-forward kinds, untied or tied. */
enum { TINY_LM_VARIANTS = 24 };

/** @brief Returns a configuration whose sizes all differ, so that exchanged dimensions are noticed. */
TransformerLMConfig tiny_lm_config(int variant);

/** @brief Returns "norm pre, position rope, ffn swiglu", for labels. The text stays valid until the next call. */
const char *variant_text(const TransformerLMConfig *config);

/** @brief Fails unless all fields are equal. (The bytes of a struct include padding.) */
void assert_same_config(const TransformerLMConfig *actual, const TransformerLMConfig *expected);

typedef struct {
    TransformerLM lm;
    Arena memory;
} TinyLM;

/** @brief Makes a model with the handout's initial weights. Sets one thread, which is fastest for tiny matrices. */
void tiny_lm_init(TinyLM *tiny, const TransformerLMConfig *config, uint64_t seed);
void tiny_lm_deinit(TinyLM *tiny);

#endif

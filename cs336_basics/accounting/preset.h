/**
 * @file
 * @brief The models whose cost the course asks for (handout section 3.5, problem transformer_accounting).
 *
 * They have GPT-2's depths and widths and this codebase's architecture: SwiGLU with d_ff near 8/3 d_model, RMSNorm,
 * RoPE, and an output matrix (lm_head) that is not shared with the token embeddings.
 */
#ifndef CS336_ACCOUNTING_PRESET_H
#define CS336_ACCOUNTING_PRESET_H

#include "core/api.h"
#include "nn/transformer_lm.h"

CS336_API_BEGIN

/** @brief "gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl". NULL ends the list. */
extern const char *const account_preset_names[];

/** @brief Returns the configuration of the preset at @p index in account_preset_names. */
TransformerLMConfig account_preset(size_t index);

CS336_API_END

#endif

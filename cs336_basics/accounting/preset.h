/**
 * @file
 * @brief The models that the course does its accounting on (handout section 3.5, problem transformer_accounting).
 *
 * GPT-2's depths and widths in this codebase's architecture: SwiGLU with d_ff near 8/3 d_model, RMSNorm, RoPE, and an
 * output embedding of its own.
 */
#ifndef CS336_ACCOUNTING_PRESET_H
#define CS336_ACCOUNTING_PRESET_H

#include "nn/transformer_lm.h"

/** @brief "gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl"; NULL ends the list. */
extern const char *const account_preset_names[];

/** @brief The configuration of the preset at @p index in account_preset_names. */
TransformerLMConfig account_preset(size_t index);

#endif

/**
 * @file
 * @brief Drawing the next token from the ids that have one.
 *
 * A model may have ids without a token: it has more ids than its tokenizer, or the tokenizer's file skips some. Such an
 * id has a logit like any other, but no text, so it must not be drawn.
 */
#ifndef CS336_GENERATE_DRAW_H
#define CS336_GENERATE_DRAW_H

#include "core/api.h"
#include "core/arena.h"
#include "core/rng.h"
#include "core/status.h"
#include "core/tensor.h"
#include "generate/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/**
 * @brief Sets the logits of ids that are not drawable to -inf.
 * @param[out] masked    (vocab_size); may be @p logits itself
 * @param[in]  logits    (vocab_size)
 * @param[in]  drawable  (vocab_size) by id, as for draw_token()
 */
void mask_logits(Tensor masked, Tensor logits, const bool *drawable);

/** @brief Returns the bytes of scratch that draw_token() takes. */
size_t draw_scratch(size_t vocab_size);

/**
 * @brief Draws one token as sample_token() does, as if the logits of the ids that are not drawable were -inf.
 * @param[out]    token     its id
 * @param[in]     logits    (vocab_size)
 * @param[in]     drawable  (vocab_size) by id: true if it may be drawn, as tokenizer_find_tokens() sets it; NULL: all
 * @param[in]     config    how to sample
 * @param[in,out] rng       draws one uniform number
 * @param[in]     scratch   draw_scratch() bytes
 * @retval CS336_ERANGE  as sample_token(); also if no id is drawable
 * @retval CS336_ENOMEM  scratch is too small
 * @see test_only_drawable_ids_are_drawn
 */
CS336_MUST_CHECK Status draw_token(int32_t *token, Tensor logits, const bool *drawable, const SampleConfig *config,
                                   Rng *rng, Arena *scratch);

CS336_API_END

#endif

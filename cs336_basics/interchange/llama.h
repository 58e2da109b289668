/**
 * @file
 * @brief Hugging Face's Llama: a directory with config.json and model.safetensors, as transformers' LlamaForCausalLM
 * reads and writes it.
 *
 * Llama is the course's model with other names, and with four differences:
 * - Its RoPE rotates the numbers k and k + d_k/2 of a head, ours 2k and 2k + 1. The rows of the query and key
 *   projections are therefore in another order: an import or export permutes them. Nothing else changes, because a
 *   score is a sum over all rows of a head.
 * - Several heads of queries may share one head of keys and values. An import repeats it, which computes the same.
 * - A head may have more numbers than hidden_size / num_attention_heads; ours has exactly these.
 * - RoPE may be scaled for longer contexts; ours is not.
 *
 * An import refuses what our model cannot compute, and an export refuses a model that Llama cannot. Both say why.
 * @see docs/interchange.md
 */
#ifndef CS336_INTERCHANGE_LLAMA_H
#define CS336_INTERCHANGE_LLAMA_H

#include "core/api.h"
#include "core/status.h"
#include "train/model_checkpoint.h"

#include <stdint.h>

CS336_API_BEGIN

/** @brief The array that every Llama has. */
#define LLAMA_EMBEDDINGS "model.embed_tokens.weight"

enum { LLAMA_NO_TOKEN = -1 /**< llama_export(): the token that ends a text is not known */ };

/**
 * @brief Writes config.json and model.safetensors into a directory, which is made if it does not exist. Both files are
 * complete before the first is replaced.
 * @param[in] directory  a config.json in it is replaced only if it is that of a Llama
 * @param[in] model      a model with pre-norm, RoPE and SwiGLU
 * @param[in] end_token  the id of the token between documents, for bos_token_id and eos_token_id; or LLAMA_NO_TOKEN
 * @retval CS336_EIO      a file cannot be written
 * @retval CS336_EFORMAT  Llama cannot compute this model, or the directory has the config.json of something else
 * @retval CS336_ERANGE   end_token is not an id of the model
 * @retval CS336_ENOMEM
 * @see test_llama_round_trip_is_exact
 */
CS336_MUST_CHECK Status llama_export(const char *directory, const TrainedModel *model, int32_t end_token);

CS336_API_END

#endif

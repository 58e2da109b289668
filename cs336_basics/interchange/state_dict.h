/**
 * @file
 * @brief Weights alone, as PyTorch's `model.state_dict()` in a safetensors file with the names of the course.
 *
 * - An export has float32 arrays and no optimizer state. `load_state_dict(load_file(path), strict=True)` takes it. Its
 *   metadata has "format": "pt", which safetensors.torch expects, and "config.KEY" for each field of the configuration.
 * - With tied embeddings PyTorch's state dict has the matrix under both names, and so does the export. An import takes
 *   either name alone: safetensors.torch.save_model() keeps lm_head.weight, a checkpoint token_embeddings.weight.
 * - An import reads F32, BF16, F16 and F64. The shapes say vocab_size, d_model, num_layers, d_ff, and whether the model
 *   has a gate (SwiGLU), norms, and tied embeddings.
 * - What shapes cannot say comes from the metadata of an export, else from config.json beside the file (with the names
 *   of train/run_config.h), else from the options, else it is the course's value. num_heads has no such value. What two
 *   of them say must be the same (model_settings.h).
 * @see docs/interchange.md
 */
#ifndef CS336_INTERCHANGE_STATE_DICT_H
#define CS336_INTERCHANGE_STATE_DICT_H

#include "core/api.h"
#include "core/status.h"
#include "train/model_checkpoint.h"

CS336_API_BEGIN

/** @brief The array that every state dict of the course's model has. The embeddings may be missing, if they are tied.
 */
#define STATE_DICT_QUERIES "layers.0.attn.q_proj.weight"

/**
 * @brief Writes the weights of a model as a state dict.
 * @retval CS336_EIO     the file cannot be written
 * @retval CS336_ENOMEM
 * @see test_state_dict_round_trip_is_exact
 */
CS336_MUST_CHECK Status state_dict_export(const char *path, const TrainedModel *model);

CS336_API_END

#endif

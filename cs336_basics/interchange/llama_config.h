/**
 * @file
 * @brief The config.json of Hugging Face's Llama: reads it as a configuration of ours, and writes it.
 *
 * transformers has moved and renamed settings: rope_theta stands beside the sizes, or inside "rope_parameters"; the
 * type of the weights is "torch_dtype" or "dtype". Both forms are read, and both are written.
 */
#ifndef CS336_INTERCHANGE_LLAMA_CONFIG_H
#define CS336_INTERCHANGE_LLAMA_CONFIG_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "nn/transformer_lm.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

#define LLAMA_CONFIG_NAME "config.json" /**< the file's name in the directory */

/** @brief What a config.json says. */
typedef struct {
    TransformerLMConfig model; /**< as a configuration of ours; context_length is max_position_embeddings */
    size_t key_value_heads;    /**< heads of keys and values; divides model.num_heads */
} LlamaConfig;

/**
 * @brief Reads a config.json.
 * @retval CS336_EIO, CS336_ENOMEM  as json_read()
 * @retval CS336_EFORMAT  it is not that of a Llama, a size is missing, or it has a setting that our model cannot
 *                        compute; the message names the setting
 */
CS336_MUST_CHECK Status llama_config_read(LlamaConfig *config, const char *path);

/** @brief Writes the config.json of a model; @p end_token as for llama_export(). @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status llama_config_write(FileWriter *writer, const TransformerLMConfig *model, int32_t end_token);

/**
 * @brief Checks that a config.json may be replaced: there is none, or it is that of a Llama.
 * @retval CS336_EFORMAT  it belongs to something else, such as a training run
 * @retval CS336_EIO, CS336_ENOMEM  as json_read()
 */
CS336_MUST_CHECK Status llama_config_may_replace(const char *path);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief Collects the settings of a model from the sources of an import: arrays, metadata, config.json, a header, and
 * the caller's options.
 *
 * One rule holds for all forms of weights:
 * - Sources that contradict each other are refused, in one line with both values. So an option can say what the files
 *   do not say, and it may repeat what they say, but it cannot change the model.
 * - Only the context length can be chosen, because no weight depends on it: RoPE computes the angles of any position.
 *   An option may ask for fewer tokens than the files say. It may not ask for more, because the model has not learned
 *   later positions; `cs336 train --init-from FILE --context-length N` can teach them.
 *
 * The collection remembers its first failure, so that a caller adds one setting after the other and checks `status`
 * once, at the end. After a failure the functions do nothing.
 */
#ifndef CS336_INTERCHANGE_MODEL_SETTINGS_H
#define CS336_INTERCHANGE_MODEL_SETTINGS_H

#include "core/api.h"
#include "core/status.h"
#include "interchange/import.h"
#include "nn/transformer_lm.h"
#include "train/checkpoint.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

enum { MODEL_SETTINGS = 12 /**< fields of TransformerLMConfig but dtype: an import always computes in float32 */ };

/** @brief The settings that are known so far. Initialise it with `.path`. */
typedef struct {
    const char *path;                    /**< of the weights, for messages */
    TransformerLMConfig config;          /**< the values of the known settings; the others are 0 */
    const char *sources[MODEL_SETTINGS]; /**< who says each one, such as "its metadata"; NULL: not known */
    Status status;                       /**< the first failure; CS336_EFORMAT for a contradiction */
} ModelSettings;

/**
 * @brief Adds a setting, or checks that it is what an earlier source has said.
 * @param key     name of the field in TransformerLMConfig
 * @param said    has the value in this field
 * @param source  its name for messages: "num_heads is 4 in SOURCE, but 2 in the options". The string must outlive
 *                the settings
 */
void model_settings_add(ModelSettings *settings, const char *key, const TransformerLMConfig *said, const char *source);

/** @brief Adds all settings, as model_settings_add(). */
void model_settings_add_all(ModelSettings *settings, const TransformerLMConfig *said, const char *source);

/** @brief Adds those settings that the metadata of a safetensors file has (model_config_read_some()). */
void model_settings_add_metadata(ModelSettings *settings, const CheckpointFile *file, const char *source);

/** @brief Adds the options that are given, after all files. */
void model_settings_add_options(ModelSettings *settings, const ImportOptions *options);

/** @brief Returns the source of a setting; NULL if it is not known. */
const char *model_settings_source(const ModelSettings *settings, const char *key);

/** @brief True if all settings are known. */
bool model_settings_complete(const ModelSettings *settings);

/**
 * @brief Returns the first failure, or that of transformer_lm_check() with the path before its message.
 * @retval CS336_EFORMAT, CS336_ESHAPE, CS336_ERANGE
 */
CS336_MUST_CHECK Status model_settings_check(const ModelSettings *settings);

CS336_INTERNAL_END

#endif

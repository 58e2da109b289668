/**
 * @file
 * @brief A Transformer LM's configuration in a checkpoint, and the model back from the file alone.
 */
#ifndef CS336_TRAIN_MODEL_CHECKPOINT_H
#define CS336_TRAIN_MODEL_CHECKPOINT_H

#include "core/api.h"
#include "core/arena.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "nn/transformer_lm.h"
#include "train/checkpoint.h"

CS336_API_BEGIN

/** @brief Names of NormPlacement, PositionKind, FeedForwardKind and DType in their order, ended by NULL. */
extern const char *const norm_names[], *const position_names[], *const ffn_names[], *const dtype_names[];

enum { MODEL_CONFIG_KEYS = 12 };

/** @brief A configuration as the strings that a checkpoint holds; pairs points into values and must stay with it. */
typedef struct {
    char values[MODEL_CONFIG_KEYS][32];
    SafetensorsText pairs[MODEL_CONFIG_KEYS];
} ModelConfigText;

/** @brief Writes every field of the configuration, named as in TransformerLMConfig. */
void model_config_text(ModelConfigText *text, const TransformerLMConfig *config);

/**
 * @brief Reads the configuration back, and checks that such a model can exist.
 * @retval CS336_EFORMAT  a key is missing or its value not understood
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 */
CS336_MUST_CHECK Status model_config_read(TransformerLMConfig *config, const CheckpointFile *file);

/** @brief A model for inference, which is in float32 whatever dtype it was trained in. */
typedef struct {
    TransformerLM lm;
    size_t iteration; /**< training steps behind it */
    Arena memory;     /**< owns weights and RoPE tables */
} TrainedModel;

/**
 * @brief Loads the weights of a checkpoint, without optimizer state.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, damaged, or not the checkpoint of a language model
 * @retval CS336_ESHAPE, CS336_ERANGE  its configuration is of no model that can exist, or not that of its weights
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trained_model_load(TrainedModel *model, const char *path);
void trained_model_deinit(TrainedModel *model);

CS336_API_END

#endif

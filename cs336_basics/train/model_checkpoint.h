/**
 * @file
 * @brief Stores the configuration of a Transformer LM in its checkpoint, and loads a model from a checkpoint file
 * alone.
 *
 * The checkpoint of a model with tied embeddings has the matrix once, as token_embeddings.weight, and its configuration
 * says tie_embeddings = true. PyTorch's state dict has the matrix under both names, and so has what `cs336 export
 * --weights-only` writes (interchange/state_dict.h).
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

/**
 * @name Names of the values of enums
 * They are in the order of the enum, and end with NULL. Checkpoints and command lines use them.
 * @{
 */
extern const char *const norm_names[];     /**< of NormPlacement: "pre", "post", "none" */
extern const char *const position_names[]; /**< of PositionKind: "rope", "none" */
extern const char *const ffn_names[];      /**< of FeedForwardKind: "swiglu", "silu" */
extern const char *const dtype_names[];    /**< of DType: "float32", "bf16", "bf16x3" */
/** @} */

enum { MODEL_CONFIG_KEYS = 13 /**< fields of TransformerLMConfig */ };

/** @brief A configuration as strings for a checkpoint. `pairs` points into `values`, so the struct cannot be copied. */
typedef struct {
    char values[MODEL_CONFIG_KEYS][32];       /**< texts that end in a zero byte; the longest has 20 digits */
    SafetensorsText pairs[MODEL_CONFIG_KEYS]; /**< for Checkpoint.config */
    size_t count;                             /**< of the pairs that are used */
} ModelConfigText;

/**
 * @brief Converts each field of the configuration to a string. Its key is the field's name in TransformerLMConfig.
 *
 * `tie_embeddings` has a pair only if it is true. A checkpoint without it is one of an untied model.
 */
void model_config_text(ModelConfigText *text, const TransformerLMConfig *config);

/**
 * @brief Reads the configuration from a checkpoint, and checks it with transformer_lm_check().
 * @retval CS336_EFORMAT  a key is missing, or its value is not a number or name that it may have
 * @retval CS336_ESHAPE, CS336_ERANGE  from transformer_lm_check()
 */
CS336_MUST_CHECK Status model_config_read(TransformerLMConfig *config, const CheckpointFile *file);

/**
 * @brief Reads those fields that the metadata has, for weights that need not say all of them. It checks each field
 * alone.
 * @param[out] config  the other fields are 0
 * @retval CS336_EFORMAT  a value is not a number or name that it may have
 */
CS336_MUST_CHECK Status model_config_read_some(TransformerLMConfig *config, const CheckpointFile *file);

/** @brief A field in which two configurations differ. */
typedef struct {
    const char *key;  /**< name of the field; NULL if the configurations are equal */
    char value[32],   /**< the field, as in a checkpoint */
        expected[32]; /**< what it should be */
} ModelConfigDifference;

/** @brief Finds the first field of @p config that differs from that of @p expected. */
ModelConfigDifference model_config_difference(const TransformerLMConfig *config, const TransformerLMConfig *expected);

/**
 * @brief Reads the configuration of the model in a checkpoint file.
 * @retval CS336_EIO, CS336_ENOMEM    as checkpoint_open()
 * @retval CS336_EFORMAT              as checkpoint_open() and model_config_read()
 * @retval CS336_ESHAPE, CS336_ERANGE  as model_config_read()
 */
CS336_MUST_CHECK Status model_config_load(TransformerLMConfig *config, const char *path);

/** @brief A model for inference. It computes in float32, also if it was trained with another dtype. */
typedef struct {
    TransformerLM lm;         /**< weights and RoPE tables, which point into memory */
    ParameterList parameters; /**< the weights by name, without gradients and moments */
    size_t iteration;         /**< training steps done */
    Arena memory;             /**< owns weights, RoPE tables and the list */
} TrainedModel;

/**
 * @brief Makes a model whose weights are 0, for a caller that fills them from another format.
 * @param[out] model   zeroed on failure; free it with trained_model_deinit()
 * @param[in]  config  its dtype is taken as float32
 * @param[in]  path    of the other format's file, for messages
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM  this machine has less memory than the model needs
 * @see test_created_model_is_saved_and_loaded
 */
CS336_MUST_CHECK Status trained_model_create(TrainedModel *model, const TransformerLMConfig *config, const char *path);

/**
 * @brief Saves configuration, weights and iteration as a checkpoint without optimizer state, which
 * trained_model_load() and `cs336 train --init-from` read.
 * @retval CS336_EIO, CS336_ERANGE, CS336_ENOMEM  as checkpoint_save()
 */
CS336_MUST_CHECK Status trained_model_save(const char *path, const TrainedModel *model);

/**
 * @brief Loads the weights of a checkpoint, without optimizer state.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, damaged, or not the checkpoint of a language model
 * @retval CS336_ESHAPE, CS336_ERANGE  its configuration is invalid, or does not fit the shapes of its weights
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status trained_model_load(TrainedModel *model, const char *path);

/** @brief Frees the weights; a zeroed model is fine. */
void trained_model_deinit(TrainedModel *model);

CS336_API_END

#endif

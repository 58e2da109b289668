/**
 * @file
 * @brief The options that describe a model, for the commands that create one.
 */
#ifndef CS336_CLI_MODEL_OPTIONS_H
#define CS336_CLI_MODEL_OPTIONS_H

#include "cli/options.h"
#include "core/api.h"
#include "nn/transformer_lm.h"
#include "train/model_checkpoint.h"

CS336_INTERNAL_BEGIN

/** @brief The targets of the model's options. transformer_lm_check() has the same limits, and says whether the sizes
 * fit together. */
typedef struct {
    size_t vocab_size,   /**< entries of the vocabulary */
        context_length,  /**< tokens that the model sees at once */
        d_model,         /**< length of a token's vector */
        num_layers,      /**< Transformer blocks */
        num_heads;       /**< must divide d_model */
    size_t d_ff;         /**< 0: not given; then it follows from d_model and ffn */
    double rope_theta;   /**< base of RoPE's angles */
    double norm_eps;     /**< RMSNorm's epsilon */
    int norm,            /**< a NormPlacement: the index of the given name in norm_names */
        position,        /**< a PositionKind, likewise in position_names */
        ffn;             /**< a FeedForwardKind, likewise in ffn_names */
    bool tie_embeddings; /**< lm_head is the matrix of the embeddings */
} ModelOptions;

/** @brief The defaults: the course's model for TinyStories. */
#define MODEL_OPTIONS_DEFAULT                                                                         \
    {                                                                                                 \
        .vocab_size = 10000, .context_length = 256, .d_model = 512, .num_layers = 4, .num_heads = 16, \
        .rope_theta = 1e4, .norm_eps = 1e-5                                                           \
    }

/** @brief Lines of an option table whose targets are the fields of the ModelOptions @p m. */
#define MODEL_OPTION_LINES(m)                                                                                      \
    OPTION_HEADING("Model"),                                                                                       \
        OPTION_SIZE_UP_TO("vocab-size", &(m).vocab_size, "N", 1, TRANSFORMER_LM_MAX_SIZE,                          \
                          "entries of the vocabulary"),                                                            \
        OPTION_SIZE_UP_TO("context-length", &(m).context_length, "N", 1, TRANSFORMER_LM_MAX_CONTEXT,               \
                          "tokens that the model sees at once"),                                                   \
        OPTION_SIZE_UP_TO("d-model", &(m).d_model, "N", 1, TRANSFORMER_LM_MAX_SIZE, "length of a token's vector"), \
        OPTION_SIZE_UP_TO("num-layers", &(m).num_layers, "N", 1, TRANSFORMER_LM_MAX_LAYERS, "Transformer blocks"), \
        OPTION_SIZE_UP_TO("num-heads", &(m).num_heads, "N", 1, TRANSFORMER_LM_MAX_SIZE,                            \
                          "attention heads; must divide d-model"),                                                 \
        OPTION_SIZE_UNSHOWN_UP_TO(                                                                                 \
            "d-ff", &(m).d_ff, "N", 1, TRANSFORMER_LM_MAX_D_FF,                                                    \
            "hidden size of the feed-forward network (default: 8/3 of d-model, rounded to a multiple "             \
            "of 64; with --ffn silu: 4 times d-model)"),                                                           \
        OPTION_NUMBER("rope-theta", &(m).rope_theta, "X", TRANSFORMER_LM_MIN_ROPE_THETA,                           \
                      TRANSFORMER_LM_MAX_ROPE_THETA, "base of the rotary position embedding"),                     \
        OPTION_NUMBER("norm-eps", &(m).norm_eps, "X", TRANSFORMER_LM_MIN_NORM_EPS, TRANSFORMER_LM_MAX_NORM_EPS,    \
                      "epsilon of RMSNorm"),                                                                       \
        OPTION_CHOICE("norm", &(m).norm, norm_names, "pre|post|none",                                              \
                      "RMSNorm before each sub-layer, after each, or none"),                                       \
        OPTION_CHOICE("position", &(m).position, position_names, "rope|none",                                      \
                      "position information: rotary embedding or none"),                                           \
        OPTION_CHOICE("ffn", &(m).ffn, ffn_names, "swiglu|silu",                                                   \
                      "feed-forward network: with a gate (SwiGLU), or plain with SiLU"),                           \
        OPTION_FLAG("tie-embeddings", &(m).tie_embeddings,                                                         \
                    "the LM head multiplies by the token embeddings: one matrix in place of two")

/** @brief Returns the configuration that the options describe. transformer_lm_check() says whether it is valid. */
TransformerLMConfig model_options_config(const ModelOptions *options);

/** @brief Sets the options to those of a model. They have no norm_eps. */
void model_options_set(ModelOptions *options, const TransformerLMConfig *config);

/**
 * @brief Checks that options describe the model of a checkpoint, of which only context_length and dtype may change.
 * @param config  what the options describe
 * @param model   the model of the checkpoint
 * @param path    the checkpoint, for the message
 * @retval CS336_EFORMAT  the message names the first option that disagrees
 */
CS336_MUST_CHECK Status model_options_agree(const TransformerLMConfig *config, const TransformerLMConfig *model,
                                            const char *path);

/** @brief Prints a title and, in two lines that begin at @p column, "vocab 10000, context 256, ...". */
void model_config_print(const char *title, int column, const TransformerLMConfig *config);

/**
 * @brief Formats a count for people: "640", "22.5 K", "1.64 G", and from 1e24 on "3.23e+30". A number with a fraction,
 * such as a speed, is "2.75" or "6.37e-06".
 * @return one of four static buffers in turn: at most four results can be in use at a time
 */
const char *count_text(double count);

/** @brief A number of bytes for people. */
typedef struct {
    char text[40]; /**< ends in a zero byte */
} BytesText;

/** @brief Formats a number of bytes: "640 B", "22.5 KB", "1.64 GB", and from 1e24 on "3.23e+30 B". */
BytesText bytes_text(double bytes);

CS336_INTERNAL_END

#endif

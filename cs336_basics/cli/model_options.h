/**
 * @file
 * @brief The options that describe a model, for the commands that make one.
 */
#ifndef CS336_CLI_MODEL_OPTIONS_H
#define CS336_CLI_MODEL_OPTIONS_H

#include "cli/options.h"
#include "nn/transformer_lm.h"
#include "train/model_checkpoint.h"

typedef struct {
    size_t vocab_size, context_length, d_model, num_layers, num_heads;
    size_t d_ff; /**< 0: not given, follows from d_model */
    double rope_theta;
    int norm, position, ffn; /**< as NormPlacement, PositionKind, FeedForwardKind */
} ModelOptions;

/** @brief The course's model for TinyStories. */
#define MODEL_OPTIONS_DEFAULT                                                                         \
    {                                                                                                 \
        .vocab_size = 10000, .context_length = 256, .d_model = 512, .num_layers = 4, .num_heads = 16, \
        .rope_theta = 1e4                                                                             \
    }

/** @brief Lines of an option table that fill the ModelOptions @p m. */
#define MODEL_OPTION_LINES(m)                                                                                    \
    OPTION_HEADING("Model"), OPTION_SIZE("vocab-size", &(m).vocab_size, "N", 1, "entries of the vocabulary"),    \
        OPTION_SIZE("context-length", &(m).context_length, "N", 1, "tokens that the model sees"),                \
        OPTION_SIZE("d-model", &(m).d_model, "N", 1, "width"),                                                   \
        OPTION_SIZE_UP_TO("num-layers", &(m).num_layers, "N", 1, 1 << 16, "Transformer blocks"),                 \
        OPTION_SIZE("num-heads", &(m).num_heads, "N", 1, "attention heads, dividing the width"),                 \
        OPTION_SIZE_UNSHOWN("d-ff", &(m).d_ff, "N", 1,                                                           \
                            "width of the feed-forward network (default 8/3 d-model to a multiple of 64; silu: " \
                            "4 d-model)"),                                                                       \
        OPTION_NUMBER("rope-theta", &(m).rope_theta, "X", 1e-3, 1e30, "base of the rotary position embedding"),  \
        OPTION_CHOICE("norm", &(m).norm, norm_names, "pre|post|none", "place of the norms"),                     \
        OPTION_CHOICE("position", &(m).position, position_names, "rope|none", "position embedding"),             \
        OPTION_CHOICE("ffn", &(m).ffn, ffn_names, "swiglu|silu", "form of the feed-forward network")

/** @brief The configuration that the options describe; whether it can exist is transformer_lm_check()'s to say. */
TransformerLMConfig model_options_config(const ModelOptions *options);

/** @brief Prints a title, and in two lines from @p column on "vocab 10000, context 256, ...". */
void model_config_print(const char *title, int column, const TransformerLMConfig *config);

/** @brief Writes a count for people: "640", "22.5 K", "1.64 G"; one of a few buffers in turn. */
const char *count_text(double count);

#endif

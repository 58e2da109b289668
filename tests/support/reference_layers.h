/**
 * @file
 * @brief Textbook forward passes of the layers and of the whole model in double precision; see reference.h.
 *
 * Arrays are contiguous; `rows` stands for all leading dimensions together. A weight that the model does not have is
 * NULL.
 */
#ifndef CS336_TESTS_SUPPORT_REFERENCE_LAYERS_H
#define CS336_TESTS_SUPPORT_REFERENCE_LAYERS_H

#include "nn/transformer_lm.h"

#include <stddef.h>
#include <stdint.h>

/** @brief y = W x for each row, W (d_out, d_in). */
void reference_linear(double *y, const double *x, const double *weight, size_t rows, size_t d_in, size_t d_out);

/** @brief x / sqrt(mean(x^2) + eps) * gain for each row of n. */
void reference_rmsnorm(double *y, const double *x, const double *gain, size_t rows, size_t n, double eps);

/** @brief Rotates pair k of each row by position * theta^(-2k / d_k). */
void reference_rope(double *y, const double *x, const int32_t *positions, size_t rows, size_t d_k, double theta);

/** @brief W2 (silu(W1 x) * W3 x), or W2 silu(W1 x) when w3 is NULL. */
void reference_feed_forward(double *y, const double *x, const double *w1, const double *w2, const double *w3,
                            size_t rows, size_t d_model, size_t d_ff);

/** @brief Sizes of one attention layer. A theta of 0 means no rotation (RoPE). */
typedef struct {
    size_t batch, seq, d_model, heads;
    double theta;
} ReferenceAttention;

/** @brief Causal self-attention; positions (batch, seq), or NULL for 0 .. seq - 1. */
void reference_mha(double *y, const double *x, const double *q, const double *k, const double *v, const double *output,
                   const int32_t *positions, ReferenceAttention sizes);

/** @brief Weights by state-dict name, without the layer's prefix for a block. */
typedef struct {
    size_t count;
    const char *const *names;
    double **values;
} ReferenceWeights;

/** @brief The weight called prefix + name, or NULL. */
double *reference_weight(const ReferenceWeights *weights, const char *prefix, const char *name);

/** @brief One layer, its weights called prefix + "attn.q_proj.weight" and so on. */
void reference_block(double *y, const double *x, const ReferenceWeights *weights, const char *prefix, size_t batch,
                     size_t seq, const TransformerLMConfig *config);

/** @brief Logits (batch, seq, vocab_size). */
void reference_transformer_lm(double *logits, const int32_t *ids, const ReferenceWeights *weights, size_t batch,
                              size_t seq, const TransformerLMConfig *config);

#endif

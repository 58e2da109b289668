/**
 * @file
 * @brief The loss of a whole model and its gradients in double precision, with the mistakes of a backward pass; and the
 * list of a model's weights, which the checker's cases share.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_PLAIN_MODEL_H
#define CS336_TESTS_EXERCISES_CHECKER_PLAIN_MODEL_H

#include "tests/exercises/checker/plain_layers.h"

#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_LAYERS = 3,                                 /* layers of a model at most */
    MODEL_WEIGHTS = 3 + MODEL_LAYERS * LAYER_WEIGHTS, /* embeddings, those of the layers, final norm, lm_head */
};

/** @name Indices in the list of a model's weights, in the order of transformer_lm_parameters(). Those of a weight that
 * the model does not have are NULL.
 * @{
 */
enum { EMBEDDINGS = 0 };
size_t layer_weights(size_t layer); /**< of the layer's first weight */
size_t ln_final(const TransformerLMConfig *config);
size_t lm_head(const TransformerLMConfig *config);
size_t model_weights(const TransformerLMConfig *config); /**< the length of the list */
/** @} */

/** @brief Logits (batch, seq, vocab_size) by reference_transformer_lm(). */
void plain_logits(double *logits, double *const weights[], const int32_t *ids, PlainSizes sizes);

/** @brief What goes wrong in a backward pass of the model. The name says what the learner's model does. */
typedef enum {
    NO_MISTAKE,
    TARGETS_ARE_THE_INPUTS,
    HEAD_READS_BEFORE_THE_NORM,
    FINAL_NORM_LEFT_OUT,
    LAYERS_FROM_FIRST_TO_LAST,
    FIRST_LAYER_LEFT_OUT,
    LAYERS_READ_THEIR_OUTPUT,
    EMBEDDINGS_LEFT_OUT,
    EMBEDDINGS_OF_THE_TARGETS,
} LossMistake;

/**
 * @brief Returns the mean cross-entropy, and adds its gradients.
 * @param[in,out] grads  as @p weights; NULL: only the loss
 */
double plain_loss(double *const grads[], double *const weights[], const int32_t *ids, const int32_t *targets,
                  PlainSizes sizes, LossMistake mistake);

#endif

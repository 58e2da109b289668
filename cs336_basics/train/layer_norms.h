/**
 * @file
 * @brief Measures the size of the numbers in each layer during a step of training: of its output, of its weights and of
 * their gradients.
 *
 * The size is the root mean square (RMS), the L2 norm divided by the square root of the count, so that layers and
 * models of different sizes can be compared. Gradients that shrink from layer to layer, or outputs that grow from step
 * to step, show here before the loss does.
 */
#ifndef CS336_TRAIN_LAYER_NORMS_H
#define CS336_TRAIN_LAYER_NORMS_H

#include "core/api.h"
#include "core/arena.h"
#include "core/parameter.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief The sizes of a step. Embeddings, final norm and lm_head belong to no layer and are not measured. */
typedef struct {
    size_t num_layers;    /**< layers of the model; 0: nothing was measured */
    double *outputs,      /**< (num_layers) RMS of the residual stream after the layer, over all tokens of the batch */
        *weights,         /**< (num_layers) RMS of all weights of the layer together, before the update */
        *gradients;       /**< (num_layers) RMS of their gradients, before clipping */
    double *output_count; /**< (num_layers) numbers of the layer's outputs that were added so far */
} LayerNorms;

/** @brief Takes memory for the sizes from the arena. @retval CS336_ENOMEM  the arena is full */
CS336_MUST_CHECK Status layer_norms_bind(LayerNorms *norms, Arena *arena, size_t num_layers);

/** @brief Sets all sizes to 0, before a step. */
void layer_norms_clear(LayerNorms *norms);

/**
 * @brief Adds the squares of a layer's output, of one piece of the batch. It is a GradientObserver's `output` function.
 * @param context  the LayerNorms
 * @param layer    number of the layer
 * @param output   (..., d_model), contiguous
 */
void layer_norms_add_output(void *context, size_t layer, Tensor output);

/**
 * @brief Turns the sums of the outputs of all ranks into their RMS, and measures weights and gradients. Collective
 * (distributed/ranks.h).
 * @param parameters   those of the model, with names that begin with "layers.N."; or pieces of them with their names
 * @param shared       true if the pieces of all ranks together are the model
 * @param grad_factor  by which the gradients must be multiplied to be those of the batch's mean loss
 */
void layer_norms_finish(LayerNorms *norms, ParameterList parameters, bool shared, double grad_factor);

CS336_API_END

#endif

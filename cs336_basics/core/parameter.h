/**
 * @file
 * @brief A list of named tensors: all that the optimizer, clipping and checkpoints know of a model.
 */
#ifndef CS336_CORE_PARAMETER_H
#define CS336_CORE_PARAMETER_H

#include "core/api.h"
#include "core/tensor.h"

CS336_API_BEGIN

/** @brief One trainable tensor; all four views have the same shape. */
typedef struct {
    const char *name;     /**< PyTorch's state-dict name, such as "layers.0.attn.q_proj.weight" */
    Tensor value;         /**< contiguous */
    Tensor grad;          /**< contiguous; data NULL: frozen, skipped by optimizer and clipping */
    Tensor first_moment;  /**< AdamW's m; data NULL where there is no optimizer state */
    Tensor second_moment; /**< AdamW's v */
} Parameter;

typedef struct {
    Parameter *items;
    size_t count;
} ParameterList;

/** @brief Sets every gradient to zero. */
void parameters_zero_grad(ParameterList parameters);

CS336_API_END

#endif

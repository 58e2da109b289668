/**
 * @file
 * @brief A list of named tensors. Optimizer, clipping and checkpoints see a model only as this list.
 */
#ifndef CS336_CORE_PARAMETER_H
#define CS336_CORE_PARAMETER_H

#include "core/api.h"
#include "core/tensor.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief A trainable tensor. Its four views have the same shape. */
typedef struct {
    const char *name;     /**< as in PyTorch's state_dict: "layers.0.attn.q_proj.weight" */
    Tensor value;         /**< contiguous */
    Tensor grad;          /**< contiguous; data NULL if frozen: optimizer and clipping skip it */
    Tensor first_moment;  /**< AdamW's m; data NULL if there is no optimizer state */
    Tensor second_moment; /**< AdamW's v; data NULL likewise */
    bool no_decay;        /**< true: AdamW's weight decay leaves it alone, as in a PyTorch group with weight_decay 0 */
} Parameter;

/** @brief A list of parameters. It does not own them: copying the struct makes another view of the same list. */
typedef struct {
    Parameter *items; /**< (count), in memory of the caller */
    size_t count;     /**< number of tensors, not of numbers */
} ParameterList;

/** @brief Sets every gradient to zero. */
void parameters_zero_grad(ParameterList parameters);

CS336_API_END

#endif

/*
 * Softmax, backward. Every score moves every probability: dy_i/dx_j = y_i ((i = j) - y_j). Summed over i,
 *
 *     dL/dx_j = y_j (dL/dy_j - sum_i dL/dy_i y_i)
 */
#include "nn/functional.h"

#include "tests/exercises/learn.h"

Status softmax_backward(Tensor grad_x, Tensor grad_y, Tensor y, int dimension)
{
    if (nn_check_same_shape(grad_y, y) || nn_check_same_shape(grad_x, y))
        return CS336_ESHAPE;
    if (dimension < -y.rank || dimension >= y.rank)
        return status_fail(CS336_ESHAPE, "softmax_backward: no dimension %d, y is %s", dimension, tensor_shape_text(y));

    /* As in the forward pass, let the dimension be the last one. */
    grad_x = tensor_transpose(grad_x, dimension, -1);
    grad_y = tensor_transpose(grad_y, dimension, -1);
    y = tensor_transpose(y, dimension, -1);
    for (size_t i = 0; i < rows(y); i++) {
        /* sum_i grad_y_i y_i, one number for the row */
        float dot = 0;
        for (size_t j = 0; j < columns(y); j++)
            dot += *at(grad_y, i, j) * *at(y, i, j);

        /* grad_x_j = y_j (grad_y_j - dot) */
        for (size_t j = 0; j < columns(y); j++)
            *at(grad_x, i, j) = *at(y, i, j) * (*at(grad_y, i, j) - dot);
    }
    return CS336_OK;
}

/*
 * Linear, backward. Forward was y_no = sum_i x_ni W_oi, so
 *
 *     dL/dx_ni = sum_o dL/dy_no W_oi        x_ni moves every output of its row
 *     dL/dW_oi = sum_n dL/dy_no x_ni        W_oi moves output o of every row
 */
#include "nn/linear.h"

#include "tests/exercises/learn.h"

Status linear_backward_add(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    const Tensor weight = linear->weight, grad_weight = grad->weight; /* (d_out, d_in) */
    if (nn_check_last(grad_y, x, weight.shape[0]) || nn_check_last(x, x, weight.shape[1]) ||
        (grad_x.data && nn_check_same_shape(grad_x, x)) ||
        (grad_weight.data && nn_check_same_shape(grad_weight, weight)))
        return CS336_ESHAPE;

    for (size_t n = 0; n < rows(x); n++)
        for (size_t o = 0; o < columns(grad_y); o++) {
            const float g = *at(grad_y, n, o);
            /* grad_x_ni += grad_y_no W_oi */
            for (size_t i = 0; grad_x.data && i < columns(x); i++)
                *at(grad_x, n, i) += g * *at(weight, o, i);
            /* grad_weight_oi += grad_y_no x_ni */
            for (size_t i = 0; grad_weight.data && i < columns(x); i++)
                *at(grad_weight, o, i) += g * *at(x, n, i);
        }
    return CS336_OK;
}

/* Overwriting is adding to zeros. */
Status linear_backward(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    if (grad_x.data)
        tensor_fill(grad_x, 0);
    return linear_backward_add(grad_x, grad, grad_y, x, linear);
}

/*
 * Log-sum-exp, backward. l = log sum_j e^(x_j), so dl/dx_j = e^(x_j) / sum_k e^(x_k) = e^(x_j - l): the gradient is the
 * softmax.
 */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

Status log_sum_exp_backward(Tensor grad_x, Tensor grad_log_sum_exp, Tensor log_sum_exp, Tensor x)
{
    if (nn_check_same_shape(grad_x, x) || nn_check_last(grad_log_sum_exp, x, 1) || nn_check_last(log_sum_exp, x, 1) ||
        nn_check_rows_contiguous(x) || nn_check_rows_contiguous(grad_x))
        return CS336_ESHAPE;

    for (size_t i = 0; i < rows(x); i++) {
        const float l = *at(log_sum_exp, i, 0), g = *at(grad_log_sum_exp, i, 0);
        for (size_t j = 0; j < columns(x); j++)
            row(grad_x, i)[j] = g * expf(row(x, i)[j] - l);
    }
    return CS336_OK;
}

/* SiLU, backward. With p = sigmoid(x), whose slope is p (1 - p): y = x p, so dy/dx = p + x p (1 - p). */
#include "nn/functional.h"

#include "tests/exercises/learn.h"

#include <math.h>

Status silu_backward(Tensor grad_x, Tensor grad_y, Tensor x)
{
    if (nn_check_same_shape(grad_x, x) || nn_check_same_shape(grad_y, x) || nn_check_rows_contiguous(x) ||
        nn_check_rows_contiguous(grad_y) || nn_check_rows_contiguous(grad_x))
        return CS336_ESHAPE;

    for (size_t i = 0; i < rows(x); i++)
        for (size_t j = 0; j < columns(x); j++) {
            const float u = row(x, i)[j], p = 1 / (1 + expf(-u));
            row(grad_x, i)[j] = row(grad_y, i)[j] * (p + u * p * (1 - p));
        }
    return CS336_OK;
}

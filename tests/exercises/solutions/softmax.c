/* Softmax: y_i = e^(x_i - m) / sum_j e^(x_j - m) with m = max_j x_j. */
#include "nn/functional.h"

#include "tests/exercises/learn.h"

#include <math.h>

Status softmax_forward(Tensor y, Tensor x, int dimension)
{
    if (nn_check_same_shape(y, x))
        return CS336_ESHAPE;
    if (dimension < -x.rank || dimension >= x.rank)
        return status_fail(CS336_ESHAPE, "softmax_forward: no dimension %d, x is %s", dimension, tensor_shape_text(x));

    /* Let the dimension be the last one, so that each row sums to 1. This changes the views, not the numbers. */
    x = tensor_transpose(x, dimension, -1);
    y = tensor_transpose(y, dimension, -1);
    for (size_t i = 0; i < rows(x); i++) {
        /* m = max_j x_j. No exponent is then above 0, and nothing can overflow. */
        float max = -INFINITY;
        for (size_t j = 0; j < columns(x); j++)
            max = fmaxf(max, *at(x, i, j));

        /* y_j = e^(x_j - m), and their sum */
        float sum = 0;
        for (size_t j = 0; j < columns(x); j++) {
            *at(y, i, j) = expf(*at(x, i, j) - max);
            sum += *at(y, i, j);
        }

        /* y_j /= sum */
        for (size_t j = 0; j < columns(x); j++)
            *at(y, i, j) /= sum;
    }
    return CS336_OK;
}

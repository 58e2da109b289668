/* SiLU: y = x sigmoid(x) = x / (1 + e^-x), element by element. */
#include "nn/functional.h"

#include "tests/exercises/learn.h"

#include <math.h>

Status silu_forward(Tensor y, Tensor x)
{
    if (nn_check_same_shape(y, x) || nn_check_rows_contiguous(x) || nn_check_rows_contiguous(y))
        return CS336_ESHAPE;

    for (size_t i = 0; i < rows(x); i++)
        for (size_t j = 0; j < columns(x); j++)
            row(y, i)[j] = row(x, i)[j] / (1 + expf(-row(x, i)[j]));
    return CS336_OK;
}

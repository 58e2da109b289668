/* RMSNorm: y_i = x_i / r g_i with the root mean square r of the row. */
#include "nn/rmsnorm.h"

#include "tests/exercises/learn.h"

#include <math.h>

Status rmsnorm_forward(Tensor y, Tensor inverse_rms, Tensor x, const RMSNorm *norm)
{
    const size_t d = columns(x);
    const float *gain = norm->weight.data;
    if (nn_check_same_shape(y, x) || nn_check_last(x, x, columns(norm->weight)) || nn_check_rows_contiguous(x) ||
        nn_check_rows_contiguous(y) || (inverse_rms.data && nn_check_last(inverse_rms, x, 1)))
        return CS336_ESHAPE;

    for (size_t n = 0; n < rows(x); n++) {
        const float *x_row = row(x, n);
        float *y_row = row(y, n);

        /* r = sqrt(1/d sum_j x_j^2 + eps) */
        float sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += x_row[j] * x_row[j];
        const float r = sqrtf(sum / (float)d + norm->eps);

        /* y_i = x_i / r g_i */
        for (size_t i = 0; i < d; i++)
            y_row[i] = x_row[i] / r * gain[i];

        /* The backward pass wants 1 / r. */
        if (inverse_rms.data)
            *at(inverse_rms, n, 0) = 1 / r;
    }
    return CS336_OK;
}

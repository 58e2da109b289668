/*
 * RMSNorm, backward. Forward was y_i = x_i s g_i with s = 1/r = (1/d sum_j x_j^2 + eps)^(-1/2).
 *
 * x_i moves its own output directly: dy_i/dx_i = s g_i. It also moves s, which scales every output of the row:
 * ds/dx_i = -s^3 x_i / d. Both together, with h_j = dL/dy_j g_j:
 *
 *     dL/dx_i = s h_i - s^3 / d x_i sum_j h_j x_j
 *     dL/dg_i = sum over rows of dL/dy_i x_i s
 */
#include "nn/rmsnorm.h"

#include "tests/exercises/learn.h"

/* Both public functions: they differ in what becomes of the numbers that grad_x holds already. */
static Status backward(const char *function, bool add, Tensor grad_x, RMSNorm *grad, Tensor grad_y, Tensor inverse_rms,
                       Tensor x, const RMSNorm *norm)
{
    const size_t d = columns(x);
    const float *gain = norm->weight.data;
    if (nn_check_same_shape_of(function, "grad_y", grad_y, "x", x) ||
        (grad_x.data && nn_check_same_shape_of(function, "grad_x", grad_x, "x", x)) ||
        nn_check_last_of(function, "inverse_rms", inverse_rms, x, 1) ||
        nn_check_last_of(function, "x", x, x, columns(norm->weight)))
        return CS336_ESHAPE;

    for (size_t n = 0; n < rows(x); n++) {
        const float s = *at(inverse_rms, n, 0);

        /* sum_j h_j x_j, one number for the row */
        float dot = 0;
        for (size_t j = 0; j < d; j++)
            dot += *at(grad_y, n, j) * gain[j] * *at(x, n, j);

        /* grad_g_i += grad_y_i x_i s; it comes first, because grad_x may overwrite grad_y */
        for (size_t i = 0; grad->weight.data && i < d; i++)
            grad->weight.data[i] += *at(grad_y, n, i) * *at(x, n, i) * s;

        /* grad_x_i = s h_i - s^3 / d x_i dot */
        for (size_t i = 0; grad_x.data && i < d; i++) {
            const float h = *at(grad_y, n, i) * gain[i];
            const float g = s * h - s * s * s / (float)d * *at(x, n, i) * dot;
            *at(grad_x, n, i) = add ? *at(grad_x, n, i) + g : g;
        }
    }
    return CS336_OK;
}

Status rmsnorm_backward(Tensor grad_x, RMSNorm *grad, Tensor grad_y, Tensor inverse_rms, Tensor x, const RMSNorm *norm)
{
    return backward(__func__, false, grad_x, grad, grad_y, inverse_rms, x, norm);
}

Status rmsnorm_backward_add(Tensor grad_x, RMSNorm *grad, Tensor grad_y, Tensor inverse_rms, Tensor x,
                            const RMSNorm *norm)
{
    return backward(__func__, true, grad_x, grad, grad_y, inverse_rms, x, norm);
}

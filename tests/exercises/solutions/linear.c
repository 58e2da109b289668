/*
 * Linear: y = W x. Each output is the dot product of a row of x and a row of W.
 *
 * The dtype of a map is a matter of speed: with bf16 ours rounds the factors. Here they are float32 in any case.
 */
#include "nn/linear.h"

#include "tests/exercises/learn.h"

Status linear_forward(Tensor y, Tensor x, const Linear *linear)
{
    const Tensor weight = linear->weight; /* (d_out, d_in) */
    if (nn_check_last(y, x, weight.shape[0]) || nn_check_last(x, x, weight.shape[1]))
        return CS336_ESHAPE;

    for (size_t n = 0; n < rows(x); n++)
        for (size_t o = 0; o < columns(y); o++) {
            /* y_no = sum_i x_ni W_oi */
            float sum = 0;
            for (size_t i = 0; i < columns(x); i++)
                sum += *at(x, n, i) * *at(weight, o, i);
            *at(y, n, o) = sum;
        }
    return CS336_OK;
}

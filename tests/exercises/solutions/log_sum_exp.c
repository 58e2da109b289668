/* Log-sum-exp: l = log sum_j e^(x_j), computed as m + log sum_j e^(x_j - m) with m = max_j x_j. */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

Status log_sum_exp_forward(Tensor log_sum_exp, Tensor x)
{
    if (nn_check_last(log_sum_exp, x, 1) || nn_check_rows_contiguous(x))
        return CS336_ESHAPE;

    for (size_t i = 0; i < rows(x); i++) {
        /* m = max_j x_j. No exponent is then above 0, and nothing can overflow. */
        float m = -INFINITY;
        for (size_t j = 0; j < columns(x); j++)
            m = fmaxf(m, row(x, i)[j]);

        /* An infinite maximum is not subtracted: inf - inf would be NaN. */
        if (isinf(m))
            m = 0;

        /* l = m + log sum_j e^(x_j - m) */
        double sum = 0;
        for (size_t j = 0; j < columns(x); j++)
            sum += (double)expf(row(x, i)[j] - m);
        *at(log_sum_exp, i, 0) = (float)((double)m + log(sum));
    }
    return CS336_OK;
}

/*
 * Cross-entropy: the loss of a row is -log softmax(x)_t for its target t. Written as l - x_t with the log-sum-exp
 * l = log sum_j e^(x_j), it needs no softmax, and no number can become 0 before the logarithm.
 */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

/* l = m + log sum_j e^(x_j - m) with m = max_j x_j. An infinite m is not subtracted: inf - inf is NaN. */
static double log_sum_exp_of(const float *x, size_t n)
{
    float max = -INFINITY;
    for (size_t j = 0; j < n; j++)
        max = fmaxf(max, x[j]);
    const float m = isinf(max) ? 0 : max;
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += (double)expf(x[j] - m);
    return (double)m + log(sum);
}

Status log_sum_exp_forward(Tensor log_sum_exp, Tensor x)
{
    if (nn_check_last(log_sum_exp, x, 1) || nn_check_rows_contiguous(x))
        return CS336_ESHAPE;
    for (size_t i = 0; i < rows(x); i++)
        *at(log_sum_exp, i, 0) = (float)log_sum_exp_of(row(x, i), columns(x));
    return CS336_OK;
}

Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    if (nn_check_ids(targets, logits) || nn_check_rows_contiguous(logits) ||
        (log_sum_exp.data && nn_check_last(log_sum_exp, logits, 1)))
        return CS336_ESHAPE;
    const Status s = tokens_check(__func__, "target", targets, columns(logits));
    if (s)
        return s;

    double sum = 0;
    for (size_t i = 0; i < rows(logits); i++) {
        /* the loss of a row is l - x_t */
        const double l = log_sum_exp_of(row(logits, i), columns(logits));
        sum += l - (double)row(logits, i)[tokens_at(targets, i)];
        if (log_sum_exp.data)
            *at(log_sum_exp, i, 0) = (float)l;
    }
    *loss = (float)(sum / (double)rows(logits));
    return CS336_OK;
}

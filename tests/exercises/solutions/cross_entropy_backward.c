/*
 * Cross-entropy, backward. The mean loss over N rows is L = 1/N sum_i (l_i - x_{i,t}). The gradient of the log-sum-exp
 * l is the softmax, e^(x_j - l), so
 *
 *     dL/dx_ij = (e^(x_ij - l_i) - (1 if j is the target, else 0)) / N
 */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

Status cross_entropy_backward(Tensor grad_logits, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    if (nn_check_ids(targets, logits) || nn_check_rows_contiguous(logits))
        return CS336_ESHAPE;
    const Status s = tokens_check(__func__, "target", targets, columns(logits));
    if (s)
        return s;
    if (nn_check_same_shape(grad_logits, logits) || nn_check_last(log_sum_exp, logits, 1) ||
        nn_check_rows_contiguous(grad_logits))
        return CS336_ESHAPE;

    const float count = (float)rows(logits);
    for (size_t i = 0; i < rows(logits); i++) {
        const float l = *at(log_sum_exp, i, 0);
        const size_t target = (size_t)tokens_at(targets, i);
        for (size_t j = 0; j < columns(logits); j++) {
            const float p = expf(row(logits, i)[j] - l), is_target = j == target ? 1 : 0;
            row(grad_logits, i)[j] = (p - is_target) / count;
        }
    }
    return CS336_OK;
}

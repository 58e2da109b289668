/*
 * Cross-entropy: the loss of a row is -log softmax(x)_t for its target t. Written as l - x_t with the log-sum-exp
 * l = log sum_j e^(x_j), it needs no softmax, and no probability can round to 0 before the logarithm.
 */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    const size_t vocab_size = columns(logits);
    if (nn_check_ids(targets, logits) || nn_check_rows_contiguous(logits) ||
        (log_sum_exp.data && nn_check_last(log_sum_exp, logits, 1)))
        return CS336_ESHAPE;
    Status s = tokens_check(__func__, "target", targets, vocab_size);

    double sum = 0;
    for (size_t i = 0; !s && i < rows(logits); i++) {
        /* l = log sum_j e^(x_j) */
        float *x = row(logits, i), l;
        s = log_sum_exp_forward(tensor(&l, 1, 1), tensor(x, 1, vocab_size));

        /* The loss of the row is l - x_t. The backward pass wants l. */
        sum += (double)l - (double)x[tokens_at(targets, i)];
        if (log_sum_exp.data)
            *at(log_sum_exp, i, 0) = l;
    }
    if (!s)
        *loss = (float)(sum / (double)rows(logits));
    return s;
}

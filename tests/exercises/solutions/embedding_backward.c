/* Embedding, backward: a row of the table was copied to every place with its id, so their gradients add up. */
#include "nn/embedding.h"

#include "tests/exercises/learn.h"

Status embedding_backward(Embedding *grad, Tensor grad_y, TokenTensor ids)
{
    const Tensor grad_weight = grad->weight; /* (vocab_size, d_model) */
    if (!grad_weight.data)
        return CS336_OK;
    if (nn_check_ids(ids, grad_y) || nn_check_last(grad_y, grad_y, columns(grad_weight)))
        return CS336_ESHAPE;
    const Status s = tokens_check(__func__, "id", ids, rows(grad_weight));
    if (s)
        return s;

    for (size_t n = 0; n < rows(grad_y); n++) {
        const size_t id = (size_t)tokens_at(ids, n);
        for (size_t i = 0; i < columns(grad_y); i++)
            *at(grad_weight, id, i) += *at(grad_y, n, i);
    }
    return CS336_OK;
}

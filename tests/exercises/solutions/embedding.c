/* Embedding: row n of y is the row of the table that id n names. */
#include "nn/embedding.h"

#include "tests/exercises/learn.h"

Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding)
{
    const Tensor weight = embedding->weight; /* (vocab_size, d_model) */
    if (nn_check_ids(ids, y) || nn_check_last(y, y, columns(weight)))
        return CS336_ESHAPE;
    const Status s = tokens_check(__func__, "id", ids, rows(weight));
    if (s)
        return s;

    for (size_t n = 0; n < rows(y); n++) {
        const size_t id = (size_t)tokens_at(ids, n);
        for (size_t i = 0; i < columns(y); i++)
            *at(y, n, i) = *at(weight, id, i);
    }
    return CS336_OK;
}

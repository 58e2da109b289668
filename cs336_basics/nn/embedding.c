#include "nn/embedding.h"

#include "core/parallel.h"

#include <string.h>

enum { COLUMNS_PER_TASK = 64 };

static Status check(const char *function, const char *name, Tensor y, TokenTensor ids, Tensor weight)
{
    if (weight.rank != 2 || !tokens_fit_rows(ids, y) || tensor_extent(y, -1) != weight.shape[1])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, ids are %s, weight is %s", function, name, tensor_shape_text(y),
                           shape_text(ids.rank, ids.shape), tensor_shape_text(weight));
    if (!tensor_rows_contiguous(y) || !tensor_rows_contiguous(weight))
        return status_fail(CS336_ESHAPE, "%s: rows of %s and the weight must be contiguous", function, name);
    return tokens_check(function, "id", ids, weight.shape[0]);
}

Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding)
{
    const Status s = check("embedding_forward", "y", y, ids, embedding->weight);
    if (s)
        return s;
    const size_t rows = tensor_rows(y), d = tensor_extent(y, -1);
#pragma omp parallel for if (rows * d >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++)
        memcpy(tensor_row(y, row), tensor_row(embedding->weight, (size_t)tokens_at(ids, row)), d * sizeof(float));
    return CS336_OK;
}

/*
 * Forward: y_n = W[id_n]. Every occurrence of an id adds its gradient: dL/dW[i] = sum of dL/dy_n over n with id_n = i.
 * A task owns columns and takes the rows in order, so equal ids never meet and the sum is the same for any thread
 * count.
 */
Status embedding_backward(Embedding *grad, Tensor grad_y, TokenTensor ids)
{
    if (!grad->weight.data)
        return CS336_OK;
    const Status s = check("embedding_backward", "grad_y", grad_y, ids, grad->weight);
    if (s)
        return s;
    const size_t rows = tensor_rows(grad_y), d = tensor_extent(grad_y, -1);
#pragma omp parallel for if (rows * d >= PARALLEL_NUMBERS)
    for (size_t first = 0; first < d; first += COLUMNS_PER_TASK) {
        const size_t end = first + COLUMNS_PER_TASK < d ? first + COLUMNS_PER_TASK : d;
        for (size_t row = 0; row < rows; row++) {
            const float *from = tensor_row(grad_y, row);
            float *to = tensor_row(grad->weight, (size_t)tokens_at(ids, row));
            for (size_t i = first; i < end; i++)
                to[i] += from[i];
        }
    }
    return CS336_OK;
}

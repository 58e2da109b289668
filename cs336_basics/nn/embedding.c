#include "nn/embedding.h"

#include "core/parallel.h"
#include "nn/check.h"

#include <string.h>

/* Columns of the gradient in one chunk: 64 floats are 4 cache lines, so two threads rarely write to one line. */
enum { CHUNK_COLUMNS = 64 };

static Status check(const char *function, const char *name, Tensor y, TokenTensor ids, Tensor weight)
{
    if (weight.rank != 2 || !tokens_fit_rows(ids, y) || tensor_extent(y, -1) != weight.shape[1])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, ids are %s, weight is %s", function, name, tensor_shape_text(y),
                           shape_text(ids.rank, ids.shape), tensor_shape_text(weight));
    if (nn_check_rows_contiguous_of(function, name, y) || nn_check_rows_contiguous_of(function, "weight", weight))
        return CS336_ESHAPE;
    return tokens_check(function, "id", ids, weight.shape[0]);
}

Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding)
{
    const Status s = check(__func__, "y", y, ids, embedding->weight);
    if (s)
        return s;
    const size_t rows = tensor_rows(y), d_model = tensor_extent(y, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *d_model))
    for (size_t row = 0; row < rows; row++) {
        const size_t id = (size_t)tokens_at(ids, row);
        memcpy(tensor_row(y, row), tensor_row(embedding->weight, id), d_model * sizeof(float));
    }
    return CS336_OK;
}

/*
 * Forward: y_n = W[id_n]. Row i of the table is copied to each row n whose id is i, so its gradient is a sum:
 *
 *     grad_weight[i] = sum of grad_y[n] over all n with id_n = i
 *
 * A chunk of work is some columns of all rows. A thread adds the rows in order, so no two threads write the same number
 * and the sums do not depend on the number of threads.
 */
Status embedding_backward(Embedding *grad, Tensor grad_y, TokenTensor ids)
{
    if (!grad->weight.data)
        return CS336_OK;
    const Status s = check(__func__, "grad_y", grad_y, ids, grad->weight);
    if (s)
        return s;
    const size_t rows = tensor_rows(grad_y), d_model = tensor_extent(grad_y, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *d_model))
    for (size_t first = 0; first < d_model; first += CHUNK_COLUMNS) {
        /* Columns first ... end - 1 of every row. */
        const size_t end = first + CHUNK_COLUMNS < d_model ? first + CHUNK_COLUMNS : d_model;
        for (size_t row = 0; row < rows; row++) {
            const float *grad_y_row = tensor_row(grad_y, row);
            float *grad_weight_row = tensor_row(grad->weight, (size_t)tokens_at(ids, row));
            for (size_t i = first; i < end; i++)
                grad_weight_row[i] += grad_y_row[i];
        }
    }
    return CS336_OK;
}

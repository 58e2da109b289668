/**
 * @file
 * @brief All that you need to write an exercise in plain loops. For readers who know PyTorch and are new to C.
 *
 * A Tensor is a view of floats, as in PyTorch: a pointer, a shape, and a stride for each dimension. Passing it to a
 * function copies the view, never the numbers. Here a tensor is a list of rows. A row is one vector along the last
 * dimension, and rows are counted through all leading dimensions in order.
 *
 *     PyTorch                          here
 *     x.shape[-1]                      columns(x)
 *     x.shape[-2], x.shape[0]          tensor_extent(x, -2), tensor_extent(x, 0)
 *     x.numel() // x.shape[-1]         rows(x)
 *     x.reshape(-1, x.shape[-1])[i]    row(x, i)             a pointer: row(x, i)[j] is a number
 *     x.reshape(-1, x.shape[-1])[i,j]  *at(x, i, j)          read it or assign to it
 *     x.transpose(a, b)                tensor_transpose(x, a, b)
 *     x[:, a:a + n]                    tensor_slice(x, 1, a, n)
 *     ids.flatten()[i]                 tokens_at(ids, i)
 *     mask.reshape(-1, n)[i, j]        mask_at(mask, i, j)
 *     torch.empty_like(x)              arena_tensor_like(scratch, x)
 *     torch.empty(batch, n)            arena_tensor(scratch, batch, n)
 *     x.zero_()                        tensor_fill(x, 0)
 *
 * - row() needs a row whose numbers are adjacent in memory. at() works for every view.
 * - A result that the caller does not want has `data == NULL`: do not write it.
 * - Indices and extents are size_t, an unsigned type: 2 - 3 is a huge number, so compare before you subtract.
 * - A function returns CS336_OK, or fails with a message: `return status_fail(CS336_ESHAPE, "softmax: ...");`
 *   Shapes are checked in one line with the functions of nn/check.h, such as nn_check_same_shape(y, x).
 */
#ifndef CS336_TESTS_EXERCISES_LEARN_H
#define CS336_TESTS_EXERCISES_LEARN_H

#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/check.h"

/** @brief Returns the number of rows: a (batch, seq, d) tensor has batch x seq of them. */
static inline size_t rows(Tensor t)
{
    return tensor_rows(t);
}

/** @brief Returns the number of columns: the extent of the last dimension. */
static inline size_t columns(Tensor t)
{
    return tensor_extent(t, -1);
}

/** @brief Returns a pointer to the first number of row @p i. A matrix needs no division to find it. */
static inline float *row(Tensor t, size_t i)
{
    return t.rank == 2 ? t.data + (ptrdiff_t)i * t.stride[0] : tensor_row(t, i);
}

/** @brief Returns a pointer to the number in row @p i and column @p j: `*at(t, i, j) = 0;` */
static inline float *at(Tensor t, size_t i, size_t j)
{
    return row(t, i) + (ptrdiff_t)j * t.stride[t.rank - 1];
}

/** @brief Returns the boolean in row @p i and column @p j of a mask, whose rows are counted as those of a tensor. */
static inline bool mask_at(MaskTensor m, size_t i, size_t j)
{
    ptrdiff_t offset = (ptrdiff_t)j * m.stride[m.rank - 1];
    for (int d = m.rank - 2; d >= 0; i /= m.shape[d--])
        offset += (ptrdiff_t)(i % m.shape[d]) * m.stride[d];
    return m.data[offset];
}

#endif

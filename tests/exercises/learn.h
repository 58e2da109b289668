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
 *     x.unflatten(-1, (heads, -1))     tensor_split(x, -1, heads)
 *     x[i]                             tensor_select(x, 0, i)
 *     x[:, a:a + n]                    tensor_slice(x, 1, a, n)
 *     ids.flatten()[i]                 tokens_at(ids, i)
 *     ids.unsqueeze(-2)                tokens_insert(ids, -1)       inserted before the last dimension; not if data is
 * NULL mask.reshape(-1, n)[i, j]        mask_at(mask, i, j) mask.expand(shape)               mask_broadcast(&mask,
 * rank, shape)    shape: const size_t *; false if it cannot; tokens_broadcast() for ids torch.empty_like(x)
 * arena_tensor_like(scratch, x) torch.empty(batch, n)            arena_tensor(scratch, batch, n) a tensor of an array p
 * tensor(p, batch, n), tokens(p, batch, n) x.zero_()                        tensor_fill(x, 0) print(x)
 * print_tensor("x", x) math.exp, sqrt, max, inf         expf(a), sqrtf(a), fmaxf(a, b), INFINITY    of <math.h>; f: of
 * a float
 *
 * - A TokenTensor is a view of token ids or positions (int32_t), and a MaskTensor one of booleans. Both are only read.
 * - row() needs a row whose numbers are adjacent in memory. at() works for every view.
 * - `(Tensor){0}` is a tensor without numbers: its `data` is NULL. Where a result may be missing, its `data == NULL`
 *   says that the caller does not want it: do not write it. Positions with `data == NULL` are 0, 1, 2, ...
 * - Indices and extents are size_t, an unsigned type: 2 - 3 is a huge number, so compare before you subtract.
 * - NAME_backward() overwrites the gradient of its input, and adds to the gradients of the weights, as PyTorch adds to
 *   `.grad`. NAME_backward_add() adds to both.
 *
 * Failing. A function returns a Status: CS336_OK, which is 0, or an error whose message status_fail() records. The
 * caller goes on if the Status is 0, and else returns it:
 *
 *     if (d_k % 2 != 0)
 *         return status_fail(CS336_ESHAPE, "rope_bind: d_k is %zu, expected an even number", d_k);
 *
 * Shapes are checked in one line with the functions of nn/check.h, such as nn_check_same_shape(y, x), which also record
 * a message.
 *
 * Scratch. There is no garbage collector, and memory for intermediate tensors comes from the caller's arena `scratch`:
 *
 *     const size_t mark = arena_mark(scratch);
 *     const Tensor hidden = arena_tensor_like(scratch, x);   // its numbers are undefined
 *     Status s = arena_status(scratch);                      // fails if scratch was too small; ask before you write
 *     if (!s)
 *         s = silu_forward(hidden, x);
 *     arena_release(scratch, mark);                          // gives hidden back, also after a failure
 *     return s;
 *
 * An arena may also only measure: it counts bytes, arena_status() is 0, and its tensors have `data == NULL`. A function
 * that fills tables in an arena, as rope_bind() does, returns before it writes if it got no memory.
 *
 * `saved` is where a forward pass writes what its backward pass reads. If it is NULL, no backward pass follows, and the
 * function takes the same tensors from scratch: NAME_bind_saved(&own, scratch, ...).
 */
#ifndef CS336_TESTS_EXERCISES_LEARN_H
#define CS336_TESTS_EXERCISES_LEARN_H

#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/check.h"

#include <stdio.h>
#include <stdlib.h>

/** @brief Says that this function is not written yet, and ends the program. Write the function in place of it. */
#define TODO() (fprintf(stderr, "TODO: %s\n", __func__), exit(9))

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

/** @brief Prints a tensor, one row a line. The checker shows what your code prints. */
static inline void print_tensor(const char *name, Tensor t)
{
    printf("%s %s\n", name, tensor_shape_text(t));
    for (size_t i = 0; t.data && i < rows(t); i++) {
        for (size_t j = 0; j < columns(t); j++)
            printf(" %11.5g", (double)*at(t, i, j));
        printf("\n");
    }
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

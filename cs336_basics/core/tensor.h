/**
 * @file
 * @brief Tensors as strided views of memory: the arguments of every function in nn/.
 *
 * - A view never owns its numbers. Copying the struct makes another view of the same numbers, as in PyTorch.
 * - Shapes are written as in the course, last dimension innermost: (..., seq, d_model).
 *   "..." stands for any number of leading, batch-like dimensions, also none.
 * - Strides count elements, not bytes. Splitting heads or transposing makes another view, never a copy. Along a
 *   dimension with stride 0 the same numbers repeat.
 * - Tensor views float32 numbers, TokenTensor token ids or positions, MaskTensor booleans.
 */
#ifndef CS336_CORE_TENSOR_H
#define CS336_CORE_TENSOR_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Dimensions of a tensor at most. Training needs four of them: (batch, heads, seq, d_k). */
enum { TENSOR_MAX_RANK = 8 };

/** @brief A view of float32 numbers: element (i, j, ...) is data[i * stride[0] + j * stride[1] + ...]. */
typedef struct {
    float *data;                       /**< first element; NULL where a result is not wanted */
    int rank;                          /**< number of dimensions in use */
    size_t shape[TENSOR_MAX_RANK];     /**< extents, outermost first */
    ptrdiff_t stride[TENSOR_MAX_RANK]; /**< distance between neighbours, in floats */
} Tensor;

/** @brief A view of token ids or positions, which are only read. */
typedef struct {
    const int32_t *data;               /**< first id; NULL if none are given */
    int rank;                          /**< number of dimensions in use */
    size_t shape[TENSOR_MAX_RANK];     /**< extents, outermost first */
    ptrdiff_t stride[TENSOR_MAX_RANK]; /**< distance between neighbours, in ids */
} TokenTensor;

/** @brief A view of booleans, which are only read. */
typedef struct {
    const bool *data;                  /**< first value; NULL if none are given */
    int rank;                          /**< number of dimensions in use */
    size_t shape[TENSOR_MAX_RANK];     /**< extents, outermost first */
    ptrdiff_t stride[TENSOR_MAX_RANK]; /**< distance between neighbours, in values */
} MaskTensor;

/** @brief Turns `2, 3` into the two arguments `2, (const size_t[]){2, 3}`: the rank, and an unnamed array, the shape.
 */
#define TENSOR_EXTENTS(...)                                                   \
    (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (const size_t[]) \
    {                                                                         \
        __VA_ARGS__                                                           \
    }

/**
 * @name Row-major views of memory
 * `tensor(x, batch, seq, d_model)` views the floats from the pointer x on, as `x.view(batch, seq, d_model)` does in
 * PyTorch. No number is copied.
 * @{
 */
/** @brief Returns a Tensor of float32 numbers: `tensor(x, 2, 3)` has the shape (2, 3). */
#define tensor(data, ...) tensor_of((data), TENSOR_EXTENTS(__VA_ARGS__))
/** @brief Returns a TokenTensor of int32 token ids or positions: `tokens(ids, batch, seq)`. */
#define tokens(data, ...) tokens_of((data), TENSOR_EXTENTS(__VA_ARGS__))
/** @brief Returns a MaskTensor of booleans: `mask(seen, queries, keys)`. */
#define mask(data, ...) mask_of((data), TENSOR_EXTENTS(__VA_ARGS__))
/** @brief tensor() for a shape in an array: @p rank extents, 1 to TENSOR_MAX_RANK, which are copied. */
Tensor tensor_of(float *data, int rank, const size_t *shape);
/** @brief tokens() for a shape in an array, as tensor_of(). */
TokenTensor tokens_of(const int32_t *data, int rank, const size_t *shape);
/** @brief mask() for a shape in an array, as tensor_of(). */
MaskTensor mask_of(const bool *data, int rank, const size_t *shape);
/** @} */

/** @brief Returns the extent of a dimension; negative counts from the last, as in Python. */
size_t tensor_extent(Tensor t, int dimension);

/** @brief Returns the number of elements. */
size_t tensor_count(Tensor t);

/** @brief Returns the number of rows: the product of all extents but the last. */
size_t tensor_rows(Tensor t);

/**
 * @brief Returns the address of the first element of row @p row, counted in row-major order over the leading
 * dimensions.
 */
float *tensor_row(Tensor t, size_t row);

/** @brief True if two views have the same rank and extents; strides may differ. */
bool tensor_same_shape(Tensor a, Tensor b);

/** @brief True if two views have the same rank, and the same extents in all but the last @p trailing dimensions. */
bool tensor_same_leading(Tensor a, Tensor b, int trailing);

/** @brief True if the numbers of each row are adjacent in memory. */
bool tensor_rows_contiguous(Tensor t);

/** @brief True if the elements are in row-major order without gaps. */
bool tensor_contiguous(Tensor t);

/** @brief Returns the view with two dimensions exchanged; negative counts from the last. */
Tensor tensor_transpose(Tensor t, int a, int b);

/** @brief Returns the view of the indices [start, start + length) of one dimension: `t[:, start:start + length]`. */
Tensor tensor_slice(Tensor t, int dimension, size_t start, size_t length);

/** @brief Returns the view at one index of a dimension, which disappears: `t[:, index]`. */
Tensor tensor_select(Tensor t, int dimension, size_t index);

/** @brief Splits a dimension of extent count * m into (count, m): (seq, d_model) to (seq, heads, d_k). */
Tensor tensor_split(Tensor t, int dimension, size_t count);

/** @brief Returns the view with a dimension of extent 1 put before @p dimension, as unsqueeze does. */
Tensor tensor_insert(Tensor t, int dimension);
/** @brief tensor_insert() for token ids or positions. */
TokenTensor tokens_insert(TokenTensor t, int dimension);

/**
 * @brief Returns a view of the same data and strides with another extent of the last dimension.
 *
 * A shape for arena_tensor_like(), or a view of more columns where the caller knows that memory continues there.
 */
Tensor tensor_with_last(Tensor t, size_t extent);

/** @brief Returns the contiguous view with other extents of the same product. */
Tensor tensor_reshape_of(Tensor t, int rank, const size_t *shape);
/** @brief `tensor_reshape(t, batch * seq, d_model)` */
#define tensor_reshape(t, ...) tensor_reshape_of((t), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief Copies element by element between views of the same shape. */
void tensor_copy(Tensor destination, Tensor source);

/** @brief Sets every element. */
void tensor_fill(Tensor t, float value);

/** @brief Returns the sum of the squares of @p count neighbours in memory, added in double by the calling thread alone.
 */
double tensor_row_sum_of_squares(const float *row, size_t count);

/**
 * @brief Returns the sum of the squares of a contiguous tensor, in double. The order of the additions, and so the last
 * bit of the sum, does not depend on the number of threads.
 */
double tensor_sum_of_squares(Tensor t);

/** @brief Returns the number of ids. */
size_t tokens_count(TokenTensor t);

/** @brief Returns the id at an index, 0 to tokens_count(t) - 1, counted in row-major order. */
int32_t tokens_at(TokenTensor t, size_t index);

/** @brief True if there is one id for each row of @p t: the same leading extents. */
bool tokens_fit_rows(TokenTensor ids, Tensor t);

/**
 * @brief Checks that all ids are in [0, bound).
 * @param function, name  for the message: "FUNCTION: NAME 7 at (1, 3) is not in [0, 5)"
 * @retval CS336_ERANGE   the message names the first id that is not, and its index
 */
CS336_MUST_CHECK Status tokens_check(const char *function, const char *name, TokenTensor ids, size_t bound);

/**
 * @name Broadcasting: repeats the view to the given extents
 * Dimensions are matched from the last, as in PyTorch. Missing dimensions are added in front; extents of 1 repeat by
 * a stride of 0. Returns false, and leaves the view unchanged, if an extent neither matches nor is 1.
 * @{
 */
/** @brief Repeats token ids or positions: one sequence (seq) for a whole batch (batch, seq). */
bool tokens_broadcast(TokenTensor *t, int rank, const size_t *shape);
/** @brief Repeats a mask: one of (q, k) for all heads' scores, (batch, heads, q, k). */
bool mask_broadcast(MaskTensor *t, int rank, const size_t *shape);
/** @} */

/** @brief Returns "(2, 3, 64)", for messages. The text stays valid until the same thread asks for four more. */
const char *shape_text(int rank, const size_t *shape);

/** @brief Returns shape_text() of a tensor. */
const char *tensor_shape_text(Tensor t);

CS336_API_END

#endif

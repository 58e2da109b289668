#include "nn/rope.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/check.h"

#include <math.h>

Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len)
{
    if (d_k % 2 != 0 || d_k == 0)
        return status_fail(CS336_ESHAPE, "rope_bind: d_k is %zu, pairs need an even number", d_k);
    if (!(theta > 0) || isinf(theta))
        return status_fail(CS336_ERANGE, "rope_bind: theta is %g, must be positive", (double)theta);
    const size_t pairs = d_k / 2, mark = arena_mark(arena);
    rope->cosine = arena_tensor(arena, max_seq_len, pairs);
    rope->sine = arena_tensor(arena, max_seq_len, pairs);
    const Status s = arena_keep(arena, mark);
    if (s || !rope->cosine.data)
        return s;

    /* The angle of pair k at a position is position * theta^(-2k / d_k). */
    for (size_t position = 0; position < max_seq_len; position++)
        for (size_t k = 0; k < pairs; k++) {
            const double angle = (double)position * pow((double)theta, -2 * (double)k / (double)d_k);
            tensor_row(rope->cosine, position)[k] = (float)cos(angle);
            tensor_row(rope->sine, position)[k] = (float)sin(angle);
        }
    return CS336_OK;
}

/* Checks the shapes of both tensors, and that each position has a row in the tables. */
static Status check(const char *function, const char *name_y, Tensor y, const char *name_x, Tensor x,
                    TokenTensor positions, const RoPE *rope)
{
    const size_t max_seq_len = tensor_extent(rope->cosine, 0), d_k = 2 * tensor_extent(rope->cosine, -1);
    if (x.rank < 2 || tensor_extent(x, -1) != d_k)
        return status_fail(CS336_ESHAPE, "%s: %s is %s, the tables are for d_k %zu", function, name_x,
                           tensor_shape_text(x), d_k);
    if (nn_check_same_shape_of(function, name_y, y, name_x, x) || nn_check_rows_contiguous_of(function, name_y, y) ||
        nn_check_rows_contiguous_of(function, name_x, x))
        return CS336_ESHAPE;
    const size_t count = positions.data ? tokens_count(positions) : tensor_extent(x, -2);
    for (size_t i = 0; i < count; i++) {
        const long long position = positions.data ? tokens_at(positions, i) : (long long)i;
        if (position < 0 || (size_t)position >= max_seq_len)
            return status_fail(CS336_ERANGE, "%s: position %lld is not in [0, %zu)", function, position, max_seq_len);
    }
    return CS336_OK;
}

/*
 * A pair (a, b) of a row is the complex number a + ib. To rotate it by an angle is to multiply it by e^(i angle):
 *
 *     a' = a cos - b sin        b' = a sin + b cos
 *
 * As a matrix, ((cos, -sin), (sin, cos)). Gradients go back through the transpose of the matrix, here the rotation by
 * the opposite angle:
 *
 *     grad_a = grad_a' cos + grad_b' sin        grad_b = -grad_a' sin + grad_b' cos
 *
 * So one function serves both passes: `direction` is 1 or -1, the sign of the sine.
 */
static Status rotate(const char *function, const char *name_y, Tensor y, const char *name_x, Tensor x,
                     TokenTensor positions, const RoPE *rope, float direction)
{
    const Status s = check(function, name_y, y, name_x, x, positions, rope);
    if (s)
        return s;
    if (positions.data && !tokens_broadcast(&positions, x.rank - 1, x.shape))
        return status_fail(CS336_ESHAPE, "%s: positions are %s, %s is %s", function,
                           shape_text(positions.rank, positions.shape), name_x, tensor_shape_text(x));
    const size_t rows = tensor_rows(x), pairs = tensor_extent(x, -1) / 2, seq = tensor_extent(x, -2);
    if (rows == 0)
        return CS336_OK;

    /*
     * The heads of a token share its position. In (..., heads, seq, d_k), one call rotates the rows of all heads at a
     * position, so the sines and cosines are loaded once. With other positions for each head, a call rotates one row.
     */
    const int axis = x.rank - 3;
    const bool shared = axis >= 0 && (!positions.data || positions.stride[axis] == 0);
    const size_t heads = shared ? x.shape[axis] : 1;
    const Tensor first_x = shared ? tensor_select(x, axis, 0) : x, first_y = shared ? tensor_select(y, axis, 0) : y;
    const ptrdiff_t x_step = shared ? x.stride[axis] : 0, y_step = shared ? y.stride[axis] : 0;
    const VecmathKernels *vec = vecmath();
#pragma omp parallel for num_threads(parallel_threads_for(rows *pairs))
    for (size_t row = 0; row < rows / heads; row++) {
        const size_t position =
            positions.data ? (size_t)tokens_at(positions, row / seq * heads * seq + row % seq) : row % seq;
        vec->rotate(tensor_row(first_y, row), y_step, tensor_row(first_x, row), x_step, heads,
                    tensor_row(rope->cosine, position), tensor_row(rope->sine, position), direction, pairs);
    }
    return CS336_OK;
}

Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope)
{
    return rotate(__func__, "y", y, "x", x, positions, rope, 1);
}

Status rope_backward(Tensor grad_x, Tensor grad_y, TokenTensor positions, const RoPE *rope)
{
    return rotate(__func__, "grad_x", grad_x, "grad_y", grad_y, positions, rope, -1);
}

#include "nn/rope.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

#include <math.h>

Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len)
{
    if (d_k % 2 != 0 || d_k == 0)
        return status_fail(CS336_ESHAPE, "rope_bind: d_k is %zu, pairs need an even number", d_k);
    if (!(theta > 0) || isinf(theta))
        return status_fail(CS336_ERANGE, "rope_bind: theta is %g, must be positive", (double)theta);
    const size_t pairs = d_k / 2, mark = arena_mark(arena);
    Status s = arena_tensor(arena, &rope->cosine, max_seq_len, pairs);
    if (!s)
        s = arena_tensor(arena, &rope->sine, max_seq_len, pairs);
    if (s)
        arena_release(arena, mark);
    if (s || !rope->cosine.data)
        return s;
    for (size_t position = 0; position < max_seq_len; position++)
        for (size_t k = 0; k < pairs; k++) {
            const double angle = (double)position * pow((double)theta, -2 * (double)k / (double)d_k);
            tensor_row(rope->cosine, position)[k] = (float)cos(angle);
            tensor_row(rope->sine, position)[k] = (float)sin(angle);
        }
    return CS336_OK;
}

static Status check_positions(const char *function, TokenTensor positions, size_t seq, size_t max_seq_len)
{
    const size_t count = positions.data ? tokens_count(positions) : seq;
    for (size_t i = 0; i < count; i++) {
        const long long position = positions.data ? tokens_at(positions, i) : (long long)i;
        if (position < 0 || (size_t)position >= max_seq_len)
            return status_fail(CS336_ERANGE, "%s: position %lld is not in [0, %zu)", function, position, max_seq_len);
    }
    return CS336_OK;
}

static Status check(const char *function, const char *name_y, Tensor y, const char *name_x, Tensor x, const RoPE *rope)
{
    if (x.rank < 2 || tensor_extent(x, -1) != 2 * tensor_extent(rope->cosine, -1))
        return status_fail(CS336_ESHAPE, "%s: %s is %s, the tables are for d_k %zu", function, name_x,
                           tensor_shape_text(x), 2 * tensor_extent(rope->cosine, -1));
    if (!tensor_same_shape(y, x))
        return status_fail(CS336_ESHAPE, "%s: %s is %s, %s is %s", function, name_y, tensor_shape_text(y), name_x,
                           tensor_shape_text(x));
    if (!tensor_rows_contiguous(y) || !tensor_rows_contiguous(x))
        return status_fail(CS336_ESHAPE, "%s: rows of %s and %s must be contiguous", function, name_x, name_y);
    return CS336_OK;
}

/*
 * A pair (a, b) is the complex number a + ib, and rotating it by an angle is multiplying it by e^(i angle):
 *
 *     a' = a cos - b sin        b' = a sin + b cos
 *
 * The map is orthogonal, so its transpose, which carries gradients back, is the rotation by the opposite angle.
 */
static void rotate(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope, float direction)
{
    const size_t rows = tensor_rows(x), pairs = tensor_extent(x, -1) / 2, seq = tensor_extent(x, -2);
    if (rows == 0)
        return;
    /* The heads of a token usually lie side by side and share its position: they are rotated together. */
    const int head = x.rank - 3;
    const bool together = head >= 0 && (!positions.data || positions.stride[head] == 0);
    const size_t heads = together ? x.shape[head] : 1;
    const Tensor first_x = together ? tensor_select(x, head, 0) : x, first_y = together ? tensor_select(y, head, 0) : y;
    const VecmathKernels *vec = vecmath();
#pragma omp parallel for if (rows * pairs >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows / heads; row++) {
        const size_t position =
            positions.data ? (size_t)tokens_at(positions, row / seq * heads * seq + row % seq) : row % seq;
        vec->rotate(tensor_row(first_y, row), together ? y.stride[head] : 0, tensor_row(first_x, row),
                    together ? x.stride[head] : 0, heads, tensor_row(rope->cosine, position),
                    tensor_row(rope->sine, position), direction, pairs);
    }
}

static Status check_and_rotate(const char *function, const char *name_y, Tensor y, const char *name_x, Tensor x,
                               TokenTensor positions, const RoPE *rope, float direction)
{
    Status s = check(function, name_y, y, name_x, x, rope);
    if (!s)
        s = check_positions(function, positions, tensor_extent(x, -2), tensor_extent(rope->cosine, 0));
    if (s)
        return s;
    if (positions.data && !tokens_broadcast(&positions, x.rank - 1, x.shape))
        return status_fail(CS336_ESHAPE, "%s: positions are %s, %s is %s", function,
                           shape_text(positions.rank, positions.shape), name_x, tensor_shape_text(x));
    rotate(y, x, positions, rope, direction);
    return CS336_OK;
}

Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope)
{
    return check_and_rotate("rope_forward", "y", y, "x", x, positions, rope, 1);
}

Status rope_backward(Tensor grad_x, Tensor grad_y, TokenTensor positions, const RoPE *rope)
{
    return check_and_rotate("rope_backward", "grad_x", grad_x, "grad_y", grad_y, positions, rope, -1);
}

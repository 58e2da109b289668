/*
 * RoPE, backward. Gradients go back through the transpose of the rotation matrix ((cos, -sin), (sin, cos)). The
 * transpose of a rotation is the rotation by the opposite angle:
 *
 *     grad_a = grad_a' cos + grad_b' sin        grad_b = -grad_a' sin + grad_b' cos
 */
#include "nn/rope.h"

#include "tests/exercises/learn.h"

Status rope_backward(Tensor grad_x, Tensor grad_y, TokenTensor positions, const RoPE *rope)
{
    const size_t d_k = 2 * columns(rope->cosine), max_seq_len = rows(rope->cosine);
    if (grad_y.rank < 2 || columns(grad_y) != d_k)
        return status_fail(CS336_ESHAPE, "rope_backward: grad_y is %s, the tables are for d_k %zu",
                           tensor_shape_text(grad_y), d_k);
    if (nn_check_same_shape(grad_x, grad_y) || nn_check_rows_contiguous(grad_x) || nn_check_rows_contiguous(grad_y))
        return CS336_ESHAPE;
    if (positions.data && !tokens_broadcast(&positions, grad_y.rank - 1, grad_y.shape))
        return status_fail(CS336_ESHAPE, "rope_backward: positions are %s, grad_y is %s",
                           shape_text(positions.rank, positions.shape), tensor_shape_text(grad_y));

    for (size_t n = 0; n < rows(grad_y); n++) {
        const long long position =
            positions.data ? tokens_at(positions, n) : (long long)(n % tensor_extent(grad_y, -2));
        if (position < 0 || (size_t)position >= max_seq_len)
            return status_fail(CS336_ERANGE, "rope_backward: position %lld is not in [0, %zu)", position, max_seq_len);

        for (size_t k = 0; k < d_k / 2; k++) {
            const float c = *at(rope->cosine, (size_t)position, k), s = *at(rope->sine, (size_t)position, k);
            const float grad_a = *at(grad_y, n, 2 * k), grad_b = *at(grad_y, n, 2 * k + 1);
            *at(grad_x, n, 2 * k) = grad_a * c + grad_b * s;
            *at(grad_x, n, 2 * k + 1) = grad_b * c - grad_a * s;
        }
    }
    return CS336_OK;
}

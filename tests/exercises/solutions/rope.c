/*
 * RoPE: numbers 2k and 2k + 1 of a row are a point (a, b), rotated by the angle position * theta^(-2k / d_k):
 *
 *     a' = a cos - b sin        b' = a sin + b cos
 */
#include "nn/rope.h"

#include "tests/exercises/learn.h"

#include <math.h>

Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len)
{
    if (d_k == 0 || d_k % 2 != 0)
        return status_fail(CS336_ESHAPE, "rope_bind: d_k is %zu, pairs need an even number", d_k);
    if (!(theta > 0) || isinf(theta))
        return status_fail(CS336_ERANGE, "rope_bind: theta is %g, must be positive", (double)theta);

    /* One row of cosines and one of sines for each position. An arena that only measures gives no memory to fill. */
    const size_t mark = arena_mark(arena);
    rope->cosine = arena_tensor(arena, max_seq_len, d_k / 2);
    rope->sine = arena_tensor(arena, max_seq_len, d_k / 2);
    const Status s = arena_keep(arena, mark);
    if (s || !rope->cosine.data)
        return s;

    for (size_t position = 0; position < max_seq_len; position++)
        for (size_t k = 0; k < d_k / 2; k++) {
            /* In double: float32 has about 7 digits, which far positions would use up before the point. */
            const double angle = (double)position * pow((double)theta, -2 * (double)k / (double)d_k);
            *at(rope->cosine, position, k) = (float)cos(angle);
            *at(rope->sine, position, k) = (float)sin(angle);
        }
    return CS336_OK;
}

Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope)
{
    const size_t d_k = 2 * columns(rope->cosine), max_seq_len = rows(rope->cosine);
    if (x.rank < 2 || columns(x) != d_k)
        return status_fail(CS336_ESHAPE, "rope_forward: x is %s, the tables are for d_k %zu", tensor_shape_text(x),
                           d_k);
    if (nn_check_same_shape(y, x) || nn_check_rows_contiguous(y) || nn_check_rows_contiguous(x))
        return CS336_ESHAPE;
    /* Repeat the positions for the dimensions that x has and they do not, such as the batch or the heads. */
    if (positions.data && !tokens_broadcast(&positions, x.rank - 1, x.shape))
        return status_fail(CS336_ESHAPE, "rope_forward: positions are %s, x is %s",
                           shape_text(positions.rank, positions.shape), tensor_shape_text(x));

    for (size_t n = 0; n < rows(x); n++) {
        /* Without positions, those of a sequence are 0, 1, 2, ... */
        const long long position = positions.data ? tokens_at(positions, n) : (long long)(n % tensor_extent(x, -2));
        if (position < 0 || (size_t)position >= max_seq_len)
            return status_fail(CS336_ERANGE, "rope_forward: position %lld is not in [0, %zu)", position, max_seq_len);

        for (size_t k = 0; k < d_k / 2; k++) {
            const float c = *at(rope->cosine, (size_t)position, k), s = *at(rope->sine, (size_t)position, k);
            const float a = *at(x, n, 2 * k), b = *at(x, n, 2 * k + 1);
            *at(y, n, 2 * k) = a * c - b * s;
            *at(y, n, 2 * k + 1) = a * s + b * c;
        }
    }
    return CS336_OK;
}

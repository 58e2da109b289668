/*
 * One Transformer layer, backward. The input of a branch reaches the sum on two paths: through the branch, and past it
 * as the residual. So its gradient is a sum of two. With d(f) for the backward pass of f:
 *
 *     y = z + FFN(norm2(z))        grad_z = grad_y + d(norm2)(d(FFN)(grad_y))
 *     z = x + MHA(norm1(x))        grad_x = grad_z + d(norm1)(d(MHA)(grad_z))
 *
 * grad_y, grad_z and grad_x are one tensor: each line overwrites the gradient of its output by that of its input. The
 * forward pass did not keep the outputs of the norms, so they are computed again.
 */
#include "nn/transformer_block.h"

#include "tests/exercises/learn.h"

/* sum += t */
static void add(Tensor sum, Tensor t)
{
    for (size_t i = 0; i < rows(sum); i++)
        for (size_t j = 0; j < columns(sum); j++)
            *at(sum, i, j) += *at(t, i, j);
}

/* The course's layer. `grad_sum` is grad_y at first, then grad_z, then grad_x. */
static Status pre_norm(Tensor grad_sum, TransformerBlock *grad, TransformerBlockSaved *saved, Tensor x,
                       const TransformerBlock *block, const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const Tensor none = {0}, normed = arena_tensor_like(scratch, x), grad_branch = arena_tensor_like(scratch, x);
    const Tensor z = saved->sum1;
    Status s = arena_status(scratch);

    /* y = z + FFN(norm2(z)) */
    if (!s)
        s = rmsnorm_forward(normed, none, z, &block->ln2);
    if (!s)
        s = feed_forward_backward(grad_branch, &grad->ffn, grad_sum, &saved->ffn, normed, &block->ffn, scratch);
    if (!s)
        s = rmsnorm_backward_add(grad_sum, &grad->ln2, grad_branch, saved->inverse_rms2, z, &block->ln2);

    /* z = x + MHA(norm1(x)) */
    if (!s)
        s = rmsnorm_forward(normed, none, x, &block->ln1);
    if (!s)
        s = mha_backward(grad_branch, &grad->attn, grad_sum, &saved->attn, normed, &block->attn, rope, positions,
                         scratch);
    if (!s)
        s = rmsnorm_backward_add(grad_sum, &grad->ln1, grad_branch, saved->inverse_rms1, x, &block->ln1);
    return s;
}

/* The ablations: z = norm1(sum1) with sum1 = x + MHA(x), and y = norm2(sum2) with sum2 = z + FFN(z); or no norm. */
static Status post_norm_or_none(Tensor grad_sum, TransformerBlock *grad, TransformerBlockSaved *saved, Tensor x,
                                const TransformerBlock *block, const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const bool post = block->norm == NORM_POST;
    const Tensor none = {0}, grad_branch = arena_tensor_like(scratch, x);
    const Tensor z = post ? arena_tensor_like(scratch, x) : saved->sum1;
    Status s = arena_status(scratch);

    /* y = norm2(z + FFN(z)) */
    if (!s && post)
        s = rmsnorm_backward(grad_sum, &grad->ln2, grad_sum, saved->inverse_rms2, saved->sum2, &block->ln2);
    if (!s && post)
        s = rmsnorm_forward(z, none, saved->sum1, &block->ln1);
    if (!s)
        s = feed_forward_backward(grad_branch, &grad->ffn, grad_sum, &saved->ffn, z, &block->ffn, scratch);
    if (!s)
        add(grad_sum, grad_branch);

    /* z = norm1(x + MHA(x)) */
    if (!s && post)
        s = rmsnorm_backward(grad_sum, &grad->ln1, grad_sum, saved->inverse_rms1, saved->sum1, &block->ln1);
    if (!s)
        s = mha_backward(grad_branch, &grad->attn, grad_sum, &saved->attn, x, &block->attn, rope, positions, scratch);
    if (!s)
        add(grad_sum, grad_branch);
    return s;
}

Status transformer_block_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y, TransformerBlockSaved *saved,
                                  Tensor x, const TransformerBlock *block, const RoPE *rope, TokenTensor positions,
                                  Arena *scratch)
{
    if (nn_check_same_shape(grad_y, x) || nn_check_same_shape(grad_x, x))
        return CS336_ESHAPE;
    const size_t mark = arena_mark(scratch);
    if (grad_x.data != grad_y.data)
        tensor_copy(grad_x, grad_y);
    const Status s = block->norm == NORM_PRE
                         ? pre_norm(grad_x, grad, saved, x, block, rope, positions, scratch)
                         : post_norm_or_none(grad_x, grad, saved, x, block, rope, positions, scratch);
    arena_release(scratch, mark);
    return s;
}

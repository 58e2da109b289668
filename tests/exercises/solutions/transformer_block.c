/*
 * One Transformer layer. The course's has a norm before each branch:
 *
 *     z = x + MHA(norm1(x))        y = z + FFN(norm2(z))
 *
 * Its ablations have a norm after each sum, z = norm1(x + MHA(x)) and y = norm2(z + FFN(z)), or none.
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

/* The course's layer. z is saved as sum1. */
static Status pre_norm(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                       const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const Tensor none = {0}, normed = arena_tensor_like(scratch, x);
    const Tensor z = saved ? saved->sum1 : arena_tensor_like(scratch, x);
    Status s = arena_status(scratch);

    /* z = x + MHA(norm1(x)) */
    if (!s)
        s = rmsnorm_forward(normed, saved ? saved->inverse_rms1 : none, x, &block->ln1);
    if (!s)
        s = mha_forward(z, saved ? &saved->attn : NULL, normed, &block->attn, rope, positions, scratch);
    if (!s)
        add(z, x);

    /* y = z + FFN(norm2(z)) */
    if (!s)
        s = rmsnorm_forward(normed, saved ? saved->inverse_rms2 : none, z, &block->ln2);
    if (!s)
        s = feed_forward_forward(y, saved ? &saved->ffn : NULL, normed, &block->ffn, scratch);
    if (!s)
        add(y, z);
    return s;
}

/* The ablations. Both sums are saved as they were before a norm. */
static Status post_norm_or_none(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const bool post = block->norm == NORM_POST;
    const Tensor none = {0}, sum1 = saved ? saved->sum1 : arena_tensor_like(scratch, x);
    const Tensor sum2 = saved && post ? saved->sum2 : y, z = post ? arena_tensor_like(scratch, x) : sum1;
    Status s = arena_status(scratch);

    /* z = norm1(x + MHA(x)) */
    if (!s)
        s = mha_forward(sum1, saved ? &saved->attn : NULL, x, &block->attn, rope, positions, scratch);
    if (!s)
        add(sum1, x);
    if (!s && post)
        s = rmsnorm_forward(z, saved ? saved->inverse_rms1 : none, sum1, &block->ln1);

    /* y = norm2(z + FFN(z)) */
    if (!s)
        s = feed_forward_forward(sum2, saved ? &saved->ffn : NULL, z, &block->ffn, scratch);
    if (!s)
        add(sum2, z);
    if (!s && post)
        s = rmsnorm_forward(y, saved ? saved->inverse_rms2 : none, sum2, &block->ln2);
    return s;
}

Status transformer_block_forward(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                 const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    if (nn_check_same_shape(y, x))
        return CS336_ESHAPE;
    const size_t mark = arena_mark(scratch);
    const Status s = block->norm == NORM_PRE ? pre_norm(y, saved, x, block, rope, positions, scratch)
                                             : post_norm_or_none(y, saved, x, block, rope, positions, scratch);
    arena_release(scratch, mark);
    return s;
}

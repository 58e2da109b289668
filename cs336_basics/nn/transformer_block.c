#include "nn/transformer_block.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

static Status check(const char *function, const char *name, Tensor y, Tensor x)
{
    if (!tensor_same_shape(y, x))
        return status_fail(CS336_ESHAPE, "%s: %s is %s, x is %s", function, name, tensor_shape_text(y),
                           tensor_shape_text(x));
    if (!tensor_rows_contiguous(y) || !tensor_rows_contiguous(x))
        return status_fail(CS336_ESHAPE, "%s: rows of x and %s must be contiguous", function, name);
    return CS336_OK;
}

/* sum += t */
static void add(Tensor sum, Tensor t)
{
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(sum), n = tensor_extent(sum, -1);
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++)
        vec->axpy(tensor_row(sum, row), 1, tensor_row(t, row), n);
}

/* What a layer keeps besides the parts of attention and feed-forward. */
static Status bind_between(TransformerBlockSaved *saved, Arena *arena, Tensor x, NormPlacement norm)
{
    const Tensor one = tensor_widen(x, 1);
    saved->residual2 = saved->inverse_rms1 = saved->inverse_rms2 = (Tensor){0};
    Status s = arena_tensor_of(arena, &saved->residual1, x.rank, x.shape);
    if (!s && norm == NORM_POST)
        s = arena_tensor_of(arena, &saved->residual2, x.rank, x.shape);
    if (!s && norm != NORM_NONE)
        s = arena_tensor_of(arena, &saved->inverse_rms1, one.rank, one.shape);
    if (!s && norm != NORM_NONE)
        s = arena_tensor_of(arena, &saved->inverse_rms2, one.rank, one.shape);
    return s;
}

/* What a norm makes for the part that reads it: not kept, the backward pass makes it again. */
static Status bind_normed(Tensor *normed, Arena *scratch, Tensor x, NormPlacement norm)
{
    *normed = (Tensor){0};
    return norm == NORM_NONE ? CS336_OK : arena_tensor_of(scratch, normed, x.rank, x.shape);
}

Status transformer_block_bind_saved(TransformerBlockSaved *saved, Arena *arena, Tensor x, const TransformerBlock *block)
{
    const size_t mark = arena_mark(arena);
    Status s = bind_between(saved, arena, x, block->norm);
    if (!s)
        s = mha_bind_saved(&saved->attn, arena, x, block->attn.num_heads);
    if (!s)
        s = feed_forward_bind_saved(&saved->ffn, arena, x, &block->ffn);
    if (s)
        arena_release(arena, mark);
    return s;
}

/* Attention and feed-forward take theirs in turn. */
static size_t scratch_of_parts(Tensor x, const TransformerBlock *block, bool saving)
{
    const size_t attention = mha_scratch(x, block->attn.num_heads), ffn = feed_forward_scratch(x, &block->ffn, saving);
    return attention > ffn ? attention : ffn;
}

size_t transformer_block_forward_scratch(Tensor x, const TransformerBlock *block)
{
    Arena measure = {0};
    TransformerBlockSaved saved;
    Tensor normed;
    if (bind_between(&saved, &measure, x, block->norm) || bind_normed(&normed, &measure, x, block->norm))
        return 0;
    return measure.peak + scratch_of_parts(x, block, false);
}

size_t transformer_block_backward_scratch(Tensor x, const TransformerBlock *block)
{
    Arena measure = {0};
    Tensor normed, branch;
    if (bind_normed(&normed, &measure, x, block->norm) || arena_tensor_of(&measure, &branch, x.rank, x.shape))
        return 0;
    return measure.peak + scratch_of_parts(x, block, true);
}

size_t transformer_block_scratch(Tensor x, const TransformerBlock *block)
{
    const size_t forward = transformer_block_forward_scratch(x, block);
    const size_t backward = transformer_block_backward_scratch(x, block);
    return forward > backward ? forward : backward;
}

/* Attention for a whole sequence, or for what follows a cache. */
typedef struct {
    MultiHeadSelfAttentionSaved *saved;
    KeyValueCache *cache;
    const RoPE *rope;
    TokenTensor positions;
} Attention;

static Status attend(Tensor y, const Attention *how, Tensor x, const MultiHeadSelfAttention *mha, Arena *scratch)
{
    return how->cache ? mha_decode(y, how->cache, x, mha, how->rope, scratch)
                      : mha_forward(y, how->saved, x, mha, how->rope, how->positions, scratch);
}

static Status run_forward(Tensor y, const TransformerBlockSaved *between, const Attention *how,
                          FeedForwardSaved *ffn_saved, Tensor x, const TransformerBlock *block, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    Tensor normed, z = between->residual1;
    Status s = bind_normed(&normed, scratch, x, block->norm);
    /* z = x + MHA(x), with its norm */
    if (!s && pre)
        s = rmsnorm_forward(normed, between->inverse_rms1, x, &block->ln1);
    if (!s)
        s = attend(z, how, pre ? normed : x, &block->attn, scratch);
    if (s)
        return s;
    add(z, x);
    if (post) {
        s = rmsnorm_forward(normed, between->inverse_rms1, z, &block->ln1);
        z = normed;
    }

    /* y = z + FFN(z), with its norm */
    const Tensor sum = post ? between->residual2 : y;
    if (pre)
        s = rmsnorm_forward(normed, between->inverse_rms2, z, &block->ln2);
    if (!s)
        s = feed_forward_forward(sum, ffn_saved, pre ? normed : z, &block->ffn, scratch);
    if (s)
        return s;
    add(sum, z);
    return post ? rmsnorm_forward(y, between->inverse_rms2, sum, &block->ln2) : CS336_OK;
}

Status transformer_block_forward(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                 const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    const Attention how = {.saved = saved ? &saved->attn : NULL, .rope = rope, .positions = positions};
    TransformerBlockSaved unsaved;
    Status s = check("transformer_block_forward", "y", y, x);
    if (!s && !saved)
        s = bind_between(&unsaved, scratch, x, block->norm);
    if (!s)
        s = run_forward(y, saved ? saved : &unsaved, &how, saved ? &saved->ffn : NULL, x, block, scratch);
    arena_release(scratch, mark);
    return s;
}

Status transformer_block_decode(Tensor y, KeyValueCache *cache, Tensor x, const TransformerBlock *block,
                                const RoPE *rope, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    const Attention how = {.cache = cache, .rope = rope};
    TransformerBlockSaved unsaved;
    Status s = check("transformer_block_decode", "y", y, x);
    if (!s)
        s = bind_between(&unsaved, scratch, x, block->norm);
    if (!s)
        s = run_forward(y, &unsaved, &how, NULL, x, block, scratch);
    arena_release(scratch, mark);
    return s;
}

/*
 * Forward, where norms stand before (pre) or after (post) or nowhere:
 *
 *     z = post(x + MHA(pre(x)))        y = post(z + FFN(pre(z)))
 *
 * Backward goes through y's line, then z's. Each input leaves by two ways, the residual and the branch, so its gradient
 * is the sum of what comes back by both: `grad` holds that of the residual, and what the branch brings is added.
 */
static Status leave_branch(Tensor grad, RMSNorm *grad_norm, Tensor branch, Tensor inverse_rms, Tensor x,
                           const RMSNorm *norm, bool pre)
{
    if (pre)
        return rmsnorm_backward_add(grad, grad_norm, branch, inverse_rms, x, norm);
    add(grad, branch);
    return CS336_OK;
}

static Status ffn_backward(Tensor grad, TransformerBlock *to, Tensor normed, Tensor branch,
                           TransformerBlockSaved *saved, const TransformerBlock *block, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    const Tensor z = saved->residual1; /* before a post-norm */
    Status s = CS336_OK;
    if (post)
        s = rmsnorm_backward(grad, &to->ln2, grad, saved->inverse_rms2, saved->residual2, &block->ln2);
    if (!s && (pre || post))
        s = rmsnorm_forward(normed, (Tensor){0}, z, pre ? &block->ln2 : &block->ln1);
    if (!s)
        s = feed_forward_backward(branch, &to->ffn, grad, &saved->ffn, pre || post ? normed : z, &block->ffn, scratch);
    return s ? s : leave_branch(grad, &to->ln2, branch, saved->inverse_rms2, z, &block->ln2, pre);
}

static Status attention_backward(Tensor grad, TransformerBlock *to, Tensor normed, Tensor branch,
                                 TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                 const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    Status s = CS336_OK;
    if (post)
        s = rmsnorm_backward(grad, &to->ln1, grad, saved->inverse_rms1, saved->residual1, &block->ln1);
    if (pre)
        s = rmsnorm_forward(normed, (Tensor){0}, x, &block->ln1);
    if (!s)
        s = mha_backward(branch, &to->attn, grad, &saved->attn, pre ? normed : x, &block->attn, rope, positions,
                         scratch);
    return s ? s : leave_branch(grad, &to->ln1, branch, saved->inverse_rms1, x, &block->ln1, pre);
}

Status transformer_block_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y, TransformerBlockSaved *saved,
                                  Tensor x, const TransformerBlock *block, const RoPE *rope, TokenTensor positions,
                                  Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Tensor normed, branch;
    Status s = check("transformer_block_backward", "grad_y", grad_y, x);
    if (!s)
        s = check("transformer_block_backward", "grad_x", grad_x, x);
    if (!s)
        s = bind_normed(&normed, scratch, x, block->norm);
    if (!s)
        s = arena_tensor_of(scratch, &branch, x.rank, x.shape);
    if (!s && grad_x.data != grad_y.data)
        tensor_copy(grad_x, grad_y);
    if (!s)
        s = ffn_backward(grad_x, grad, normed, branch, saved, block, scratch);
    if (!s)
        s = attention_backward(grad_x, grad, normed, branch, saved, x, block, rope, positions, scratch);
    arena_release(scratch, mark);
    return s;
}

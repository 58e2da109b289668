#include "nn/transformer_block.h"

#include "core/parallel.h"

static Status check(const char *function, const char *name, Tensor y, Tensor x)
{
    if (!tensor_same_shape(y, x))
        return status_fail(CS336_ESHAPE, "%s: %s is %s, x is %s", function, name, tensor_shape_text(y),
                           tensor_shape_text(x));
    if (!tensor_rows_contiguous(y) || !tensor_rows_contiguous(x))
        return status_fail(CS336_ESHAPE, "%s: rows of x and %s must be contiguous", function, name);
    return CS336_OK;
}

/* sum = a + b; sum may be either. */
static void add(Tensor sum, Tensor a, Tensor b)
{
    const size_t rows = tensor_rows(sum), n = tensor_extent(sum, -1);
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++) {
        const float *in_a = tensor_row(a, row), *in_b = tensor_row(b, row);
        float *out = tensor_row(sum, row);
        for (size_t i = 0; i < n; i++)
            out[i] = in_a[i] + in_b[i];
    }
}

/* What a layer needs besides the parts of attention and feed-forward. An input that is not normed is not kept twice. */
static Status bind_between(TransformerBlockSaved *saved, Arena *arena, Tensor x, NormPlacement norm)
{
    const Tensor one = tensor_widen(x, 1);
    saved->attn_input = saved->ffn_input = saved->residual2 = (Tensor){0};
    saved->inverse_rms1 = saved->inverse_rms2 = (Tensor){0};
    Status s = arena_tensor_of(arena, &saved->residual1, x.rank, x.shape);
    if (!s && norm == NORM_PRE)
        s = arena_tensor_of(arena, &saved->attn_input, x.rank, x.shape);
    if (!s && norm == NORM_POST)
        s = arena_tensor_of(arena, &saved->residual2, x.rank, x.shape);
    if (!s && norm != NORM_NONE)
        s = arena_tensor_of(arena, &saved->ffn_input, x.rank, x.shape);
    if (!s && norm != NORM_NONE)
        s = arena_tensor_of(arena, &saved->inverse_rms1, one.rank, one.shape);
    if (!s && norm != NORM_NONE)
        s = arena_tensor_of(arena, &saved->inverse_rms2, one.rank, one.shape);
    return s;
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

/* Gradients on the way back: through z, and through the branch that is being left. */
typedef struct {
    Tensor z, branch;
} Gradients;

static Status bind_gradients(Gradients *grad, Arena *arena, Tensor x)
{
    const Status s = arena_tensor_of(arena, &grad->z, x.rank, x.shape);
    return s ? s : arena_tensor_of(arena, &grad->branch, x.rank, x.shape);
}

/* Attention and feed-forward take theirs in turn, and as much forward as backward. */
static size_t scratch_of_parts(Tensor x, const TransformerBlock *block)
{
    const size_t attention = mha_scratch(x, block->attn.num_heads), ffn = feed_forward_scratch(x, &block->ffn);
    return attention > ffn ? attention : ffn;
}

size_t transformer_block_forward_scratch(Tensor x, const TransformerBlock *block)
{
    Arena measure = {0};
    TransformerBlockSaved saved;
    return bind_between(&saved, &measure, x, block->norm) ? 0 : measure.peak + scratch_of_parts(x, block);
}

size_t transformer_block_backward_scratch(Tensor x, const TransformerBlock *block)
{
    Arena measure = {0};
    Gradients grad;
    return bind_gradients(&grad, &measure, x) ? 0 : measure.peak + scratch_of_parts(x, block);
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

static Status run_forward(Tensor y, TransformerBlockSaved *between, const Attention *how, FeedForwardSaved *ffn_saved,
                          Tensor x, const TransformerBlock *block, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    Status s = CS336_OK;
    /* z = x + MHA(x), with its norm */
    if (pre)
        s = rmsnorm_forward(between->attn_input, between->inverse_rms1, x, &block->ln1);
    else
        between->attn_input = x;
    if (!s)
        s = attend(between->residual1, how, between->attn_input, &block->attn, scratch);
    if (s)
        return s;
    add(between->residual1, between->residual1, x);
    if (post)
        s = rmsnorm_forward(between->ffn_input, between->inverse_rms1, between->residual1, &block->ln1);
    const Tensor z = post ? between->ffn_input : between->residual1;

    /* y = z + FFN(z), with its norm */
    const Tensor sum = post ? between->residual2 : y;
    if (pre)
        s = rmsnorm_forward(between->ffn_input, between->inverse_rms2, z, &block->ln2);
    else
        between->ffn_input = z;
    if (!s)
        s = feed_forward_forward(sum, ffn_saved, between->ffn_input, &block->ffn, scratch);
    if (s)
        return s;
    add(sum, sum, z);
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
 * is the sum of what comes back by both.
 */
static Status run_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y, const Gradients *g,
                           const TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                           const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    Tensor grad_sum = grad_y;
    Status s = CS336_OK;
    if (post) {
        s = rmsnorm_backward(g->z, &grad->ln2, grad_y, saved->inverse_rms2, saved->residual2, &block->ln2);
        grad_sum = g->z;
    }
    if (!s)
        s = feed_forward_backward(g->branch, &grad->ffn, grad_sum, &saved->ffn, saved->ffn_input, &block->ffn, scratch);
    if (!s && pre)
        s = rmsnorm_backward(g->branch, &grad->ln2, g->branch, saved->inverse_rms2, saved->residual1, &block->ln2);
    if (s)
        return s;
    add(g->z, grad_sum, g->branch);

    if (post)
        s = rmsnorm_backward(g->z, &grad->ln1, g->z, saved->inverse_rms1, saved->residual1, &block->ln1);
    if (!s)
        s = mha_backward(g->branch, &grad->attn, g->z, &saved->attn, saved->attn_input, &block->attn, rope, positions,
                         scratch);
    if (!s && pre)
        s = rmsnorm_backward(g->branch, &grad->ln1, g->branch, saved->inverse_rms1, x, &block->ln1);
    if (!s && grad_x.data)
        add(grad_x, g->z, g->branch);
    return s;
}

Status transformer_block_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y,
                                  const TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                  const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Gradients g;
    Status s = check("transformer_block_backward", "grad_y", grad_y, x);
    if (!s && grad_x.data)
        s = check("transformer_block_backward", "grad_x", grad_x, x);
    if (!s)
        s = bind_gradients(&g, scratch, x);
    if (!s)
        s = run_backward(grad_x, grad, grad_y, &g, saved, x, block, rope, positions, scratch);
    arena_release(scratch, mark);
    return s;
}

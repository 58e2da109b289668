#include "nn/transformer_block.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/check.h"

static Status check(const char *function, const char *name, Tensor y, Tensor x)
{
    if (nn_check_same_shape_of(function, name, y, "x", x) || nn_check_rows_contiguous_of(function, "x", x) ||
        nn_check_rows_contiguous_of(function, name, y))
        return CS336_ESHAPE;
    return CS336_OK;
}

/* sum += t */
static void add(Tensor sum, Tensor t)
{
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(sum), n = tensor_extent(sum, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        vec->axpy(tensor_row(sum, row), 1, tensor_row(t, row), n);
}

/* ---- memory ---- */

/* Takes the saved tensors of a layer, without those of attention and feed-forward. */
static TransformerBlockSaved take_sums(Arena *arena, Tensor x, NormPlacement norm)
{
    TransformerBlockSaved saved = {.sum1 = arena_tensor_like(arena, x)};
    if (norm == NORM_POST)
        saved.sum2 = arena_tensor_like(arena, x);
    if (norm != NORM_NONE) {
        saved.inverse_rms1 = arena_tensor_like(arena, tensor_with_last(x, 1));
        saved.inverse_rms2 = arena_tensor_like(arena, tensor_with_last(x, 1));
    }
    return saved;
}

Status transformer_block_bind_saved(TransformerBlockSaved *saved, Arena *arena, Tensor x, const TransformerBlock *block)
{
    const size_t mark = arena_mark(arena);
    *saved = take_sums(arena, x, block->norm);
    /* If the sums did not fit, the arena remembers it, and this call fails. */
    Status s = mha_bind_saved(&saved->attn, arena, x, block->attn.num_heads);
    if (!s)
        s = feed_forward_bind_saved(&saved->ffn, arena, x, &block->ffn);
    if (s)
        arena_release(arena, mark);
    return s;
}

typedef struct {
    TransformerBlockSaved unsaved; /* of a forward pass that does not save */
    Tensor normed;                 /* (..., d_model), output of either norm; data NULL for NORM_NONE */
    Tensor grad_branch;            /* (..., d_model), backward only: grad_x of MHA or FFN */
} Scratch;

/* A forward pass that saves gets the scratch of the backward pass, so that one size serves a training step. */
static Scratch take_scratch(Arena *arena, Tensor x, NormPlacement norm, bool saving)
{
    Scratch scratch = {0};
    if (!saving)
        scratch.unsaved = take_sums(arena, x, norm);
    if (norm != NORM_NONE)
        scratch.normed = arena_tensor_like(arena, x);
    if (saving)
        scratch.grad_branch = arena_tensor_like(arena, x);
    return scratch;
}

size_t transformer_block_scratch(Tensor x, const TransformerBlock *block, bool saving)
{
    Arena measure = {0};
    take_scratch(&measure, x, block->norm, saving);
    arena_expect(&measure, mha_scratch(x, block->attn.num_heads));
    arena_expect(&measure, feed_forward_scratch(x, &block->ffn, saving));
    return measure.peak;
}

size_t transformer_block_saving_scratch(Tensor x, const TransformerBlock *block)
{
    Arena measure = {0};
    take_scratch(&measure, x, block->norm, true);
    arena_expect(&measure, feed_forward_scratch(x, &block->ffn, true)); /* attention takes none */
    return measure.peak;
}

/* ---- forward ---- */

/* What differs between mha_forward(), and mha_decode() and mha_decode_each(), which run if there are caches. */
typedef struct {
    MultiHeadSelfAttentionSaved *saved;
    KeyValueCache *cache;         /* for mha_decode() */
    KeyValueCache *const *caches; /* for mha_decode_each(); both NULL: x is a whole sequence */
    size_t layer;
    const RoPE *rope;
    TokenTensor positions;
} Attention;

static Status attend(Tensor y, const Attention *attention, Tensor x, const MultiHeadSelfAttention *mha, Arena *scratch)
{
    if (attention->caches)
        return mha_decode_each(y, attention->caches, attention->layer, x, mha, attention->rope, scratch);
    return attention->cache ? mha_decode(y, attention->cache, x, mha, attention->rope, scratch)
                            : mha_forward(y, attention->saved, x, mha, attention->rope, attention->positions, scratch);
}

static Status forward(Tensor y, TransformerBlockSaved *saved, const Attention *attention, Tensor x,
                      const TransformerBlock *block, Arena *scratch)
{
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    const size_t mark = arena_mark(scratch);
    const Scratch memory = take_scratch(scratch, x, block->norm, saved != NULL);
    const TransformerBlockSaved *kept = saved ? saved : &memory.unsaved;
    const Tensor normed = memory.normed, sum1 = kept->sum1, sum2 = post ? kept->sum2 : y;
    Status s = arena_status(scratch);

    /* sum1 = x + MHA(x), or x + MHA(norm1(x)) */
    if (!s && pre)
        s = rmsnorm_forward(normed, kept->inverse_rms1, x, &block->ln1);
    if (!s)
        s = attend(sum1, attention, pre ? normed : x, &block->attn, scratch);
    if (!s)
        add(sum1, x);

    /* z = sum1, or norm1(sum1) */
    const Tensor z = post ? normed : sum1;
    if (!s && post)
        s = rmsnorm_forward(z, kept->inverse_rms1, sum1, &block->ln1);

    /* sum2 = z + FFN(z), or z + FFN(norm2(z)) */
    if (!s && pre)
        s = rmsnorm_forward(normed, kept->inverse_rms2, z, &block->ln2);
    if (!s)
        s = feed_forward_forward(sum2, saved ? &saved->ffn : NULL, pre ? normed : z, &block->ffn, scratch);
    if (!s)
        add(sum2, z);

    /* y = sum2, or norm2(sum2) */
    if (!s && post)
        s = rmsnorm_forward(y, kept->inverse_rms2, sum2, &block->ln2);
    arena_release(scratch, mark);
    return s;
}

Status transformer_block_forward(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                 const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const Attention attention = {.saved = saved ? &saved->attn : NULL, .rope = rope, .positions = positions};
    const Status s = check(__func__, "y", y, x);
    return s ? s : forward(y, saved, &attention, x, block, scratch);
}

Status transformer_block_decode(Tensor y, KeyValueCache *cache, Tensor x, const TransformerBlock *block,
                                const RoPE *rope, Arena *scratch)
{
    const Attention attention = {.cache = cache, .rope = rope};
    const Status s = check(__func__, "y", y, x);
    return s ? s : forward(y, NULL, &attention, x, block, scratch);
}

Status transformer_block_decode_each(Tensor y, KeyValueCache *const *caches, size_t layer, Tensor x,
                                     const TransformerBlock *block, const RoPE *rope, Arena *scratch)
{
    const Attention attention = {.caches = caches, .layer = layer, .rope = rope};
    const Status s = check(__func__, "y", y, x);
    return s ? s : forward(y, NULL, &attention, x, block, scratch);
}

/* ---- backward ---- */

/*
 * A branch's input is also added to its output, as the residual. So the input's gradient is a sum: `grad`, that of the
 * residual, plus grad_branch, which with a pre-norm first goes back through the norm.
 */
static Status add_branch(Tensor grad, Tensor grad_branch, RMSNorm *grad_norm, Tensor inverse_rms, Tensor x,
                         const RMSNorm *norm, bool pre)
{
    if (pre)
        return rmsnorm_backward_add(grad, grad_norm, grad_branch, inverse_rms, x, norm);
    add(grad, grad_branch);
    return CS336_OK;
}

/*
 * Forward. With NORM_PRE, pre1 and pre2 are norm1 and norm2; with NORM_POST, post1 and post2 are. What is not a norm
 * returns its input:
 *
 *     sum1 = x + MHA(pre1(x))        z = post1(sum1)
 *     sum2 = z + FFN(pre2(z))        y = post2(sum2)
 *
 * Backward from the last line to the first. d(f) is the backward pass of f:
 *
 *     grad_sum2 = d(post2)(grad_y)
 *     grad_z    = grad_sum2 + d(pre2)(d(FFN)(grad_sum2))        the residual, and the branch
 *     grad_sum1 = d(post1)(grad_z)
 *     grad_x    = grad_sum1 + d(pre1)(d(MHA)(grad_sum1))
 *
 * All four are one tensor, grad_x, under several names: each line overwrites the gradient of its output by that of its
 * input. Outputs of norms were not saved and are computed again, in `normed`.
 */
Status transformer_block_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y, TransformerBlockSaved *saved,
                                  Tensor x, const TransformerBlock *block, const RoPE *rope, TokenTensor positions,
                                  Arena *scratch)
{
    if (check(__func__, "grad_y", grad_y, x) || check(__func__, "grad_x", grad_x, x))
        return CS336_ESHAPE;
    const bool pre = block->norm == NORM_PRE, post = block->norm == NORM_POST;
    const size_t mark = arena_mark(scratch);
    const Scratch memory = take_scratch(scratch, x, block->norm, true);
    const Tensor normed = memory.normed, grad_branch = memory.grad_branch;
    const Tensor sum1 = saved->sum1, sum2 = saved->sum2;
    const Tensor grad_sum2 = grad_x, grad_z = grad_x, grad_sum1 = grad_x;
    Status s = arena_status(scratch);

    /* y = post2(sum2) */
    if (!s && grad_x.data != grad_y.data)
        tensor_copy(grad_sum2, grad_y);
    if (!s && post)
        s = rmsnorm_backward(grad_sum2, &grad->ln2, grad_sum2, saved->inverse_rms2, sum2, &block->ln2);

    /* sum2 = z + FFN(pre2(z)); normed is pre2(z) with z = sum1, or z = post1(sum1) */
    if (!s && (pre || post))
        s = rmsnorm_forward(normed, (Tensor){0}, sum1, pre ? &block->ln2 : &block->ln1);
    if (!s)
        s = feed_forward_backward(grad_branch, &grad->ffn, grad_sum2, &saved->ffn, pre || post ? normed : sum1,
                                  &block->ffn, scratch);
    if (!s)
        s = add_branch(grad_z, grad_branch, &grad->ln2, saved->inverse_rms2, sum1, &block->ln2, pre);

    /* z = post1(sum1) */
    if (!s && post)
        s = rmsnorm_backward(grad_sum1, &grad->ln1, grad_z, saved->inverse_rms1, sum1, &block->ln1);

    /* sum1 = x + MHA(pre1(x)); normed is pre1(x) */
    if (!s && pre)
        s = rmsnorm_forward(normed, (Tensor){0}, x, &block->ln1);
    if (!s)
        s = mha_backward(grad_branch, &grad->attn, grad_sum1, &saved->attn, pre ? normed : x, &block->attn, rope,
                         positions, scratch);
    if (!s)
        s = add_branch(grad_x, grad_branch, &grad->ln1, saved->inverse_rms1, x, &block->ln1, pre);
    arena_release(scratch, mark);
    return s;
}

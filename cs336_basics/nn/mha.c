#include "nn/mha.h"

#include "kernels/attention.h"
#include "kernels/vecmath.h"
#include "nn/attention_plan.h"
#include "nn/functional.h"

#include <math.h>
#include <string.h>

static const AttentionMask CAUSAL = {.kind = ATTEND_CAUSAL};

static Status check(const char *function, Tensor x, size_t num_heads)
{
    if (x.rank < 2 || x.rank >= TENSOR_MAX_RANK)
        return status_fail(CS336_ESHAPE, "%s: x is %s, expected (..., seq, d_model) of rank 2 to %d", function,
                           tensor_shape_text(x), TENSOR_MAX_RANK - 1);
    if (num_heads == 0 || tensor_extent(x, -1) % num_heads != 0)
        return status_fail(CS336_ESHAPE, "%s: num_heads %zu does not divide d_model %zu", function, num_heads,
                           tensor_extent(x, -1));
    return CS336_OK;
}

static Status check_positions(const char *function, TokenTensor positions, Tensor x)
{
    TokenTensor broadcast = positions;
    if (!positions.data || tokens_broadcast(&broadcast, x.rank - 1, x.shape))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: positions are %s, x is %s", function,
                       shape_text(positions.rank, positions.shape), tensor_shape_text(x));
}

/* Returns the view (..., heads, seq, d_k) of (..., seq, d_model). */
static Tensor heads_of(Tensor t, size_t num_heads)
{
    return tensor_transpose(tensor_split(t, -1, num_heads), -3, -2);
}

/* ---- memory ---- */

/*
 * Takes query, key and value side by side in each row, so that one product can write all three, and attended. The
 * backward pass takes the same for their gradients.
 */
static MultiHeadSelfAttentionSaved take_projections(Arena *arena, Tensor x)
{
    const size_t d_model = tensor_extent(x, -1);
    const Tensor all = arena_tensor_like(arena, tensor_with_last(x, 3 * d_model));
    return (MultiHeadSelfAttentionSaved){.query = tensor_slice(all, -1, 0, d_model),
                                         .key = tensor_slice(all, -1, d_model, d_model),
                                         .value = tensor_slice(all, -1, 2 * d_model, d_model),
                                         .attended = arena_tensor_like(arena, x)};
}

static MultiHeadSelfAttentionSaved take_saved(Arena *arena, Tensor x, size_t num_heads)
{
    MultiHeadSelfAttentionSaved saved = take_projections(arena, x);
    saved.log_sum_exp = arena_tensor_like(arena, tensor_with_last(heads_of(x, num_heads), 1));
    return saved;
}

Status mha_bind_saved(MultiHeadSelfAttentionSaved *saved, Arena *arena, Tensor x, size_t num_heads)
{
    const Status s = check(__func__, x, num_heads);
    if (s)
        return s;
    const size_t mark = arena_mark(arena);
    *saved = take_saved(arena, x, num_heads);
    return arena_keep(arena, mark);
}

size_t mha_scratch(Tensor x, size_t num_heads)
{
    Arena measure = {0};
    if (check(__func__, x, num_heads))
        return 0; /* the pass will fail, and say why */

    /* The larger of what a forward pass that does not save takes, and what a backward pass takes. */
    take_saved(&measure, x, num_heads);
    arena_release(&measure, 0);
    take_projections(&measure, x);
    arena_expect(&measure, scaled_dot_product_attention_scratch(heads_of(x, num_heads)));
    return measure.peak;
}

/* ---- passes ---- */

/* attended = SDPA(query, key, value), in the dtype of the projections. All are (..., heads, seq, d_k). */
static Status attend(const MultiHeadSelfAttention *mha, Tensor attended, Tensor log_sum_exp, Tensor query, Tensor key,
                     Tensor value)
{
    return (mha->q_proj.dtype == DTYPE_BF16
                ? scaled_dot_product_attention_bf16_forward
                : scaled_dot_product_attention_forward)(attended, log_sum_exp, query, key, value, CAUSAL);
}

/* query, key, value = Wq x, Wk x, Wv x */
static Status project(const MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha)
{
    return linear_forward_all((Tensor[]){saved->query, saved->key, saved->value}, x,
                              (const Linear *[]){&mha->q_proj, &mha->k_proj, &mha->v_proj}, 3);
}

/*
 * Rotates the heads of query and key in place with rope_forward() or rope_backward(). Both are views of one tensor,
 * with the key's heads behind those of the query, so one call rotates both.
 */
static Status rotate(Status (*rope_pass)(Tensor, Tensor, TokenTensor, const RoPE *), Tensor query, size_t num_heads,
                     TokenTensor positions, const RoPE *rope)
{
    if (!rope)
        return CS336_OK;
    const Tensor heads = heads_of(tensor_with_last(query, 2 * tensor_extent(query, -1)), 2 * num_heads);
    if (positions.data)
        positions = tokens_insert(positions, -1); /* (..., 1, seq): every head has the same positions */
    return rope_pass(heads, heads, positions, rope);
}

Status mha_forward(Tensor y, MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                   const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    if (check(__func__, x, heads) || (rope && check_positions(__func__, positions, x)))
        return CS336_ESHAPE;
    const MultiHeadSelfAttentionSaved kept = saved ? *saved : take_saved(scratch, x, heads);
    Status s = arena_status(scratch);

    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = project(&kept, x, mha);
    /* query, key = RoPE(query), RoPE(key) */
    if (!s)
        s = rotate(rope_forward, kept.query, heads, positions, rope);
    /* attended = SDPA(query, key, value), for each head */
    if (!s)
        s = attend(mha, heads_of(kept.attended, heads), kept.log_sum_exp, heads_of(kept.query, heads),
                   heads_of(kept.key, heads), heads_of(kept.value, heads));
    /* y = Wo attended */
    if (!s)
        s = linear_forward(y, kept.attended, &mha->output_proj);
    arena_release(scratch, mark);
    return s;
}

/*
 * Forward, and backward from its last line to its first:
 *
 *     query, key, value = Wq x, Wk x, Wv x             linear_backward_all(): all read x, so grad_x is a sum
 *     query, key = RoPE(query), RoPE(key)              rope_backward(): the opposite rotation, in place
 *     attended = SDPA(query, key, value)               scaled_dot_product_attention_backward()
 *     y = Wo attended                                  linear_backward()
 *
 * In the code grad_heads.query is dL/dquery, and so on; `grad` holds the gradients of the weights. The softmax of SDPA
 * and its gradient are derived in functional.c.
 */
Status mha_backward(Tensor grad_x, MultiHeadSelfAttention *grad, Tensor grad_y,
                    const MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                    const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    if (check(__func__, x, heads) || (rope && check_positions(__func__, positions, x)))
        return CS336_ESHAPE;
    const MultiHeadSelfAttentionSaved grad_heads = take_projections(scratch, x);
    Status s = arena_status(scratch);

    /* y = Wo attended */
    if (!s)
        s = linear_backward(grad_heads.attended, &grad->output_proj, grad_y, saved->attended, &mha->output_proj);
    /* attended = SDPA(query, key, value) */
    if (!s)
        s = (mha->q_proj.dtype == DTYPE_BF16 ? scaled_dot_product_attention_bf16_backward
                                             : scaled_dot_product_attention_backward)(
            heads_of(grad_heads.query, heads), heads_of(grad_heads.key, heads), heads_of(grad_heads.value, heads),
            heads_of(grad_heads.attended, heads), heads_of(saved->attended, heads), saved->log_sum_exp,
            heads_of(saved->query, heads), heads_of(saved->key, heads), heads_of(saved->value, heads), CAUSAL, scratch);
    /* query, key = RoPE(query), RoPE(key) */
    if (!s)
        s = rotate(rope_backward, grad_heads.query, heads, positions, rope);
    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = linear_backward_all(grad_x, (Linear *[]){&grad->q_proj, &grad->k_proj, &grad->v_proj},
                                (Tensor[]){grad_heads.query, grad_heads.key, grad_heads.value}, x,
                                (const Linear *[]){&mha->q_proj, &mha->k_proj, &mha->v_proj}, 3);
    arena_release(scratch, mark);
    return s;
}

/* ---- decoding ---- */

static Status check_cache(const char *function, const KeyValueCache *cache, Tensor x, size_t num_heads,
                          const RoPE *rope)
{
    const size_t seq = tensor_extent(x, -2);
    Tensor expected = heads_of(x, num_heads);
    const size_t capacity = cache->key.rank == expected.rank ? tensor_extent(cache->key, -2) : 0;
    expected.shape[expected.rank - 2] = capacity;
    if (!tensor_same_shape(cache->key, expected) || !tensor_same_shape(cache->value, expected))
        return status_fail(CS336_ESHAPE, "%s: cache is %s and %s, x is %s with %zu heads", function,
                           tensor_shape_text(cache->key), tensor_shape_text(cache->value), tensor_shape_text(x),
                           num_heads);
    if (cache->length > capacity || seq > capacity - cache->length)
        return status_fail(CS336_ESHAPE, "%s: cache holds %zu of %zu rows, %zu more do not fit", function,
                           cache->length, capacity, seq);
    if (rope && tensor_extent(rope->cosine, -1) * 2 != tensor_extent(expected, -1))
        return status_fail(CS336_ESHAPE, "%s: the tables of rope are for d_k %zu, x has d_k %zu", function,
                           tensor_extent(rope->cosine, -1) * 2, tensor_extent(expected, -1));
    if (rope && cache->length + seq > tensor_extent(rope->cosine, 0))
        return status_fail(CS336_ERANGE, "%s: position %zu is not in [0, %zu)", function, cache->length + seq - 1,
                           tensor_extent(rope->cosine, 0));
    return CS336_OK;
}

/*
 * query, key = RoPE(query), RoPE(key). The first row has the position `length`: views of the tables from there on give
 * the right angles to rows 0, 1, ...
 */
static Status rotate_following(Tensor query, size_t num_heads, size_t length, const RoPE *rope)
{
    RoPE following = {0};
    if (rope) {
        const size_t positions = tensor_extent(rope->cosine, 0) - length;
        following.cosine = tensor_slice(rope->cosine, 0, length, positions);
        following.sine = tensor_slice(rope->sine, 0, length, positions);
    }
    return rotate(rope_forward, query, num_heads, (TokenTensor){0}, rope ? &following : NULL);
}

/* Rotates query and key, appends key and value to the cache, and attends. The cache's length stays. */
static Status attend_following(const MultiHeadSelfAttentionSaved *fresh, const KeyValueCache *cache,
                               const MultiHeadSelfAttention *mha, const RoPE *rope)
{
    const size_t heads = mha->num_heads, length = cache->length, seq = tensor_extent(fresh->query, -2);
    const Status s = rotate_following(fresh->query, heads, length, rope);
    if (s)
        return s;
    /* attended = SDPA(query, all keys, all values) */
    tensor_copy(tensor_slice(cache->key, -2, length, seq), heads_of(fresh->key, heads));
    tensor_copy(tensor_slice(cache->value, -2, length, seq), heads_of(fresh->value, heads));
    return attend(mha, heads_of(fresh->attended, heads), fresh->log_sum_exp, heads_of(fresh->query, heads),
                  tensor_slice(cache->key, -2, 0, length + seq), tensor_slice(cache->value, -2, 0, length + seq));
}

Status mha_decode(Tensor y, KeyValueCache *cache, Tensor x, const MultiHeadSelfAttention *mha, const RoPE *rope,
                  Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    Status s = check(__func__, x, heads);
    if (!s)
        s = check_cache(__func__, cache, x, heads, rope);
    if (s)
        return s;
    const MultiHeadSelfAttentionSaved fresh = take_saved(scratch, x, heads); /* of the tokens in x */
    s = arena_status(scratch);

    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = project(&fresh, x, mha);
    /* attended = SDPA(RoPE(query), cached and fresh keys and values) */
    if (!s)
        s = attend_following(&fresh, cache, mha, rope);
    /* y = Wo attended */
    if (!s)
        s = linear_forward(y, fresh.attended, &mha->output_proj);
    if (!s)
        cache->length += tensor_extent(x, -2);
    arena_release(scratch, mark);
    return s;
}

/*
 * For one head of one sequence with one new token: query, key = RoPE(query), RoPE(key); appends key and value to the
 * cache; attended = SDPA(query, all keys, all values). All rows are d_k numbers of that token and head.
 */
static void attend_alone(const AttentionKernels *kernels, float *attended, float *query, float *key, const float *value,
                         const KeyValueCache *cache, size_t head, const RoPE *rope)
{
    const size_t length = cache->length, d_k = tensor_extent(cache->key, -1), capacity = tensor_extent(cache->key, -2);
    const VecmathKernels *vec = vecmath();
    if (rope) { /* as rope_forward() for the position `length` */
        const float *cosine = tensor_row(rope->cosine, length), *sine = tensor_row(rope->sine, length);
        vec->rotate(query, 0, query, 0, 1, cosine, sine, 1, d_k / 2);
        vec->rotate(key, 0, key, 0, 1, cosine, sine, 1, d_k / 2);
    }
    memcpy(tensor_row(cache->key, head * capacity + length), key, d_k * sizeof *key);
    memcpy(tensor_row(cache->value, head * capacity + length), value, d_k * sizeof *value);
    const AttentionQuery all = {.query = query,
                                .key = tensor_row(cache->key, head * capacity),
                                .value = tensor_row(cache->value, head * capacity),
                                .key_stride = cache->key.stride[cache->key.rank - 2],
                                .value_stride = cache->value.stride[cache->value.rank - 2],
                                .keys = length + 1,
                                .d_k = d_k,
                                .d_v = d_k,
                                .scale = 1 / sqrtf((float)d_k)};
    kernels->attend(attended, NULL, &all);
}

/* No two sequences share keys, so there is nothing that one product could reuse: threads take heads. */
static void attend_each(const MultiHeadSelfAttentionSaved *fresh, KeyValueCache *const *caches, size_t layer,
                        const MultiHeadSelfAttention *mha, const RoPE *rope)
{
    const AttentionKernels *kernels = mha->q_proj.dtype == DTYPE_BF16 ? attention_bf16_kernels() : attention_kernels();
    const size_t heads = mha->num_heads, sequences = fresh->query.shape[0],
                 d_k = tensor_extent(fresh->query, -1) / heads;
    size_t keys = 0;
    for (size_t i = 0; i < sequences; i++)
        keys += heads * (caches[i][layer].length + 1);
#pragma omp parallel for num_threads(attention_few_threads(keys, d_k, d_k))
    for (size_t task = 0; task < sequences * heads; task++) {
        const size_t sequence = task / heads, head = task % heads, offset = head * d_k;
        attend_alone(kernels, tensor_row(fresh->attended, sequence) + offset,
                     tensor_row(fresh->query, sequence) + offset, tensor_row(fresh->key, sequence) + offset,
                     tensor_row(fresh->value, sequence) + offset, &caches[sequence][layer], head, rope);
    }
}

/* The projections of all sequences are one product each. */
Status mha_decode_each(Tensor y, KeyValueCache *const *caches, size_t layer, Tensor x,
                       const MultiHeadSelfAttention *mha, const RoPE *rope, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch), sequences = x.shape[0];
    Status s = check(__func__, x, heads);
    if (!s && (x.rank != 3 || x.shape[1] != 1))
        s = status_fail(CS336_ESHAPE, "%s: x is %s, expected (sequences, 1, d_model)", __func__, tensor_shape_text(x));
    for (size_t i = 0; !s && i < sequences; i++)
        s = check_cache(__func__, &caches[i][layer], tensor_slice(x, 0, i, 1), heads, rope);
    if (s)
        return s;
    const MultiHeadSelfAttentionSaved fresh = take_projections(scratch, x); /* of the tokens in x */
    s = arena_status(scratch);

    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = project(&fresh, x, mha);
    /* attended = SDPA(RoPE(query), cached and fresh keys and values), for each sequence */
    if (!s)
        attend_each(&fresh, caches, layer, mha, rope);
    /* y = Wo attended */
    if (!s)
        s = linear_forward(y, fresh.attended, &mha->output_proj);
    arena_release(scratch, mark);
    return s;
}

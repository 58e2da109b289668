#include "nn/mha.h"

#include "nn/functional.h"

static const AttentionMask CAUSAL = {.kind = ATTEND_CAUSAL};

static Status check_input(const char *function, Tensor x, size_t num_heads)
{
    if (x.rank < 2 || x.rank >= TENSOR_MAX_RANK)
        return status_fail(CS336_ESHAPE, "%s: x is %s, expected (..., seq, d_model) of rank 2 to %d", function,
                           tensor_shape_text(x), TENSOR_MAX_RANK - 1);
    if (num_heads == 0 || tensor_extent(x, -1) % num_heads != 0)
        return status_fail(CS336_ESHAPE, "%s: num_heads %zu does not divide d_model %zu", function, num_heads,
                           tensor_extent(x, -1));
    return CS336_OK;
}

/* (..., seq, d_model) seen as (..., heads, seq, d_k) */
static Tensor heads_of(Tensor t, size_t num_heads)
{
    return tensor_transpose(tensor_split(t, -1, num_heads), -3, -2);
}

/* (..., seq) seen as (..., 1, seq): every head has the same positions. */
static TokenTensor for_all_heads(TokenTensor positions)
{
    const int last = positions.rank - 1;
    if (!positions.data || last == 0 || positions.rank == TENSOR_MAX_RANK)
        return positions;
    positions.shape[last + 1] = positions.shape[last];
    positions.stride[last + 1] = positions.stride[last];
    positions.shape[last] = 1;
    positions.stride[last] = 0;
    positions.rank++;
    return positions;
}

/* q, k and v lie side by side in a row, so that one product can write all three. */
static Status bind_projections(Tensor *query, Tensor *key, Tensor *value, Arena *arena, Tensor x)
{
    const size_t d_model = tensor_extent(x, -1);
    Tensor all = tensor_with_last(x, 3 * d_model);
    const Status s = arena_tensor_of(arena, &all, all.rank, all.shape);
    *query = tensor_slice(all, -1, 0, d_model);
    *key = tensor_slice(all, -1, d_model, d_model);
    *value = tensor_slice(all, -1, 2 * d_model, d_model);
    return s;
}

/* query and key in one view, which has twice as many heads. */
static Tensor beside_key(Tensor query)
{
    return tensor_with_last(query, 2 * tensor_extent(query, -1));
}

Status mha_bind_saved(MultiHeadSelfAttentionSaved *saved, Arena *arena, Tensor x, size_t num_heads)
{
    Status s = check_input("mha_bind_saved", x, num_heads);
    if (s)
        return s;
    const size_t mark = arena_mark(arena);
    const Tensor row_of_heads = tensor_with_last(heads_of(x, num_heads), 1);
    s = bind_projections(&saved->query, &saved->key, &saved->value, arena, x);
    if (!s)
        s = arena_tensor_of(arena, &saved->attended, x.rank, x.shape);
    if (!s)
        s = arena_tensor_of(arena, &saved->log_sum_exp, row_of_heads.rank, row_of_heads.shape);
    if (s)
        arena_release(arena, mark);
    return s;
}

/* Gradients of what the forward pass saved, in the same layout. */
typedef struct {
    Tensor query, key, value, attended;
} Gradients;

static Status bind_gradients(Gradients *grad, Arena *arena, Tensor x)
{
    const Status s = bind_projections(&grad->query, &grad->key, &grad->value, arena, x);
    return s ? s : arena_tensor_of(arena, &grad->attended, x.rank, x.shape);
}

size_t mha_scratch(Tensor x, size_t num_heads)
{
    Arena forward = {0}, backward = {0};
    MultiHeadSelfAttentionSaved saved;
    Gradients grad;
    void *attention;
    if (mha_bind_saved(&saved, &forward, x, num_heads) || bind_gradients(&grad, &backward, x) ||
        arena_take(&backward, &attention, scaled_dot_product_attention_scratch(heads_of(x, num_heads))))
        return 0;
    return forward.peak > backward.peak ? forward.peak : backward.peak;
}

static Status project(const MultiHeadSelfAttentionSaved *to, Tensor x, const MultiHeadSelfAttention *mha)
{
    Linear all;
    if (linear_join(&all, (const Linear *[]){&mha->q_proj, &mha->k_proj, &mha->v_proj}, 3))
        return linear_forward(tensor_with_last(to->query, 3 * tensor_extent(x, -1)), x, &all);
    Status s = linear_forward(to->query, x, &mha->q_proj);
    if (!s)
        s = linear_forward(to->key, x, &mha->k_proj);
    if (!s)
        s = linear_forward(to->value, x, &mha->v_proj);
    return s;
}

static Status check_positions(const char *function, TokenTensor positions, Tensor x)
{
    TokenTensor each = positions;
    if (!positions.data || tokens_broadcast(&each, x.rank - 1, x.shape))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: positions are %s, x is %s", function,
                       shape_text(positions.rank, positions.shape), tensor_shape_text(x));
}

static Status rotate_in_place(Status (*rotate)(Tensor, Tensor, TokenTensor, const RoPE *), Tensor t, size_t num_heads,
                              TokenTensor positions, const RoPE *rope)
{
    const Tensor heads = heads_of(t, num_heads);
    return rope ? rotate(heads, heads, for_all_heads(positions), rope) : CS336_OK;
}

Status mha_forward(Tensor y, MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                   const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    Status s = check_input("mha_forward", x, heads);
    if (!s && rope)
        s = check_positions("mha_forward", positions, x);
    if (s)
        return s;
    MultiHeadSelfAttentionSaved unsaved;
    if (!saved) {
        saved = &unsaved;
        s = mha_bind_saved(saved, scratch, x, heads);
    }
    if (!s)
        s = project(saved, x, mha);
    if (!s)
        s = rotate_in_place(rope_forward, beside_key(saved->query), 2 * heads, positions, rope);
    if (!s)
        s = scaled_dot_product_attention_forward(heads_of(saved->attended, heads), saved->log_sum_exp,
                                                 heads_of(saved->query, heads), heads_of(saved->key, heads),
                                                 heads_of(saved->value, heads), CAUSAL);
    if (!s)
        s = linear_forward(y, saved->attended, &mha->output_proj);
    arena_release(scratch, mark);
    return s;
}

/* Forward: query = Wq x, key = Wk x, value = Wv x. All three lead back to x, so their gradients add. */
static Status project_backward(Tensor grad_x, MultiHeadSelfAttention *grad, const Gradients *from, Tensor x,
                               const MultiHeadSelfAttention *mha)
{
    Linear all, grad_all;
    if (linear_join(&all, (const Linear *[]){&mha->q_proj, &mha->k_proj, &mha->v_proj}, 3) &&
        linear_join(&grad_all, (const Linear *[]){&grad->q_proj, &grad->k_proj, &grad->v_proj}, 3))
        return linear_backward(grad_x, &grad_all, tensor_with_last(from->query, 3 * tensor_extent(x, -1)), x, &all);
    Status s = linear_backward(grad_x, &grad->q_proj, from->query, x, &mha->q_proj);
    if (!s)
        s = linear_backward_add(grad_x, &grad->k_proj, from->key, x, &mha->k_proj);
    if (!s)
        s = linear_backward_add(grad_x, &grad->v_proj, from->value, x, &mha->v_proj);
    return s;
}

/*
 * Forward, and backward from its last line to its first:
 *
 *     query, key, value = Wq x, Wk x, Wv x             project_backward()
 *     query, key = RoPE(query), RoPE(key)              rope_backward(), the opposite rotation, in place
 *     attended = SDPA(query, key, value)               scaled_dot_product_attention_backward()
 *     y = Wo attended                                  linear_backward()
 */
Status mha_backward(Tensor grad_x, MultiHeadSelfAttention *grad, Tensor grad_y,
                    const MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                    const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    Status s = check_input("mha_backward", x, heads);
    if (!s && rope)
        s = check_positions("mha_backward", positions, x);
    if (s)
        return s;
    Gradients from;
    s = bind_gradients(&from, scratch, x);
    if (!s)
        s = linear_backward(from.attended, &grad->output_proj, grad_y, saved->attended, &mha->output_proj);
    if (!s)
        s = scaled_dot_product_attention_backward(
            heads_of(from.query, heads), heads_of(from.key, heads), heads_of(from.value, heads),
            heads_of(from.attended, heads), heads_of(saved->attended, heads), saved->log_sum_exp,
            heads_of(saved->query, heads), heads_of(saved->key, heads), heads_of(saved->value, heads), CAUSAL, scratch);
    if (!s)
        s = rotate_in_place(rope_backward, beside_key(from.query), 2 * heads, positions, rope);
    if (!s)
        s = project_backward(grad_x, grad, &from, x, mha);
    arena_release(scratch, mark);
    return s;
}

static Status check_cache(const KeyValueCache *cache, Tensor x, size_t num_heads, const RoPE *rope)
{
    Status s = check_input("mha_decode", x, num_heads);
    if (s)
        return s;
    const size_t seq = tensor_extent(x, -2);
    Tensor expected = heads_of(x, num_heads);
    const size_t capacity = cache->key.rank == expected.rank ? tensor_extent(cache->key, -2) : 0;
    expected.shape[expected.rank - 2] = capacity;
    if (!tensor_same_shape(cache->key, expected) || !tensor_same_shape(cache->value, expected))
        return status_fail(CS336_ESHAPE, "mha_decode: cache is %s and %s, x is %s with %zu heads",
                           tensor_shape_text(cache->key), tensor_shape_text(cache->value), tensor_shape_text(x),
                           num_heads);
    if (cache->length > capacity || seq > capacity - cache->length)
        return status_fail(CS336_ESHAPE, "mha_decode: cache holds %zu of %zu rows, %zu more do not fit", cache->length,
                           capacity, seq);
    if (rope && cache->length + seq > tensor_extent(rope->cosine, 0))
        return status_fail(CS336_ERANGE, "mha_decode: position %zu is not in [0, %zu)", cache->length + seq - 1,
                           tensor_extent(rope->cosine, 0));
    return CS336_OK;
}

/* Tables whose row 0 is position `first`. */
static RoPE rope_from(const RoPE *rope, size_t first)
{
    const size_t rest = tensor_extent(rope->cosine, 0) - first;
    return (RoPE){tensor_slice(rope->cosine, 0, first, rest), tensor_slice(rope->sine, 0, first, rest)};
}

/* Rotates the projected rows for the positions after the cached ones, and appends keys and values to the cache. */
static Status append(KeyValueCache *cache, const MultiHeadSelfAttentionSaved *now, size_t heads, const RoPE *rope)
{
    const TokenTensor counted = {0};
    const size_t seq = tensor_extent(now->key, -2);
    const RoPE ahead = rope ? rope_from(rope, cache->length) : (RoPE){0};
    Status s = rotate_in_place(rope_forward, now->query, heads, counted, rope ? &ahead : NULL);
    if (!s)
        s = rotate_in_place(rope_forward, now->key, heads, counted, rope ? &ahead : NULL);
    if (s)
        return s;
    tensor_copy(tensor_slice(cache->key, -2, cache->length, seq), heads_of(now->key, heads));
    tensor_copy(tensor_slice(cache->value, -2, cache->length, seq), heads_of(now->value, heads));
    return CS336_OK;
}

Status mha_decode(Tensor y, KeyValueCache *cache, Tensor x, const MultiHeadSelfAttention *mha, const RoPE *rope,
                  Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    Status s = check_cache(cache, x, heads, rope);
    if (s)
        return s;
    const size_t length = cache->length + tensor_extent(x, -2);
    const Tensor keys = tensor_slice(cache->key, -2, 0, length), values = tensor_slice(cache->value, -2, 0, length);
    MultiHeadSelfAttentionSaved now;
    s = mha_bind_saved(&now, scratch, x, heads);
    if (!s)
        s = project(&now, x, mha);
    if (!s)
        s = append(cache, &now, heads, rope);
    if (!s)
        s = scaled_dot_product_attention_forward(heads_of(now.attended, heads), now.log_sum_exp,
                                                 heads_of(now.query, heads), keys, values, CAUSAL);
    if (!s)
        s = linear_forward(y, now.attended, &mha->output_proj);
    if (!s)
        cache->length = length;
    arena_release(scratch, mark);
    return s;
}

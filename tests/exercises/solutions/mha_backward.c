/*
 * Causal multi-head self-attention, backward: the lines of the forward pass, from the last to the first.
 *
 *     query, key, value = Wq x, Wk x, Wv x        linear_backward(), then linear_backward_add(): grad_x is a sum
 *     query, key = RoPE(query), RoPE(key)         rope_backward(), in place
 *     attended = SDPA(query, key, value)          scaled_dot_product_attention_backward()
 *     y = Wo attended                             linear_backward()
 */
#include "nn/mha.h"

#include "nn/functional.h"
#include "tests/exercises/learn.h"

/* Views (..., seq, d_model) as (..., heads, seq, d_k). */
static Tensor heads_of(Tensor t, size_t num_heads)
{
    return tensor_transpose(tensor_split(t, -1, num_heads), -3, -2);
}

Status mha_backward(Tensor grad_x, MultiHeadSelfAttention *grad, Tensor grad_y,
                    const MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                    const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, d_model = columns(x), mark = arena_mark(scratch);
    if (heads == 0 || d_model % heads != 0)
        return status_fail(CS336_ESHAPE, "mha_backward: num_heads %zu does not divide d_model %zu", heads, d_model);

    /* Gradients of query, key and value, side by side in one tensor, and of attended. */
    const Tensor all = arena_tensor_like(scratch, tensor_with_last(x, 3 * d_model));
    const Tensor grad_query = tensor_slice(all, -1, 0, d_model), grad_key = tensor_slice(all, -1, d_model, d_model);
    const Tensor grad_value = tensor_slice(all, -1, 2 * d_model, d_model);
    const Tensor grad_attended = arena_tensor_like(scratch, x);
    Status s = arena_status(scratch);

    /* y = Wo attended */
    if (!s)
        s = linear_backward(grad_attended, &grad->output_proj, grad_y, saved->attended, &mha->output_proj);

    /* attended = SDPA(query, key, value), for each head */
    const AttentionMask causal = {.kind = ATTEND_CAUSAL};
    const Tensor grad_q = heads_of(grad_query, heads), grad_k = heads_of(grad_key, heads);
    const Tensor grad_v = heads_of(grad_value, heads), grad_o = heads_of(grad_attended, heads);
    const Tensor q = heads_of(saved->query, heads), k = heads_of(saved->key, heads);
    const Tensor v = heads_of(saved->value, heads), o = heads_of(saved->attended, heads);
    if (!s)
        s = scaled_dot_product_attention_backward(grad_q, grad_k, grad_v, grad_o, o, saved->log_sum_exp, q, k, v,
                                                  causal, scratch);

    /* query, key = RoPE(query), RoPE(key) */
    if (positions.data)
        positions = tokens_insert(positions, -1);
    if (rope && !s)
        s = rope_backward(grad_q, grad_q, positions, rope);
    if (rope && !s)
        s = rope_backward(grad_k, grad_k, positions, rope);

    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = linear_backward(grad_x, &grad->q_proj, grad_query, x, &mha->q_proj);
    if (!s)
        s = linear_backward_add(grad_x, &grad->k_proj, grad_key, x, &mha->k_proj);
    if (!s)
        s = linear_backward_add(grad_x, &grad->v_proj, grad_value, x, &mha->v_proj);
    arena_release(scratch, mark);
    return s;
}

/*
 * Causal multi-head self-attention: three linear maps make query, key and value, each head attends in its own d_k
 * columns of them, and a fourth map mixes the heads.
 */
#include "nn/mha.h"

#include "nn/functional.h"
#include "tests/exercises/learn.h"

/* Views (..., seq, d_model) as (..., heads, seq, d_k): x.view(..., seq, heads, d_k).transpose(-3, -2) in PyTorch. */
static Tensor heads_of(Tensor t, size_t num_heads)
{
    return tensor_transpose(tensor_split(t, -1, num_heads), -3, -2);
}

Status mha_forward(Tensor y, MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                   const RoPE *rope, TokenTensor positions, Arena *scratch)
{
    const size_t heads = mha->num_heads, mark = arena_mark(scratch);
    if (heads == 0 || columns(x) % heads != 0)
        return status_fail(CS336_ESHAPE, "mha_forward: num_heads %zu does not divide d_model %zu", heads, columns(x));

    /* query, key, value, attended and log_sum_exp: the caller's, or our own if no backward pass follows. */
    MultiHeadSelfAttentionSaved own = {0};
    Status s = saved ? CS336_OK : mha_bind_saved(&own, scratch, x, heads);
    const MultiHeadSelfAttentionSaved kept = saved ? *saved : own;

    /* query, key, value = Wq x, Wk x, Wv x */
    if (!s)
        s = linear_forward(kept.query, x, &mha->q_proj);
    if (!s)
        s = linear_forward(kept.key, x, &mha->k_proj);
    if (!s)
        s = linear_forward(kept.value, x, &mha->v_proj);

    /* query, key = RoPE(query), RoPE(key), for each head and in place. All heads have the same positions. */
    if (positions.data)
        positions = tokens_insert(positions, -1); /* (..., 1, seq) */
    if (!s && rope)
        s = rope_forward(heads_of(kept.query, heads), heads_of(kept.query, heads), positions, rope);
    if (!s && rope)
        s = rope_forward(heads_of(kept.key, heads), heads_of(kept.key, heads), positions, rope);

    /* attended = SDPA(query, key, value), for each head */
    if (!s)
        s = scaled_dot_product_attention_forward(heads_of(kept.attended, heads), kept.log_sum_exp,
                                                 heads_of(kept.query, heads), heads_of(kept.key, heads),
                                                 heads_of(kept.value, heads), (AttentionMask){.kind = ATTEND_CAUSAL});

    /* y = Wo attended. As (..., seq, d_model), attended has the heads side by side. */
    if (!s)
        s = linear_forward(y, kept.attended, &mha->output_proj);
    arena_release(scratch, mark);
    return s;
}

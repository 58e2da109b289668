#include "inspect/attention_weights.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

#include <math.h>

/* Given to transformer_block_forward(), it stands for the positions 0, 1, 2, ... */
static const TokenTensor NO_POSITIONS = {0};

typedef struct {
    Tensor x, y; /* (seq, d_model), input and output of a layer */
    TransformerBlockSaved saved;
} Memory;

/* Takes the input, the output and the saved tensors of one layer. All layers use the same memory. */
static Status bind(Memory *memory, Arena *arena, const TransformerLM *lm, size_t seq)
{
    memory->x = arena_tensor(arena, seq, lm->config.d_model);
    memory->y = arena_tensor_like(arena, memory->x);
    return transformer_block_bind_saved(&memory->saved, arena, memory->x, &lm->layers[0]);
}

size_t attention_weights_scratch(const TransformerLM *lm, size_t seq)
{
    Memory memory;
    Arena measure = {0};
    if (bind(&memory, &measure, lm, seq))
        return SIZE_MAX;
    arena_expect(&measure, transformer_block_scratch(memory.x, &lm->layers[0], true));
    return measure.peak;
}

static Status check(Tensor weights, Tensor logits, const TransformerLM *lm, TokenTensor ids)
{
    const TransformerLMConfig *c = &lm->config;
    const size_t seq = ids.shape[0];
    if (ids.rank != 1 || seq == 0 || seq > c->context_length)
        return status_fail(CS336_ESHAPE, "attention_weights: ids are %s, expected 1 to %zu ids",
                           shape_text(ids.rank, ids.shape), c->context_length);
    const Tensor expected = tensor(NULL, c->num_layers, c->num_heads, seq, seq);
    if (!tensor_same_shape(weights, expected) || !tensor_contiguous(weights))
        return status_fail(CS336_ESHAPE, "attention_weights: weights are %s, expected contiguous %s",
                           tensor_shape_text(weights), tensor_shape_text(expected));
    if (logits.data && !tensor_same_shape(logits, tensor(NULL, c->vocab_size)))
        return status_fail(CS336_ESHAPE, "attention_weights: logits are %s, expected (%zu)", tensor_shape_text(logits),
                           c->vocab_size);
    return CS336_OK;
}

/*
 * The weights of one query of one head: softmax(q k^T / sqrt(d_k)), and 0 for the keys after the query. The backward
 * pass subtracts the saved log_sum_exp from scores that are computed a second time. Both carry the rounding of the
 * scores, 1e-4 for scores near 1000, so its weights may sum to 1.0001. Here the sum is taken from the weights
 * themselves.
 */
static void query_weights(float *weights, const MultiHeadSelfAttentionSaved *saved, size_t head, size_t query,
                          size_t seq, size_t d_k)
{
    const VecmathKernels *vec = vecmath();
    const float scale = 1 / sqrtf((float)d_k);
    const float *q = tensor_row(saved->query, query) + head * d_k;
    const size_t seen = query + 1;
    for (size_t key = 0; key < seen; key++)
        weights[key] = scale * vec->dot(q, tensor_row(saved->key, key) + head * d_k, d_k);
    const float sum = vec->exp_shifted(weights, weights, vec->max(weights, seen), seen);
    vec->scale(weights, 1 / sum, weights, seen);
    for (size_t key = seen; key < seq; key++)
        weights[key] = 0;
}

/* The weights of all heads of a layer, (num_heads, seq, seq). */
static void layer_weights(Tensor weights, const MultiHeadSelfAttentionSaved *saved, size_t d_k)
{
    const size_t rows = tensor_rows(weights), seq = tensor_extent(weights, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *seq))
    for (size_t row = 0; row < rows; row++)
        query_weights(tensor_row(weights, row), saved, row / seq, row % seq, seq, d_k);
}

/* logits = lm_head(norm(x)) of the last token. */
static Status next_logits(Tensor logits, const TransformerLM *lm, Tensor x)
{
    const Tensor last = tensor_select(x, 0, tensor_extent(x, 0) - 1);
    Status s = CS336_OK;
    if (lm->config.norm != NORM_NONE)
        s = rmsnorm_forward(last, (Tensor){0}, last, &lm->ln_final);
    return s ? s : linear_forward(logits, last, &lm->lm_head);
}

Status attention_weights(Tensor weights, Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch)
{
    const TransformerLMConfig *c = &lm->config;
    const RoPE *rope = c->position == POSITION_ROPE ? &lm->rope : NULL;
    const size_t mark = arena_mark(scratch);
    Memory memory;
    Status s = check(weights, logits, lm, ids);
    if (!s)
        s = bind(&memory, scratch, lm, ids.shape[0]);
    if (!s)
        s = embedding_forward(memory.x, ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < c->num_layers; i++) {
        s = transformer_block_forward(memory.y, &memory.saved, memory.x, &lm->layers[i], rope, NO_POSITIONS, scratch);
        if (!s)
            layer_weights(tensor_select(weights, 0, i), &memory.saved.attn, c->d_model / c->num_heads);
        const Tensor input = memory.x;
        memory.x = memory.y;
        memory.y = input;
    }
    if (!s && logits.data)
        s = next_logits(logits, lm, memory.x);
    arena_release(scratch, mark);
    return s;
}

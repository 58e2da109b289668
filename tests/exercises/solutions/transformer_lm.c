/* The language model: token ids -> embeddings -> layers -> final norm -> lm_head -> logits. */
#include "nn/transformer_lm.h"

#include "tests/exercises/learn.h"

Status transformer_lm_forward(Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch)
{
    const TransformerLMConfig *config = &lm->config;
    const RoPE *rope = config->position == POSITION_ROPE ? &lm->rope : NULL;
    const TokenTensor no_positions = {0}; /* 0, 1, 2, ... */
    if (nn_check_ids(ids, logits))
        return CS336_ESHAPE;
    if (ids.shape[ids.rank - 1] > config->context_length)
        return status_fail(CS336_ESHAPE, "transformer_lm_forward: a sequence of %zu ids, context_length is %zu",
                           ids.shape[ids.rank - 1], config->context_length);

    /* Two tensors (..., seq, d_model): each layer reads x and writes y. */
    const size_t mark = arena_mark(scratch);
    Tensor x = arena_tensor_like(scratch, tensor_with_last(logits, config->d_model));
    Tensor y = arena_tensor_like(scratch, x);
    Status s = arena_status(scratch);

    /* x = embed(ids) */
    if (!s)
        s = embedding_forward(x, ids, &lm->token_embeddings);

    /* x = layer_i(x) */
    for (size_t i = 0; !s && i < config->num_layers; i++) {
        s = transformer_block_forward(y, NULL, x, &lm->layers[i], rope, no_positions, scratch);
        const Tensor written = y;
        y = x;
        x = written;
    }

    /* logits = lm_head(norm(x)) */
    if (!s && config->norm != NORM_NONE)
        s = rmsnorm_forward(x, (Tensor){0}, x, &lm->ln_final);
    if (!s)
        s = linear_forward(logits, x, &lm->lm_head);
    arena_release(scratch, mark);
    return s;
}

/* The passes of the language model. Its parameters are described in transformer_lm_parameters.c. */
#include "nn/transformer_lm.h"

#include "nn/linear_cross_entropy.h"

static const TokenTensor COUNTED = {0};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static const RoPE *rope_of(const TransformerLM *lm)
{
    return lm->config.position == POSITION_ROPE ? &lm->rope : NULL;
}

/* The shape of what flows between layers, (..., seq, d_model), without memory. */
static Tensor hidden_shape(TokenTensor ids, size_t d_model)
{
    size_t shape[TENSOR_MAX_RANK];
    for (int i = 0; i < ids.rank; i++)
        shape[i] = ids.shape[i];
    shape[ids.rank] = d_model;
    return tensor_of(NULL, ids.rank + 1, shape);
}

/* Two more dimensions than ids: the layers, or the heads, and d_model. */
static Status check_ids(const char *function, const TransformerLM *lm, TokenTensor ids)
{
    const size_t context_length = lm->config.context_length;
    if (ids.rank < 1 || ids.rank > TENSOR_MAX_RANK - 2 || tokens_count(ids) == 0)
        return status_fail(CS336_ESHAPE, "%s: ids are %s, expected (..., seq) of rank 1 to %d", function,
                           shape_text(ids.rank, ids.shape), TENSOR_MAX_RANK - 2);
    if (ids.shape[ids.rank - 1] > context_length)
        return status_fail(CS336_ESHAPE, "%s: a sequence of %zu ids, context_length is %zu", function,
                           ids.shape[ids.rank - 1], context_length);
    return CS336_OK;
}

/* The final norm in place, where there is one. */
static Status final_norm(Tensor x, const TransformerLM *lm)
{
    return lm->config.norm != NORM_NONE ? rmsnorm_forward(x, (Tensor){0}, x, &lm->ln_final) : CS336_OK;
}

/* ---- inference: two buffers that the layers write in turn ---- */

typedef struct {
    Tensor x, y;
} Buffers;

static Status bind_buffers(Buffers *buffers, Arena *arena, Tensor hidden)
{
    const Status s = arena_tensor_of(arena, &buffers->x, hidden.rank, hidden.shape);
    return s ? s : arena_tensor_of(arena, &buffers->y, hidden.rank, hidden.shape);
}

static size_t inference_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_loss)
{
    const Tensor hidden = tensor(NULL, batch, seq, lm->config.d_model);
    Arena measure = {0};
    Buffers buffers;
    if (bind_buffers(&buffers, &measure, hidden))
        return 0;
    const size_t loss = with_loss ? linear_cross_entropy_scratch(hidden, &lm->lm_head) : 0;
    return measure.peak + larger(transformer_block_forward_scratch(hidden, &lm->layers[0]), loss);
}

size_t transformer_lm_forward_scratch(const TransformerLM *lm, size_t batch, size_t seq)
{
    return inference_scratch(lm, batch, seq, false);
}

/* Embeds ids and runs all layers, from caches when there are any; hidden, before the final norm, lies in scratch. */
static Status run_layers(Tensor *hidden, const TransformerLM *lm, KeyValueCache *caches, TokenTensor ids,
                         Arena *scratch)
{
    Buffers b;
    Status s = bind_buffers(&b, scratch, hidden_shape(ids, lm->config.d_model));
    if (!s)
        s = embedding_forward(b.x, ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < lm->config.num_layers; i++) {
        s = caches ? transformer_block_decode(b.y, &caches[i], b.x, &lm->layers[i], rope_of(lm), scratch)
                   : transformer_block_forward(b.y, NULL, b.x, &lm->layers[i], rope_of(lm), COUNTED, scratch);
        b = (Buffers){b.y, b.x};
    }
    *hidden = b.x;
    return s;
}

Status transformer_lm_forward(Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Tensor hidden;
    Status s = check_ids("transformer_lm_forward", lm, ids);
    if (!s)
        s = run_layers(&hidden, lm, NULL, ids, scratch);
    if (!s)
        s = final_norm(hidden, lm);
    if (!s)
        s = linear_forward(logits, hidden, &lm->lm_head);
    arena_release(scratch, mark);
    return s;
}

Status transformer_lm_bind_caches(KeyValueCache **caches, Arena *arena, const TransformerLM *lm, size_t batch)
{
    const TransformerLMConfig *c = &lm->config;
    const size_t mark = arena_mark(arena);
    Status s = arena_take(arena, caches, c->num_layers * sizeof **caches);
    for (size_t i = 0; !s && i < c->num_layers; i++) {
        KeyValueCache cache = {.length = 0};
        s = arena_tensor(arena, &cache.key, batch, c->num_heads, c->context_length, c->d_model / c->num_heads);
        if (!s)
            s = arena_tensor(arena, &cache.value, batch, c->num_heads, c->context_length, c->d_model / c->num_heads);
        if (!s && *caches)
            (*caches)[i] = cache;
    }
    if (s)
        arena_release(arena, mark);
    return s;
}

Status transformer_lm_decode(Tensor logits, KeyValueCache *caches, const TransformerLM *lm, TokenTensor ids,
                             Arena *scratch)
{
    const size_t mark = arena_mark(scratch), length = caches[0].length;
    Tensor hidden;
    Status s = check_ids("transformer_lm_decode", lm, ids);
    for (size_t i = 1; !s && i < lm->config.num_layers; i++)
        if (caches[i].length != length)
            s = status_fail(CS336_ESHAPE, "transformer_lm_decode: layer %zu has %zu rows in its cache, layer 0 has %zu",
                            i, caches[i].length, length);
    if (s)
        return s;
    s = run_layers(&hidden, lm, caches, ids, scratch);
    if (!s) {
        hidden = tensor_select(hidden, -2, tensor_extent(hidden, -2) - 1);
        s = final_norm(hidden, lm);
    }
    if (!s)
        s = linear_forward(logits, hidden, &lm->lm_head);
    for (size_t i = 0; s && i < lm->config.num_layers; i++)
        caches[i].length = length;
    arena_release(scratch, mark);
    return s;
}

/* ---- training: everything that the way back reads ---- */

typedef struct {
    Tensor hidden; /* (num_layers + 1, ..., seq, d_model): what each layer read, and the last one wrote */
    TransformerBlockSaved *layers; /* num_layers */
    Tensor normed, inverse_rms;    /* of the final norm; without one, normed is the last of hidden */
    Tensor grad_hidden;            /* (..., seq, d_model), on the way back */
} Training;

static Status bind_layers(Training *t, Arena *arena, const TransformerLM *lm, Tensor hidden)
{
    Status s = arena_take(arena, &t->layers, lm->config.num_layers * sizeof *t->layers);
    for (size_t i = 0; !s && i < lm->config.num_layers; i++) {
        TransformerBlockSaved saved;
        s = transformer_block_bind_saved(&saved, arena, hidden, &lm->layers[i]);
        if (!s && t->layers)
            t->layers[i] = saved;
    }
    return s;
}

static Status bind_training(Training *t, Arena *arena, const TransformerLM *lm, Tensor hidden)
{
    const Tensor one = tensor_with_last(hidden, 1);
    Tensor all = tensor_insert(hidden, 0);
    all.shape[0] = lm->config.num_layers + 1;
    Status s = arena_tensor_of(arena, &t->hidden, all.rank, all.shape);
    if (!s)
        s = bind_layers(t, arena, lm, hidden);
    if (!s && lm->config.norm != NORM_NONE)
        s = arena_tensor_of(arena, &t->normed, hidden.rank, hidden.shape);
    if (!s && lm->config.norm != NORM_NONE)
        s = arena_tensor_of(arena, &t->inverse_rms, one.rank, one.shape);
    if (!s)
        s = arena_tensor_of(arena, &t->grad_hidden, hidden.rank, hidden.shape);
    return s;
}

size_t transformer_lm_loss_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_gradients)
{
    if (!with_gradients)
        return inference_scratch(lm, batch, seq, true);
    const Tensor hidden = tensor(NULL, batch, seq, lm->config.d_model);
    Arena measure = {0};
    Training training;
    if (bind_training(&training, &measure, lm, hidden))
        return 0;
    return measure.peak + larger(transformer_block_backward_scratch(hidden, &lm->layers[0]),
                                 linear_cross_entropy_scratch(hidden, &lm->lm_head));
}

static Status go_forward(Training *t, const TransformerLM *lm, TokenTensor ids, Arena *scratch)
{
    const size_t num_layers = lm->config.num_layers;
    Status s = embedding_forward(tensor_select(t->hidden, 0, 0), ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < num_layers; i++)
        s = transformer_block_forward(tensor_select(t->hidden, 0, i + 1), &t->layers[i], tensor_select(t->hidden, 0, i),
                                      &lm->layers[i], rope_of(lm), COUNTED, scratch);
    if (s)
        return s;
    const Tensor last = tensor_select(t->hidden, 0, num_layers);
    if (lm->config.norm != NORM_NONE)
        return rmsnorm_forward(t->normed, t->inverse_rms, last, &lm->ln_final);
    t->normed = last;
    return CS336_OK;
}

static void ready(const GradientObserver *observer, Tensor grad)
{
    if (observer && observer->ready && grad.data)
        observer->ready(observer->context, grad);
}

static void layer_ready(const GradientObserver *observer, const TransformerBlock *grad)
{
    ready(observer, grad->ffn.w2.weight);
    ready(observer, grad->ffn.w3.weight);
    ready(observer, grad->ffn.w1.weight);
    ready(observer, grad->ln2.weight);
    ready(observer, grad->ln1.weight);
    ready(observer, grad->attn.output_proj.weight);
    ready(observer, grad->attn.v_proj.weight);
    ready(observer, grad->attn.k_proj.weight);
    ready(observer, grad->attn.q_proj.weight);
}

/*
 * Forward: x_0 = embed(ids), x_{i+1} = layer_i(x_i), loss = cross_entropy(lm_head(norm(x_L)), targets). Backward
 * carries one gradient, grad_x, from the loss down to the table; each layer turns that of its output into that of its
 * input.
 */
static Status go_back(float *loss, TransformerLM *grad, Training *t, const TransformerLM *lm, TokenTensor ids,
                      TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    const Tensor grad_x = t->grad_hidden;
    Status s = linear_cross_entropy(loss, grad_x, &grad->lm_head, t->normed, targets, &lm->lm_head, scratch);
    if (s)
        return s;
    ready(observer, grad->lm_head.weight);
    if (lm->config.norm != NORM_NONE)
        s = rmsnorm_backward(grad_x, &grad->ln_final, grad_x, t->inverse_rms,
                             tensor_select(t->hidden, 0, lm->config.num_layers), &lm->ln_final);
    if (s)
        return s;
    ready(observer, grad->ln_final.weight);
    for (size_t i = lm->config.num_layers; i-- > 0;) {
        s = transformer_block_backward(grad_x, &grad->layers[i], grad_x, &t->layers[i], tensor_select(t->hidden, 0, i),
                                       &lm->layers[i], rope_of(lm), COUNTED, scratch);
        if (s)
            return s;
        layer_ready(observer, &grad->layers[i]);
    }
    s = embedding_backward(&grad->token_embeddings, grad_x, ids);
    if (!s)
        ready(observer, grad->token_embeddings.weight);
    return s;
}

static Status loss_only(float *loss, const TransformerLM *lm, TokenTensor ids, TokenTensor targets, Arena *scratch)
{
    Tensor hidden;
    Status s = run_layers(&hidden, lm, NULL, ids, scratch);
    if (!s)
        s = final_norm(hidden, lm);
    if (!s)
        s = linear_cross_entropy(loss, (Tensor){0}, NULL, hidden, targets, &lm->lm_head, scratch);
    return s;
}

Status transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                           TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Training training;
    Status s = check_ids("transformer_lm_loss", lm, ids);
    if (!s && !grad) {
        s = loss_only(loss, lm, ids, targets, scratch);
    } else if (!s) {
        s = bind_training(&training, scratch, lm, hidden_shape(ids, lm->config.d_model));
        if (!s)
            s = go_forward(&training, lm, ids, scratch);
        if (!s)
            s = go_back(loss, grad, &training, lm, ids, targets, observer, scratch);
    }
    arena_release(scratch, mark);
    return s;
}

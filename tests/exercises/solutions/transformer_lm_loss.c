/*
 * The training loss and its gradients: the whole model forward, with everything saved that the backward pass reads, and
 * then the same lines from the last to the first.
 *
 *     x_0 = embed(ids)                     embedding_backward()
 *     x_{i+1} = layer_i(x_i)               transformer_block_backward(), the last layer first
 *     normed = norm(x_L)                   rmsnorm_backward()
 *     logits = lm_head(normed)             linear_backward()
 *     loss = cross_entropy(logits)         cross_entropy_backward()
 */
#include "nn/functional.h"
#include "nn/transformer_lm.h"
#include "tests/exercises/learn.h"

typedef struct {
    Tensor x;                      /* (num_layers + 1, batch, seq, d_model): layer i reads x_i and writes x_{i+1} */
    TransformerBlockSaved *layers; /* num_layers */
    Tensor normed, inverse_rms;    /* (batch, seq, d_model), (batch, seq, 1) of the final norm */
    Tensor logits, log_sum_exp;    /* (batch, seq, vocab_size), (batch, seq, 1) */
    Tensor grad_x;                 /* (batch, seq, d_model) */
    ParameterList parameters;      /* for the observer */
} Memory;

/* Takes all of this from the arena. If the arena only measures, it gives NULL and counts the bytes. */
static Status take(Memory *m, Arena *arena, const TransformerLM *lm, const TransformerLM *grad, size_t batch,
                   size_t seq)
{
    const TransformerLMConfig *config = &lm->config;
    m->x = arena_tensor(arena, config->num_layers + 1, batch, seq, config->d_model);
    m->normed = arena_tensor(arena, batch, seq, config->d_model);
    m->inverse_rms = arena_tensor(arena, batch, seq, 1);
    m->logits = arena_tensor(arena, batch, seq, config->vocab_size);
    m->log_sum_exp = arena_tensor(arena, batch, seq, 1);
    m->grad_x = arena_tensor(arena, batch, seq, config->d_model);
    m->layers = arena_take(arena, config->num_layers * sizeof *m->layers);
    Status s = arena_status(arena);
    for (size_t i = 0; !s && i < config->num_layers; i++) {
        TransformerBlockSaved saved;
        s = transformer_block_bind_saved(&saved, arena, m->grad_x, &lm->layers[i]);
        if (!s && m->layers)
            m->layers[i] = saved;
    }
    return s ? s : transformer_lm_parameters(&m->parameters, arena, lm, grad, NULL, NULL);
}

size_t transformer_lm_loss_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_gradients)
{
    Memory m = {0};
    Arena measure = {0};
    (void)with_gradients; /* we save everything in any case */
    if (take(&m, &measure, lm, lm, batch, seq))
        return SIZE_MAX;
    arena_expect(&measure, transformer_block_scratch(m.grad_x, &lm->layers[0], true));
    return measure.peak;
}

static Status forward(float *loss, Memory *m, const TransformerLM *lm, TokenTensor ids, TokenTensor targets,
                      const RoPE *rope, Arena *scratch)
{
    const size_t num_layers = lm->config.num_layers;
    const Tensor last = tensor_select(m->x, 0, num_layers);

    /* x_0 = embed(ids), x_{i+1} = layer_i(x_i) */
    Status s = embedding_forward(tensor_select(m->x, 0, 0), ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < num_layers; i++)
        s = transformer_block_forward(tensor_select(m->x, 0, i + 1), &m->layers[i], tensor_select(m->x, 0, i),
                                      &lm->layers[i], rope, (TokenTensor){0}, scratch);

    /* normed = norm(x_L), or x_L itself in the ablation without norms */
    if (lm->config.norm == NORM_NONE)
        m->normed = last;
    else if (!s)
        s = rmsnorm_forward(m->normed, m->inverse_rms, last, &lm->ln_final);

    /* logits = lm_head(normed), loss = cross_entropy(logits) */
    if (!s)
        s = linear_forward(m->logits, m->normed, &lm->lm_head);
    if (!s)
        s = cross_entropy_forward(loss, m->log_sum_exp, m->logits, targets);
    return s;
}

/* One tensor, grad_x, holds the gradient of normed, then of x_L, and so on to that of x_0. */
static Status backward(TransformerLM *grad, Memory *m, const TransformerLM *lm, TokenTensor ids, TokenTensor targets,
                       const RoPE *rope, Arena *scratch)
{
    const Tensor grad_x = m->grad_x, last = tensor_select(m->x, 0, lm->config.num_layers);

    /* loss = cross_entropy(logits): the gradient overwrites the logits. Then logits = lm_head(normed). */
    Status s = cross_entropy_backward(m->logits, m->log_sum_exp, m->logits, targets);
    if (!s)
        s = linear_backward(grad_x, &grad->lm_head, m->logits, m->normed, &lm->lm_head);

    /* normed = norm(x_L) */
    if (!s && lm->config.norm != NORM_NONE)
        s = rmsnorm_backward(grad_x, &grad->ln_final, grad_x, m->inverse_rms, last, &lm->ln_final);

    /* x_{i+1} = layer_i(x_i), the last layer first */
    for (size_t i = lm->config.num_layers; !s && i-- > 0;)
        s = transformer_block_backward(grad_x, &grad->layers[i], grad_x, &m->layers[i], tensor_select(m->x, 0, i),
                                       &lm->layers[i], rope, (TokenTensor){0}, scratch);

    /* x_0 = embed(ids) */
    return s ? s : embedding_backward(&grad->token_embeddings, grad_x, ids);
}

Status transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                           TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    const RoPE *rope = lm->config.position == POSITION_ROPE ? &lm->rope : NULL;
    if (ids.rank != 2 || ids.shape[1] > lm->config.context_length)
        return status_fail(CS336_ESHAPE, "transformer_lm_loss: ids are %s, expected (batch, seq) with seq up to %zu",
                           shape_text(ids.rank, ids.shape), lm->config.context_length);

    Memory m = {0};
    const size_t mark = arena_mark(scratch);
    Status s = take(&m, scratch, lm, grad, ids.shape[0], ids.shape[1]);
    if (!s)
        s = forward(loss, &m, lm, ids, targets, rope, scratch);
    for (size_t i = 0; !s && grad && observer && observer->output && i < lm->config.num_layers; i++)
        observer->output(observer->context, i, tensor_select(m.x, 0, i + 1));
    if (!s && grad)
        s = backward(grad, &m, lm, ids, targets, rope, scratch);

    /* Now all gradients are final. The observer wants them from the last parameter to the first. */
    for (size_t i = m.parameters.count; !s && observer && observer->ready && i-- > 0;)
        if (m.parameters.items[i].grad.data)
            observer->ready(observer->context, m.parameters.items[i].grad);
    arena_release(scratch, mark);
    return s;
}

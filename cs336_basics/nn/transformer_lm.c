/* The passes of the language model. Its parameters are described in transformer_lm_parameters.c. */
#include "nn/transformer_lm.h"

#include "nn/linear_cross_entropy.h"

#include <stdint.h>
#include <string.h>

/* Given to rope_forward(), it stands for the positions 0, 1, 2, ... */
static const TokenTensor NO_POSITIONS = {0};

static const RoPE *rope_of(const TransformerLM *lm)
{
    return lm->config.position == POSITION_ROPE ? &lm->rope : NULL;
}

/* Returns a tensor without data: the shape of the layers' inputs and outputs, (..., seq, d_model). */
static Tensor hidden_shape(TokenTensor ids, size_t d_model)
{
    size_t shape[TENSOR_MAX_RANK];
    for (int i = 0; i < ids.rank; i++)
        shape[i] = ids.shape[i];
    shape[ids.rank] = d_model;
    return tensor_of(NULL, ids.rank + 1, shape);
}

/* Checks ids of shape (..., seq). Tensors have up to two dimensions more: d_model, and the layers or the heads. */
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

/* ---- inference ---- */

/* Each layer reads x and writes y; then the two change roles. */
typedef struct {
    Tensor x, y; /* (..., seq, d_model) */
} Buffers;

static Buffers take_buffers(Arena *arena, Tensor hidden)
{
    Buffers buffers;
    buffers.x = arena_tensor_like(arena, hidden);
    buffers.y = arena_tensor_like(arena, hidden);
    return buffers;
}

size_t transformer_lm_forward_scratch(const TransformerLM *lm, size_t batch, size_t seq)
{
    const Tensor hidden = tensor(NULL, batch, seq, lm->config.d_model);
    Arena measure = {0};
    take_buffers(&measure, hidden);
    arena_expect(&measure, transformer_block_scratch(hidden, &lm->layers[0], false));
    return measure.peak;
}

/* The caches that a pass reads and extends; both NULL: it has none, and ids are whole sequences. */
typedef struct {
    KeyValueCache *layers;      /* one for each layer, of sequences that all have the same length */
    KeyValueCache *const *each; /* each[i] are those of sequence i, one for each layer */
} Caches;

/*
 * Computes the normed output of the last layer, in scratch: (..., seq, d_model). With caches, ids follow the cached
 * tokens, and only the output of the last one is returned: (..., d_model).
 */
static Status run_layers(Tensor *normed, const TransformerLM *lm, Caches caches, TokenTensor ids, Arena *scratch)
{
    const bool cached = caches.layers || caches.each;
    Buffers b = take_buffers(scratch, hidden_shape(ids, lm->config.d_model));
    Status s = arena_status(scratch);
    if (!s)
        s = embedding_forward(b.x, ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < lm->config.num_layers; i++) {
        const TransformerBlock *layer = &lm->layers[i];
        if (caches.each)
            s = transformer_block_decode_each(b.y, caches.each, i, b.x, layer, rope_of(lm), scratch);
        else if (caches.layers)
            s = transformer_block_decode(b.y, &caches.layers[i], b.x, layer, rope_of(lm), scratch);
        else
            s = transformer_block_forward(b.y, NULL, b.x, layer, rope_of(lm), NO_POSITIONS, scratch);
        b = (Buffers){.x = b.y, .y = b.x};
    }
    *normed = cached ? tensor_select(b.x, -2, tensor_extent(b.x, -2) - 1) : b.x;
    if (!s && lm->config.norm != NORM_NONE)
        s = rmsnorm_forward(*normed, (Tensor){0}, *normed, &lm->ln_final);
    return s;
}

Status transformer_lm_forward(Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Tensor normed;
    Status s = check_ids(__func__, lm, ids);
    if (!s)
        s = run_layers(&normed, lm, (Caches){0}, ids, scratch);
    if (!s)
        s = linear_forward(logits, normed, &lm->lm_head);
    arena_release(scratch, mark);
    return s;
}

Status transformer_lm_bind_caches(KeyValueCache **caches, Arena *arena, const TransformerLM *lm, size_t batch,
                                  size_t seq)
{
    const TransformerLMConfig *c = &lm->config;
    const size_t mark = arena_mark(arena), d_k = c->d_model / c->num_heads;
    *caches = arena_take(arena, c->num_layers * sizeof **caches);
    for (size_t i = 0; i < c->num_layers; i++) {
        KeyValueCache cache = {.length = 0};
        cache.key = arena_tensor(arena, batch, c->num_heads, seq, d_k);
        cache.value = arena_tensor(arena, batch, c->num_heads, seq, d_k);
        if (*caches)
            (*caches)[i] = cache;
    }
    return arena_keep(arena, mark);
}

/* Checks that all layers have seen the same tokens. */
static Status check_caches(const char *function, const KeyValueCache *caches, size_t num_layers)
{
    for (size_t i = 1; i < num_layers; i++)
        if (caches[i].length != caches[0].length)
            return status_fail(CS336_ESHAPE, "%s: layer %zu has %zu rows in its cache, layer 0 has %zu", function, i,
                               caches[i].length, caches[0].length);
    return CS336_OK;
}

Status transformer_lm_decode(Tensor logits, KeyValueCache *caches, const TransformerLM *lm, TokenTensor ids,
                             Arena *scratch)
{
    const size_t mark = arena_mark(scratch), length = caches[0].length;
    Tensor normed;
    Status s = check_ids(__func__, lm, ids);
    if (!s)
        s = check_caches(__func__, caches, lm->config.num_layers);
    if (s)
        return s;
    s = run_layers(&normed, lm, (Caches){.layers = caches}, ids, scratch);
    if (!s)
        s = linear_forward(logits, normed, &lm->lm_head);

    /* After a failure, drop what the first layers have appended. */
    for (size_t i = 0; s && i < lm->config.num_layers; i++)
        caches[i].length = length;
    arena_release(scratch, mark);
    return s;
}

/*
 * Returns the last `count` rows of each sequence of x, contiguous: (..., count, d). They overwrite the front of x. A
 * row only moves towards the front, so none is overwritten before it has moved.
 */
static Tensor keep_last_rows(Tensor x, size_t count)
{
    const size_t seq = tensor_extent(x, -2), d = tensor_extent(x, -1), sequences = tensor_rows(x) / seq;
    size_t shape[TENSOR_MAX_RANK];
    for (size_t i = 0; count < seq && i < sequences; i++)
        memmove(x.data + i * count * d, x.data + (i * seq + seq - count) * d, count * d * sizeof *x.data);
    memcpy(shape, x.shape, sizeof shape);
    shape[x.rank - 2] = count;
    return tensor_of(x.data, x.rank, shape);
}

Status transformer_lm_token_losses(Tensor losses, const TransformerLM *lm, TokenTensor ids, TokenTensor targets,
                                   Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Status s = check_ids(__func__, lm, ids);
    const size_t counted = !s && targets.rank == ids.rank ? targets.shape[ids.rank - 1] : 0;
    if (!s && (counted == 0 || counted > ids.shape[ids.rank - 1]))
        s = status_fail(CS336_ESHAPE, "%s: targets are %s, ids are %s", __func__,
                        shape_text(targets.rank, targets.shape), shape_text(ids.rank, ids.shape));
    Tensor normed;
    if (!s)
        s = run_layers(&normed, lm, (Caches){0}, ids, scratch);
    if (!s)
        s = linear_cross_entropy_rows(losses, keep_last_rows(normed, counted), targets, &lm->lm_head, scratch);
    arena_release(scratch, mark);
    return s;
}

Status transformer_lm_decode_each(Tensor logits, KeyValueCache *const *caches, const TransformerLM *lm, TokenTensor ids,
                                  Arena *scratch)
{
    const size_t mark = arena_mark(scratch), num_layers = lm->config.num_layers;
    Tensor normed;
    Status s = check_ids(__func__, lm, ids);
    if (!s && (ids.rank != 2 || ids.shape[1] != 1))
        s = status_fail(CS336_ESHAPE, "%s: ids are %s, expected (sequences, 1)", __func__,
                        shape_text(ids.rank, ids.shape));
    for (size_t i = 0; !s && i < ids.shape[0]; i++)
        s = check_caches(__func__, caches[i], num_layers);
    if (s)
        return s;
    s = run_layers(&normed, lm, (Caches){.each = caches}, ids, scratch);
    if (!s)
        s = linear_forward(logits, normed, &lm->lm_head);

    /* All layers have appended a row. It counts from here on. */
    for (size_t i = 0; !s && i < ids.shape[0]; i++)
        for (size_t layer = 0; layer < num_layers; layer++)
            caches[i][layer].length++;
    arena_release(scratch, mark);
    return s;
}

/* ---- training ---- */

/* A layer's input, and what its forward pass keeps for its backward pass. */
typedef struct {
    Tensor x; /* (..., seq, d_model) */
    TransformerBlockSaved saved;
} LayerActivations;

/*
 * What the forward pass keeps for the backward pass. It is taken from the arena in the order of the forward pass, so
 * that the arena is a stack: the backward pass goes from its top to its bottom, and gives back what it no longer needs.
 */
typedef struct {
    Tensor grad_hidden;       /* (..., seq, d_model), of the backward pass */
    LayerActivations *layers; /* num_layers of them */
    size_t num_layers;
    Tensor last;         /* (..., seq, d_model), the output of the last layer */
    Tensor inverse_rms;  /* (..., seq, 1), of the final norm; NORM_NONE: missing */
    Tensor normed;       /* (..., seq, d_model); NORM_NONE: last */
    size_t first_layer;  /* mark of the arena below layers[0] */
    size_t layer_bytes;  /* of the activations of each layer */
    bool take_gradients; /* from the end of the arena; set after binding */
} Training;

static Status bind_training(Training *t, Arena *arena, const TransformerLM *lm, Tensor hidden)
{
    const size_t mark = arena_mark(arena), num_layers = lm->config.num_layers;
    *t = (Training){.grad_hidden = arena_tensor_like(arena, hidden), .num_layers = num_layers};
    /* An arena that measures, or is full, has no memory for t->layers. */
    t->layers = arena_take(arena, num_layers * sizeof *t->layers);
    t->first_layer = arena_mark(arena);
    Status s = arena_status(arena);
    for (size_t i = 0; !s && i < num_layers; i++) {
        LayerActivations layer = {.x = arena_tensor_like(arena, hidden)};
        s = transformer_block_bind_saved(&layer.saved, arena, hidden, &lm->layers[i]);
        if (!s && i == 0)
            t->layer_bytes = arena_mark(arena) - t->first_layer;
        if (!s && t->layers)
            t->layers[i] = layer;
    }
    t->last = arena_tensor_like(arena, hidden);
    if (lm->config.norm != NORM_NONE) {
        t->inverse_rms = arena_tensor_like(arena, tensor_with_last(hidden, 1));
        t->normed = arena_tensor_like(arena, hidden);
    }
    if (s) {
        arena_release(arena, mark);
        return s;
    }
    return arena_keep(arena, mark);
}

/*
 * Goes back to a part of the model, numbered as for transformer_lm_take_gradients(): gives back the activations of all
 * later layers, and takes the part's gradients, if they are to be taken. Before the first call, all activations are
 * there: those of the final norm and of lm_head are needed by both.
 */
static Status go_back_to(size_t part, const Training *t, TransformerLM *grad, Arena *arena)
{
    if (part <= t->num_layers)
        arena_release(arena, t->first_layer + part * t->layer_bytes);
    return t->take_gradients ? transformer_lm_take_gradients(grad, part, arena) : CS336_OK;
}

/* Returns the bytes that a step takes from its arena, with or without the gradients. */
static size_t measure_training(const TransformerLM *lm, size_t batch, size_t seq, bool take_gradients)
{
    const Tensor hidden = tensor(NULL, batch, seq, lm->config.d_model);
    const TransformerBlock *layer = &lm->layers[0];
    TransformerLM grad = {.config = lm->config};
    Arena measure = {0};
    Training training;
    if (bind_training(&training, &measure, lm, hidden))
        return SIZE_MAX;
    training.take_gradients = take_gradients;
    /* The forward pass. */
    arena_expect(&measure, transformer_block_saving_scratch(hidden, layer));
    /* The backward pass: lm_head and final norm, the layers, and the embeddings, which take no scratch. */
    size_t part = lm->config.num_layers + 1;
    Status s = go_back_to(part, &training, &grad, &measure);
    arena_expect(&measure, linear_cross_entropy_scratch(hidden, &lm->lm_head));
    while (!s && part-- > 0) {
        s = go_back_to(part, &training, &grad, &measure);
        arena_expect(&measure, part > 0 ? transformer_block_scratch(hidden, layer, true) : 0);
    }
    return s ? SIZE_MAX : measure.peak;
}

size_t transformer_lm_loss_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_gradients)
{
    if (with_gradients)
        return measure_training(lm, batch, seq, false);
    const Tensor hidden = tensor(NULL, batch, seq, lm->config.d_model);
    Arena measure = {0};
    take_buffers(&measure, hidden);
    arena_expect(&measure, transformer_block_scratch(hidden, &lm->layers[0], false));
    arena_expect(&measure, linear_cross_entropy_scratch(hidden, &lm->lm_head));
    return measure.peak;
}

size_t transformer_lm_loss_and_gradients_memory(const TransformerLM *lm, size_t batch, size_t seq)
{
    return measure_training(lm, batch, seq, true);
}

/* x_0 = embed(ids), x_{i+1} = layer_i(x_i), normed = norm(x_L), where x_i is layers[i].x, and x_L is last. */
static Status forward(Training *t, const TransformerLM *lm, TokenTensor ids, const GradientObserver *observer,
                      Arena *scratch)
{
    const size_t num_layers = lm->config.num_layers;
    Status s = embedding_forward(t->layers[0].x, ids, &lm->token_embeddings);
    for (size_t i = 0; !s && i < num_layers; i++) {
        LayerActivations *layer = &t->layers[i];
        const Tensor y = i + 1 < num_layers ? t->layers[i + 1].x : t->last;
        s = transformer_block_forward(y, &layer->saved, layer->x, &lm->layers[i], rope_of(lm), NO_POSITIONS, scratch);
        if (!s && observer && observer->output)
            observer->output(observer->context, i, y);
    }
    if (lm->config.norm == NORM_NONE)
        t->normed = t->last;
    else if (!s)
        s = rmsnorm_forward(t->normed, t->inverse_rms, t->last, &lm->ln_final);
    return s;
}

/* Calls the observer, if there is one, for a gradient that is final. */
static void ready(const GradientObserver *observer, Tensor grad)
{
    if (observer && observer->ready && grad.data)
        observer->ready(observer->context, grad);
}

/* Calls the observer for the gradients of a layer, from its last parameter to its first. */
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
 * Forward, and backward from its last line to its first:
 *
 *     x_0 = embed(ids)                            embedding_backward()
 *     x_{i+1} = layer_i(x_i)                      transformer_block_backward(), the last layer first
 *     normed = norm(x_L)                          rmsnorm_backward()
 *     loss = cross_entropy(lm_head(normed))       linear_cross_entropy(), which also computes the loss
 *
 * One tensor, grad_x, holds dL/dnormed, then dL/dx_L, and so on to dL/dx_0: each line overwrites the gradient of its
 * output by that of its input. The backward pass of a layer takes its scratch where the activations of later layers
 * were.
 */
static Status backward(float *loss, TransformerLM *grad, const Training *t, const TransformerLM *lm, TokenTensor ids,
                       TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    const Tensor grad_x = t->grad_hidden;
    const size_t num_layers = lm->config.num_layers;

    /* loss = cross_entropy(lm_head(normed)) */
    Status s = go_back_to(num_layers + 1, t, grad, scratch);
    if (!s)
        s = linear_cross_entropy(loss, grad_x, &grad->lm_head, t->normed, targets, &lm->lm_head, scratch);
    if (s)
        return s;
    if (!lm->config.tie_embeddings) /* else the embeddings add to the same gradient, in the last line */
        ready(observer, grad->lm_head.weight);

    /* normed = norm(x_L) */
    if (lm->config.norm != NORM_NONE)
        s = rmsnorm_backward(grad_x, &grad->ln_final, grad_x, t->inverse_rms, t->last, &lm->ln_final);
    if (s)
        return s;
    ready(observer, grad->ln_final.weight);

    /* x_{i+1} = layer_i(x_i) */
    for (size_t i = num_layers; i-- > 0;) {
        LayerActivations *layer = &t->layers[i];
        s = go_back_to(i + 1, t, grad, scratch);
        if (!s)
            s = transformer_block_backward(grad_x, &grad->layers[i], grad_x, &layer->saved, layer->x, &lm->layers[i],
                                           rope_of(lm), NO_POSITIONS, scratch);
        if (s)
            return s;
        layer_ready(observer, &grad->layers[i]);
    }

    /* x_0 = embed(ids) */
    s = go_back_to(0, t, grad, scratch);
    if (!s)
        s = embedding_backward(&grad->token_embeddings, grad_x, ids);
    if (!s)
        ready(observer, grad->token_embeddings.weight);
    return s;
}

/* Computes the loss and the gradients. They are added to `grad`, or taken from the end of the arena. */
static Status loss_and_gradients(float *loss, TransformerLM *grad, bool take_gradients, const TransformerLM *lm,
                                 TokenTensor ids, TokenTensor targets, const GradientObserver *observer, Arena *arena)
{
    const size_t mark = arena_mark(arena);
    Training training;
    Status s = bind_training(&training, arena, lm, hidden_shape(ids, lm->config.d_model));
    training.take_gradients = take_gradients;
    if (!s)
        s = forward(&training, lm, ids, observer, arena);
    if (!s)
        s = backward(loss, grad, &training, lm, ids, targets, observer, arena);
    arena_release(arena, mark);
    return s;
}

Status transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                           TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    Status s = check_ids(__func__, lm, ids);
    if (s)
        return s;
    if (grad)
        return loss_and_gradients(loss, grad, false, lm, ids, targets, observer, scratch);
    /* Only the loss: nothing is kept for a backward pass. */
    const size_t mark = arena_mark(scratch);
    Tensor normed;
    s = run_layers(&normed, lm, (Caches){0}, ids, scratch);
    if (!s)
        s = linear_cross_entropy(loss, (Tensor){0}, NULL, normed, targets, &lm->lm_head, scratch);
    arena_release(scratch, mark);
    return s;
}

Status transformer_lm_loss_and_gradients(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                                         TokenTensor targets, const GradientObserver *observer, Arena *arena)
{
    Status s = check_ids(__func__, lm, ids);
    if (!s)
        s = loss_and_gradients(loss, grad, true, lm, ids, targets, observer, arena);
    if (s)
        arena_release_end(arena);
    return s;
}

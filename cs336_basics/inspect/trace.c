#include "inspect/trace.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/functional.h"

#include <math.h>

/* Given to rope_forward(), it stands for the positions 0, 1, 2, ... */
static const TokenTensor NO_POSITIONS = {0};

enum { OUTSIDE_STEPS = 2 /* the embedding, and the lm head */ };

/* All tensors that exist at the same time. Layers use the same ones. */
typedef struct {
    Tensor x,                /* (batch, seq, d_model), the residual stream */
        normed,              /* (batch, seq, d_model), the output of a norm */
        query, key, value,   /* (batch, seq, d_model) */
        attended,            /* (batch, seq, d_model), the heads' outputs side by side */
        branch,              /* (batch, seq, d_model), what is added to the residual stream */
        up, gate, hidden;    /* (batch, seq, d_ff) */
    Tensor logits;           /* (batch, seq, vocab_size) */
    const TransformerLM *lm; /* the model */
    TraceStep *step;         /* the next one to be filled in */
    size_t layer;            /* as in TraceStep */
} Trace;

static Trace take(Arena *arena, const TransformerLM *lm, size_t batch, size_t seq)
{
    const TransformerLMConfig *c = &lm->config;
    Trace t = {.lm = lm, .layer = SIZE_MAX};
    t.x = arena_tensor(arena, batch, seq, c->d_model);
    Tensor *const rows[] = {&t.normed, &t.query, &t.key, &t.value, &t.attended, &t.branch};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = arena_tensor_like(arena, t.x);
    t.up = arena_tensor(arena, batch, seq, c->d_ff);
    t.gate = arena_tensor_like(arena, t.up);
    t.hidden = arena_tensor_like(arena, t.up);
    t.logits = arena_tensor(arena, batch, seq, c->vocab_size);
    return t;
}

size_t trace_scratch(const TransformerLM *lm, size_t batch, size_t seq)
{
    Arena measure = {0};
    take(&measure, lm, batch, seq);
    return measure.peak;
}

size_t trace_count(const TransformerLMConfig *config, bool with_loss)
{
    size_t layer = 10; /* query, key, value, attention, output, add; w1, silu, w2, add */
    if (config->position == POSITION_ROPE)
        layer += 2; /* the query's rotation and the key's */
    if (config->ffn == FFN_SWIGLU)
        layer += 1; /* w3 */
    if (config->norm != NORM_NONE)
        layer += 2;
    return OUTSIDE_STEPS + config->num_layers * layer + (config->norm != NORM_NONE) + with_loss;
}

/* ---- measuring ---- */

static double root_mean_square(Tensor t)
{
    const size_t rows = tensor_rows(t), n = tensor_extent(t, -1);
    double sum = 0;
    for (size_t row = 0; row < rows; row++) {
        const float *x = tensor_row(t, row);
        for (size_t i = 0; i < n; i++)
            sum += (double)x[i] * (double)x[i];
    }
    return sqrt(sum / (double)(rows * n));
}

static Tensor shape_of(Tensor t)
{
    t.data = NULL;
    return t;
}

/* Records an operation whose output has been computed. */
static TraceStep *record(Trace *t, const char *name, Tensor output, Tensor input)
{
    *t->step = (TraceStep){.name = name,
                           .layer = t->layer,
                           .input = shape_of(input),
                           .output = shape_of(output),
                           .rms = root_mean_square(output)};
    return t->step++;
}

/* ---- operations ---- */

/* y = W x: 2 FLOPs for each number of W and each row of x. */
static Status linear(Trace *t, const char *name, Tensor y, Tensor x, const Linear *map)
{
    const Status s = linear_forward(y, x, map);
    if (s)
        return s;
    TraceStep *step = record(t, name, y, x);
    step->parameters = tensor_count(map->weight);
    step->flops = 2 * (double)tensor_rows(x) * (double)step->parameters;
    return CS336_OK;
}

static Status norm(Trace *t, const char *name, Tensor y, Tensor x, const RMSNorm *weights)
{
    const Status s = rmsnorm_forward(y, (Tensor){0}, x, weights);
    if (!s)
        record(t, name, y, x)->parameters = tensor_count(weights->weight);
    return s;
}

/* x += branch */
static void add(Trace *t)
{
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(t->x), n = tensor_extent(t->x, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        vec->axpy(tensor_row(t->x, row), 1, tensor_row(t->branch, row), n);
    record(t, "add", t->x, t->branch);
}

/* Returns the view (batch, heads, seq, d_k) of (batch, seq, d_model). */
static Tensor heads_of(Tensor x, const TransformerLM *lm)
{
    return tensor_transpose(tensor_split(x, -1, lm->config.num_heads), -3, -2);
}

static Status rotate(Trace *t, const char *name, Tensor x)
{
    const Tensor heads = heads_of(x, t->lm);
    const Status s = rope_forward(heads, heads, NO_POSITIONS, &t->lm->rope);
    if (!s)
        record(t, name, heads, heads);
    return s;
}

/* Each head has two products, Q K^T and P V, of 2 T^2 d_k FLOPs a sequence. */
static Status attend(Trace *t)
{
    static const AttentionMask causal = {.kind = ATTEND_CAUSAL};
    const Tensor query = heads_of(t->query, t->lm), attended = heads_of(t->attended, t->lm);
    const Status s = scaled_dot_product_attention_forward(attended, (Tensor){0}, query, heads_of(t->key, t->lm),
                                                          heads_of(t->value, t->lm), causal);
    if (!s)
        record(t, "attention", attended, query)->flops = 4 * (double)tensor_count(query) * (double)query.shape[2];
    return s;
}

/* branch = MHA(x) */
static Status attention(Trace *t, Tensor x, const MultiHeadSelfAttention *mha)
{
    Status s = linear(t, "query", t->query, x, &mha->q_proj);
    if (!s)
        s = linear(t, "key", t->key, x, &mha->k_proj);
    if (!s)
        s = linear(t, "value", t->value, x, &mha->v_proj);
    if (!s && t->lm->config.position == POSITION_ROPE)
        s = rotate(t, "rope query", t->query);
    if (!s && t->lm->config.position == POSITION_ROPE)
        s = rotate(t, "rope key", t->key);
    if (!s)
        s = attend(t);
    return s ? s : linear(t, "output", t->branch, t->attended, &mha->output_proj);
}

/* branch = FFN(x) */
static Status feed_forward(Trace *t, Tensor x, const FeedForward *ffn)
{
    const bool gated = t->lm->config.ffn == FFN_SWIGLU;
    const VecmathKernels *vec = vecmath();
    Status s = linear(t, "ffn w1", t->up, x, &ffn->w1);
    if (!s && gated)
        s = linear(t, "ffn w3", t->gate, x, &ffn->w3);
    if (s)
        return s;
    const size_t rows = tensor_rows(t->up), n = tensor_extent(t->up, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        vec->swiglu(tensor_row(t->hidden, row), tensor_row(t->up, row), gated ? tensor_row(t->gate, row) : NULL, n);
    record(t, gated ? "ffn silu(w1 x) * w3 x" : "ffn silu(w1 x)", t->hidden, t->up);
    return linear(t, "ffn w2", t->branch, t->hidden, &ffn->w2);
}

/* One layer; the formulas are at the top of nn/transformer_block.h. A post-norm overwrites the residual stream. */
static Status block(Trace *t, const TransformerBlock *layer)
{
    const bool pre = layer->norm == NORM_PRE, post = layer->norm == NORM_POST;
    Status s = pre ? norm(t, "norm ln1", t->normed, t->x, &layer->ln1) : CS336_OK;
    if (!s)
        s = attention(t, pre ? t->normed : t->x, &layer->attn);
    if (!s)
        add(t);
    if (!s && post)
        s = norm(t, "norm ln1", t->x, t->x, &layer->ln1);
    if (!s && pre)
        s = norm(t, "norm ln2", t->normed, t->x, &layer->ln2);
    if (!s)
        s = feed_forward(t, pre ? t->normed : t->x, &layer->ffn);
    if (!s)
        add(t);
    return s || !post ? s : norm(t, "norm ln2", t->x, t->x, &layer->ln2);
}

/* The loss of the positions that have a target. Its `rms` is the loss itself. */
static Status loss(Trace *t, TokenTensor targets)
{
    const Tensor logits = tensor_slice(t->logits, 1, 0, targets.shape[1]);
    float value = 0;
    const Status s = cross_entropy_forward(&value, (Tensor){0}, logits, targets);
    if (!s)
        *t->step++ = (TraceStep){.name = "loss", .layer = SIZE_MAX, .input = shape_of(logits), .rms = (double)value};
    return s;
}

/* ---- the whole model ---- */

static Status check(const TransformerLM *lm, TokenTensor ids, TokenTensor targets)
{
    if (ids.rank != 2 || tokens_count(ids) == 0 || ids.shape[1] > lm->config.context_length)
        return status_fail(CS336_ESHAPE, "trace_run: ids are %s, expected (batch, seq) with seq at most %zu",
                           shape_text(ids.rank, ids.shape), lm->config.context_length);
    if (targets.data && (targets.rank != 2 || targets.shape[0] != ids.shape[0] || targets.shape[1] == 0 ||
                         targets.shape[1] > ids.shape[1]))
        return status_fail(CS336_ESHAPE, "trace_run: targets are %s, ids are %s",
                           shape_text(targets.rank, targets.shape), shape_text(ids.rank, ids.shape));
    return CS336_OK;
}

static Status embed(Trace *t, TokenTensor ids)
{
    const Status s = embedding_forward(t->x, ids, &t->lm->token_embeddings);
    if (!s)
        record(t, "embedding", t->x, tensor(NULL, ids.shape[0], ids.shape[1]))->parameters =
            tensor_count(t->lm->token_embeddings.weight);
    return s;
}

Status trace_run(TraceStep *steps, const TransformerLM *lm, TokenTensor ids, TokenTensor targets, Arena *scratch)
{
    Status s = check(lm, ids, targets);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch);
    Trace t = take(scratch, lm, ids.shape[0], ids.shape[1]);
    t.step = steps;
    s = arena_status(scratch);
    if (!s)
        s = embed(&t, ids);
    for (t.layer = 0; !s && t.layer < lm->config.num_layers; t.layer++)
        s = block(&t, &lm->layers[t.layer]);
    t.layer = SIZE_MAX;
    if (!s && lm->config.norm != NORM_NONE)
        s = norm(&t, "final norm", t.x, t.x, &lm->ln_final);
    if (!s)
        s = linear(&t, "lm head", t.logits, t.x, &lm->lm_head);
    if (!s && lm->config.tie_embeddings)
        t.step[-1].parameters = 0; /* the embeddings have been counted */
    if (!s && targets.data)
        s = loss(&t, targets);
    arena_release(scratch, mark);
    return s;
}

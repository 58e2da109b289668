#include "accounting/memory.h"

#include "accounting/parameters.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "distributed/gradient_exchange.h"
#include "kernels/matmul.h"

#include <stdint.h>

enum { BYTES_PER_NUMBER = sizeof(float) };

/* Each parameter comes with a gradient and with the two moments of AdamW. */
static AccountMemory with_activations(double parameters, double activations, double shared)
{
    AccountMemory m = {.parameters = BYTES_PER_NUMBER * parameters,
                       .gradients = BYTES_PER_NUMBER * parameters,
                       .optimizer_state = 2 * BYTES_PER_NUMBER * parameters,
                       .activations = activations,
                       .shared = shared};
    m.total = m.parameters + m.gradients + m.optimizer_state + m.activations - m.shared;
    return m;
}

AccountMemory account_memory_expression(const TransformerLMConfig *config, size_t batch, size_t seq)
{
    const double length = (double)seq, tokens = (double)batch * length, d = (double)config->d_model;
    /* Numbers that one layer keeps, then those of the final norm, the logits and their softmax: see memory.h. */
    const double norms = config->norm == NORM_NONE ? 0 : 2, up = config->ffn == FFN_SWIGLU ? 4 : 2;
    const double layer =
        tokens * ((6 + norms) * d + up * (double)config->d_ff) + 2 * tokens * length * (double)config->num_heads;
    const double outputs = tokens * (norms / 2 * d + 2 * (double)config->vocab_size);
    return with_activations(account_parameters(config).total,
                            BYTES_PER_NUMBER * ((double)config->num_layers * layer + outputs), 0);
}

/* Returns the most that a matrix product of a step, forward or backward, writes of its workspace. */
static double matmul_workspace(const TransformerLMConfig *c, size_t tokens)
{
    /* One product computes queries, keys and values together, and one W1 x and W3 x. */
    const size_t d = c->d_model, qkv = 3 * d, up = c->ffn == FFN_SWIGLU ? 2 * c->d_ff : c->d_ff;
    /* With few tokens, x W^T does not pack W^T: it then writes as little as a product without terms. */
    const size_t forward = tokens > MATMUL_FEW_ROWS ? d : 0;
    const size_t columns_and_terms[][2] = {
        {qkv, forward}, {up, forward},     {c->vocab_size, forward}, /* x W^T of these, and of the LM head */
        {d, qkv},       {d, up},           {d, c->vocab_size}, /* the gradients of their x; x W2^T has fewer terms */
        {d, tokens},    {c->d_ff, tokens},                     /* the gradients of weights: sums over the tokens */
    };
    size_t most = 0;
    for (size_t i = 0; i < sizeof columns_and_terms / sizeof *columns_and_terms; i++) {
        const size_t bytes = matmul_workspace_bytes(columns_and_terms[i][0], columns_and_terms[i][1]);
        most = bytes > most ? bytes : most;
    }
    return (double)most;
}

double account_rank_bytes(const TransformerLMConfig *config, const AccountRanks *ranks)
{
    enum { BOUND = 13600000, UNBOUND = 17000000 };
    const bool unbound = ranks->on_host > (size_t)parallel_processors();
    return (unbound ? UNBOUND : BOUND) + matmul_workspace(config, ranks->tokens);
}

void account_memory_of_rank(AccountMemory *memory, const TransformerLMConfig *config, const AccountRanks *ranks)
{
    const size_t numbers = transformer_lm_parameter_count(config);
    const double without = memory->total - memory->optimizer_state;
    if (ranks->count == 1 || numbers == SIZE_MAX)
        return;
    if (ranks->shard_optimizer)
        memory->optimizer_state = 2 * BYTES_PER_NUMBER * (double)bucket_share(numbers, ranks->count);
    memory->exchange = account_rank_bytes(config, ranks) + (double)gradient_exchange_bytes(numbers, ranks->count);
    memory->total = without + memory->optimizer_state + memory->exchange;
}

size_t account_largest_batch(const TransformerLMConfig *config, size_t seq, double bytes)
{
    const AccountMemory one = account_memory_expression(config, 1, seq);
    const double available = bytes - (one.total - one.activations);
    return available < 0 ? 0 : (size_t)(available / one.activations);
}

/* ---- the memory that this program takes ---- */

/*
 * The shapes of a model without its memory: all its tensors are views of one float that is never read. So the largest
 * models can be measured on a machine that could not hold them.
 */
typedef struct {
    TransformerLM lm;
    float number;
    double parameter_bytes; /* the size of the arena that would hold the parameters */
} ModelShapes;

static TransformerBlock block_shapes(const TransformerLMConfig *c, float *number)
{
    const Linear square = {.weight = tensor(number, c->d_model, c->d_model)},
                 up = {.weight = tensor(number, c->d_ff, c->d_model)};
    const Linear absent = {.weight = {.data = NULL}};
    const RMSNorm norm = {.weight = tensor(c->norm == NORM_NONE ? NULL : number, c->d_model), .eps = c->norm_eps};
    return (TransformerBlock){
        .norm = c->norm,
        .attn =
            {.num_heads = c->num_heads, .q_proj = square, .k_proj = square, .v_proj = square, .output_proj = square},
        .ln1 = norm,
        .ln2 = norm,
        .ffn = {.w1 = up,
                .w2 = {.weight = tensor(number, c->d_model, c->d_ff)},
                .w3 = c->ffn == FFN_SWIGLU ? up : absent},
    };
}

/* On success the caller releases shapes->lm.layers. */
static Status shapes_init(ModelShapes *shapes, const TransformerLMConfig *c)
{
    /* Binding to an arena without memory checks the configuration and measures the parameters. */
    Arena measure = {0};
    const Status s = transformer_lm_bind(&shapes->lm, &measure, c);
    if (s)
        return s;
    shapes->parameter_bytes = (double)measure.peak;
    /* That model has no memory at all. Give its tensors data, because a tensor without data means "absent". */
    float *number = &shapes->number;
    const TransformerBlock block = block_shapes(c, number);
    shapes->lm = (TransformerLM){
        .config = *c,
        .token_embeddings = {tensor(number, c->vocab_size, c->d_model)},
        .layers = memory_allocate_zeroed(c->num_layers, sizeof(TransformerBlock)),
        .ln_final = block.ln1,
        .lm_head = {.weight = tensor(number, c->vocab_size, c->d_model)},
    };
    if (!shapes->lm.layers)
        return status_fail(CS336_ENOMEM, "account_memory_measured: no memory for %zu layers", c->num_layers);
    for (size_t i = 0; i < c->num_layers; i++)
        shapes->lm.layers[i] = block;
    return CS336_OK;
}

/*
 * An estimate of the measured bytes, from above, in double: a size_t would overflow for the largest sizes. Each layer
 * keeps less than 8 d_model + 4 d_ff + num_heads numbers for each token.
 */
static double estimate(const TransformerLMConfig *c, size_t batch, size_t seq)
{
    const double tokens = (double)batch * (double)seq, layers = (double)c->num_layers;
    const double layer = 8 * (double)c->d_model + 4 * (double)c->d_ff + (double)c->num_heads;
    return BYTES_PER_NUMBER * (4 * account_parameters(c).total + tokens * (layers * layer + (double)c->vocab_size));
}

bool account_is_measurable(const TransformerLMConfig *config, size_t batch, size_t seq)
{
    return estimate(config, batch, seq) < (double)SIZE_MAX / 16;
}

/* The activations of a training step, together with its gradients. */
static double step_memory(const ModelShapes *shapes, size_t batch, size_t seq, bool share)
{
    if (share)
        return (double)transformer_lm_loss_and_gradients_memory(&shapes->lm, batch, seq);
    return shapes->parameter_bytes + (double)transformer_lm_loss_scratch(&shapes->lm, batch, seq, true);
}

Status account_memory_measured(AccountMemory *memory, const TransformerLMConfig *config, size_t batch, size_t seq,
                               bool share)
{
    ModelShapes shapes;
    Status s = transformer_lm_check(config);
    if (s)
        return s;
    if (!account_is_measurable(config, batch, seq)) {
        *memory = account_memory_expression(config, batch, seq);
        return CS336_OK;
    }
    s = shapes_init(&shapes, config);
    if (s)
        return s;
    const double activations = (double)transformer_lm_loss_scratch(&shapes.lm, batch, seq, true);
    *memory = with_activations(shapes.parameter_bytes / BYTES_PER_NUMBER, activations,
                               shapes.parameter_bytes + activations - step_memory(&shapes, batch, seq, share));
    memory_release(shapes.lm.layers);
    return CS336_OK;
}

Status account_largest_batch_measured(size_t *batch, const TransformerLMConfig *config, size_t seq, double bytes,
                                      bool share)
{
    ModelShapes shapes;
    *batch = 0;
    Status s = transformer_lm_check(config);
    if (s || !account_is_measurable(config, 1, seq))
        return s;
    s = shapes_init(&shapes, config);
    if (s)
        return s;
    /* Parameters and two moments are there at any batch size. */
    const double available = bytes - 3 * shapes.parameter_bytes;
    /* Double the batch until the rest does not fit. */
    size_t fits = 0, fails = 1;
    while (step_memory(&shapes, fails, seq, share) <= available) {
        fits = fails;
        fails *= 2;
    }
    /* Bisect: the largest batch that fits is in [fits, fails). */
    while (fails - fits > 1) {
        const size_t middle = fits + (fails - fits) / 2;
        if (step_memory(&shapes, middle, seq, share) <= available)
            fits = middle;
        else
            fails = middle;
    }
    *batch = fits;
    memory_release(shapes.lm.layers);
    return CS336_OK;
}

#include "accounting/memory.h"

#include "accounting/parameters.h"
#include "core/memory.h"

enum { BYTES = sizeof(float) };

static AccountMemory with_activations(double parameters, double activations)
{
    AccountMemory m = {.parameters = BYTES * parameters,
                       .gradients = BYTES * parameters,
                       .optimizer_state = 2 * BYTES * parameters,
                       .activations = activations};
    m.total = m.parameters + m.gradients + m.optimizer_state + m.activations;
    return m;
}

AccountMemory account_memory_expression(const TransformerLMConfig *config, size_t batch, size_t seq)
{
    const double length = (double)seq, tokens = (double)batch * length, d = (double)config->d_model;
    const double norms = config->norm == NORM_NONE ? 0 : 2, up = config->ffn == FFN_SWIGLU ? 4 : 2;
    const double layer =
        tokens * ((6 + norms) * d + up * (double)config->d_ff) + 2 * tokens * length * (double)config->num_heads;
    const double head = tokens * (norms / 2 * d + 2 * (double)config->vocab_size);
    return with_activations((double)account_parameters(config).total,
                            BYTES * ((double)config->num_layers * layer + head));
}

size_t account_largest_batch(const TransformerLMConfig *config, size_t seq, double bytes)
{
    const AccountMemory one = account_memory_expression(config, 1, seq);
    const double left = bytes - (one.total - one.activations);
    return left < 0 ? 0 : (size_t)(left / one.activations);
}

/* ---- what this program takes ---- */

/*
 * A model's shapes without its memory: views of the right extents over one number that nobody reads. The largest
 * models can be measured on a machine that could never hold them.
 */
typedef struct {
    TransformerLM lm;
    float number;
} Shapes;

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

static Status shapes_init(Shapes *shapes, const TransformerLMConfig *c)
{
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

static Status parameter_bytes(double *bytes, const TransformerLMConfig *config)
{
    Arena measure = {0};
    TransformerLM lm;
    const Status s = transformer_lm_bind(&lm, &measure, config);
    *bytes = (double)measure.peak;
    return s;
}

Status account_memory_measured(AccountMemory *memory, const TransformerLMConfig *config, size_t batch, size_t seq)
{
    Shapes shapes = {.lm = {.layers = NULL}};
    double parameters;
    Status s = parameter_bytes(&parameters, config);
    if (!s)
        s = shapes_init(&shapes, config);
    if (!s)
        *memory =
            with_activations(parameters / BYTES, (double)transformer_lm_loss_scratch(&shapes.lm, batch, seq, true));
    memory_release(shapes.lm.layers);
    return s;
}

Status account_largest_batch_measured(size_t *batch, const TransformerLMConfig *config, size_t seq, double bytes)
{
    Shapes shapes = {.lm = {.layers = NULL}};
    double parameters;
    Status s = parameter_bytes(&parameters, config);
    if (!s)
        s = shapes_init(&shapes, config);
    if (!s) {
        /* Scratch grows with the batch: double it until it does not fit, then halve the interval. */
        const double left = bytes - 4 * parameters;
        size_t fits = 0, fails = 1;
        while ((double)transformer_lm_loss_scratch(&shapes.lm, fails, seq, true) <= left)
            fits = fails, fails *= 2;
        while (fails - fits > 1) {
            const size_t middle = fits + (fails - fits) / 2;
            if ((double)transformer_lm_loss_scratch(&shapes.lm, middle, seq, true) <= left)
                fits = middle;
            else
                fails = middle;
        }
        *batch = fits;
    }
    memory_release(shapes.lm.layers);
    return s;
}

#include "accounting/memory.h"

#include "accounting/parameters.h"

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

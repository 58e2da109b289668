#include "accounting/parameters.h"

AccountParameters account_parameters(const TransformerLMConfig *config)
{
    const size_t d = config->d_model, layers = config->num_layers;
    const size_t feed_forward_matrices = config->ffn == FFN_SWIGLU ? 3 : 2;
    AccountParameters p = {
        .token_embeddings = config->vocab_size * d,
        .attention = layers * 4 * d * d,
        .feed_forward = layers * feed_forward_matrices * d * config->d_ff,
        .norms = config->norm == NORM_NONE ? 0 : (2 * layers + 1) * d,
        .lm_head = config->vocab_size * d,
    };
    p.total = p.token_embeddings + p.attention + p.feed_forward + p.norms + p.lm_head;
    return p;
}

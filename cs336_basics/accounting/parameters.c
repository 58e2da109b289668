#include "accounting/parameters.h"

AccountParameters account_parameters(const TransformerLMConfig *config)
{
    const double d = (double)config->d_model, layers = (double)config->num_layers;
    const double vocab_size = (double)config->vocab_size, d_ff = (double)config->d_ff;
    const double feed_forward_matrices = config->ffn == FFN_SWIGLU ? 3 : 2;
    AccountParameters p = {
        .token_embeddings = vocab_size * d,
        .attention = layers * 4 * d * d,
        .feed_forward = layers * feed_forward_matrices * d * d_ff,
        .norms = config->norm == NORM_NONE ? 0 : (2 * layers + 1) * d,
        .lm_head = config->tie_embeddings ? 0 : vocab_size * d,
    };
    p.total = p.token_embeddings + p.attention + p.feed_forward + p.norms + p.lm_head;
    return p;
}

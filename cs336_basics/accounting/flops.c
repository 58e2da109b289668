#include "accounting/flops.h"

AccountFlops account_forward_flops(const TransformerLMConfig *config, size_t batch, size_t seq)
{
    const double tokens = (double)batch * (double)seq, length = (double)seq, d = (double)config->d_model;
    const double layers = (double)config->num_layers, d_ff = (double)config->d_ff;
    const double feed_forward_matrices = config->ffn == FFN_SWIGLU ? 3 : 2;
    AccountFlops f = {
        .qkv_projections = layers * 3 * 2 * tokens * d * d,
        .attention_scores = layers * 2 * tokens * length * d,
        .attention_values = layers * 2 * tokens * length * d,
        .output_projection = layers * 2 * tokens * d * d,
        .feed_forward = layers * feed_forward_matrices * 2 * tokens * d * d_ff,
        .lm_head = 2 * tokens * d * (double)config->vocab_size,
    };
    f.total =
        f.qkv_projections + f.attention_scores + f.attention_values + f.output_projection + f.feed_forward + f.lm_head;
    return f;
}

double account_training_flops(const TransformerLMConfig *config, size_t batch, size_t seq)
{
    return 3 * account_forward_flops(config, batch, seq).total;
}

double account_adamw_flops(double parameters)
{
    return 14 * parameters;
}

double account_mfu(double flops_per_token, double tokens_per_second, double peak)
{
    return flops_per_token * tokens_per_second / peak;
}

double account_hours(double flops, double peak, double mfu)
{
    return flops / (peak * mfu) / 3600;
}

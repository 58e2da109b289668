#include "accounting/preset.h"

const char *const account_preset_names[] = {"gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl", NULL};

static const struct {
    size_t num_layers, d_model, num_heads, d_ff;
} sizes[] = {
    {12, 768, 12, 2048},
    {24, 1024, 16, 2752},
    {36, 1280, 20, 3392},
    {48, 1600, 25, 4288},
};

TransformerLMConfig account_preset(size_t index)
{
    return (TransformerLMConfig){.vocab_size = 50257,
                                 .context_length = 1024,
                                 .d_model = sizes[index].d_model,
                                 .num_layers = sizes[index].num_layers,
                                 .num_heads = sizes[index].num_heads,
                                 .d_ff = sizes[index].d_ff,
                                 .rope_theta = 1e4F,
                                 .norm_eps = 1e-5F};
}

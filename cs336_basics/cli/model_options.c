#include "cli/model_options.h"

#include <stdio.h>

/*
 * The course's rule: SwiGLU's three matrices with d_ff = 8/3 d hold as many numbers as the two of the plain network
 * with d_ff = 4 d. 8/3 d is rounded to the nearest multiple of 64, at least 64.
 */
static size_t default_d_ff(size_t d_model, int ffn)
{
    if (ffn == FFN_SILU)
        return 4 * d_model;
    const size_t multiples = (8 * d_model + 96) / 192;
    return multiples ? 64 * multiples : 64;
}

TransformerLMConfig model_options_config(const ModelOptions *options)
{
    return (TransformerLMConfig){.vocab_size = options->vocab_size,
                                 .context_length = options->context_length,
                                 .d_model = options->d_model,
                                 .num_layers = options->num_layers,
                                 .num_heads = options->num_heads,
                                 .d_ff = options->d_ff ? options->d_ff : default_d_ff(options->d_model, options->ffn),
                                 .rope_theta = (float)options->rope_theta,
                                 .norm_eps = (float)options->norm_eps,
                                 .norm = (NormPlacement)options->norm,
                                 .position = (PositionKind)options->position,
                                 .ffn = (FeedForwardKind)options->ffn};
}

void model_config_print(const char *title, int column, const TransformerLMConfig *config)
{
    printf("%-*svocab %zu, context %zu, %zu layers, d_model %zu, %zu heads, d_ff %zu\n", column, title,
           config->vocab_size, config->context_length, config->num_layers, config->d_model, config->num_heads,
           config->d_ff);
    printf("%*snorm %s, position %s, ffn %s\n", column, "", norm_names[config->norm], position_names[config->position],
           ffn_names[config->ffn]);
}

const char *count_text(double count)
{
    static char buffers[4][32];
    static unsigned next;
    static const char *const units[] = {"", " K", " M", " G", " T", " P", " E", " Z"};
    char *text = buffers[next++ % 4];
    /* Three significant digits; 999.5 would be rounded to 1000. */
    size_t unit = 0;
    if (count >= 999.5e21) { /* beyond the last unit */
        snprintf(text, sizeof buffers[0], "%.3g", count);
        return text;
    }
    while (count >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        count /= 1000;
        unit++;
    }
    const int decimals = unit == 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2;
    snprintf(text, sizeof buffers[0], "%.*f%s", decimals, count, units[unit]);
    return text;
}

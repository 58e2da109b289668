#include "cli/model_options.h"
#include "core/plural.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
                                 .ffn = (FeedForwardKind)options->ffn,
                                 .tie_embeddings = options->tie_embeddings};
}

void model_options_set(ModelOptions *options, const TransformerLMConfig *config)
{
    *options = (ModelOptions){.vocab_size = config->vocab_size,
                              .context_length = config->context_length,
                              .d_model = config->d_model,
                              .num_layers = config->num_layers,
                              .num_heads = config->num_heads,
                              .d_ff = config->d_ff,
                              .rope_theta = (double)config->rope_theta,
                              .norm_eps = (double)config->norm_eps,
                              .norm = (int)config->norm,
                              .position = (int)config->position,
                              .ffn = (int)config->ffn,
                              .tie_embeddings = config->tie_embeddings};
}

Status model_options_agree(const TransformerLMConfig *config, const TransformerLMConfig *model, const char *path)
{
    TransformerLMConfig same = *config;
    same.context_length = model->context_length;
    same.dtype = model->dtype;
    const ModelConfigDifference difference = model_config_difference(&same, model);
    if (!difference.key)
        return CS336_OK;
    /* The option of num_heads is --num-heads. */
    char option[64];
    snprintf(option, sizeof option, "--%s", difference.key);
    for (char *c = option; *c; c++)
        *c = *c == '_' ? '-' : *c;
    return status_fail(CS336_EFORMAT, "%s: %s, expected %s as in the model of %s, or no %s", option, difference.value,
                       difference.expected, path, option);
}

void model_config_print(const char *title, int column, const TransformerLMConfig *config)
{
    printf("%-*svocab %zu, context %zu, %zu layer%s, d_model %zu, %zu head%s, d_ff %zu\n", column, title,
           config->vocab_size, config->context_length, config->num_layers, plural(config->num_layers), config->d_model,
           config->num_heads, plural(config->num_heads), config->d_ff);
    printf("%*snorm %s, position %s, ffn %s%s\n", column, "", norm_names[config->norm],
           position_names[config->position], ffn_names[config->ffn], config->tie_embeddings ? ", tied embeddings" : "");
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
        snprintf(text, sizeof buffers[0], "%.2e", count);
        return text;
    }
    if (count < 99.95 && count != floor(count)) { /* a speed: 0 tokens/s would say that there is none */
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

BytesText bytes_text(double bytes)
{
    BytesText text;
    const char *count = count_text(bytes);
    /* Behind a prefix such as M the B follows at once; behind a number there is a blank. */
    const bool has_prefix = strchr(count, ' ') != NULL;
    snprintf(text.text, sizeof text.text, "%s%sB", count, has_prefix ? "" : " ");
    return text;
}

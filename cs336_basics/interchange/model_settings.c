#include "interchange/model_settings.h"

#include "train/model_checkpoint.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    VALUE_BYTES = 32,      /* of a value as text, as in ModelConfigText */
    FEWEST_DIGITS = 6,     /* of a number in a message: 1e-05 rather than 9.99999975e-06 */
    DIGITS_OF_A_FLOAT = 9, /* identify every float32 */
};

#define FIELD(name) #name, offsetof(TransformerLMConfig, name), sizeof(((TransformerLMConfig *)NULL)->name)

static const struct {
    const char *key;
    size_t offset, bytes; /* of the field in TransformerLMConfig */
    bool is_float;
} fields[MODEL_SETTINGS] = {
    {FIELD(vocab_size), false}, {FIELD(context_length), false},
    {FIELD(d_model), false},    {FIELD(num_layers), false},
    {FIELD(num_heads), false},  {FIELD(d_ff), false},
    {FIELD(rope_theta), true},  {FIELD(norm_eps), true},
    {FIELD(norm), false},       {FIELD(position), false},
    {FIELD(ffn), false},        {FIELD(tie_embeddings), false},
};

/* Returns the index of a field. */
static size_t find(const char *key)
{
    size_t i = 0;
    while (i < MODEL_SETTINGS && strcmp(fields[i].key, key) != 0)
        i++;
    assert(i < MODEL_SETTINGS);
    return i;
}

/* Returns the address of a field. */
static const void *value_of(const TransformerLMConfig *config, size_t field)
{
    return (const unsigned char *)config + fields[field].offset;
}

static void value_text(char text[VALUE_BYTES], const TransformerLMConfig *config, size_t field, int digits)
{
    ModelConfigText all;
    const char *value = "false"; /* tie_embeddings, which has no text if it is false */
    if (fields[field].is_float) {
        snprintf(text, VALUE_BYTES, "%.*g", digits, (double)*(const float *)value_of(config, field));
        return;
    }
    model_config_text(&all, config);
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.pairs[i].key, fields[field].key) == 0)
            value = all.pairs[i].value;
    snprintf(text, VALUE_BYTES, "%s", value);
}

/* Says that two sources contradict each other. Numbers have as few digits as tell them apart. */
static Status contradiction(const ModelSettings *settings, size_t field, const TransformerLMConfig *said,
                            const char *source, const char *reason)
{
    char first[VALUE_BYTES], second[VALUE_BYTES];
    int digits = FEWEST_DIGITS;
    do {
        value_text(first, &settings->config, field, digits);
        value_text(second, said, field, digits);
    } while (strcmp(first, second) == 0 && digits++ < DIGITS_OF_A_FLOAT);
    return status_fail(CS336_EFORMAT, "%s: %s is %s in %s, but %s in %s%s", settings->path, fields[field].key, first,
                       settings->sources[field], second, source, reason);
}

/* Sets a field, also one that was known. */
static void set(ModelSettings *settings, size_t field, const TransformerLMConfig *said, const char *source)
{
    memcpy((unsigned char *)&settings->config + fields[field].offset, value_of(said, field), fields[field].bytes);
    settings->sources[field] = source;
}

static void add(ModelSettings *settings, size_t field, const TransformerLMConfig *said, const char *source)
{
    if (settings->status)
        return;
    if (!settings->sources[field])
        set(settings, field, said, source);
    else if (memcmp(value_of(&settings->config, field), value_of(said, field), fields[field].bytes) != 0)
        settings->status = contradiction(settings, field, said, source, "");
}

void model_settings_add(ModelSettings *settings, const char *key, const TransformerLMConfig *said, const char *source)
{
    add(settings, find(key), said, source);
}

void model_settings_add_all(ModelSettings *settings, const TransformerLMConfig *said, const char *source)
{
    for (size_t i = 0; i < MODEL_SETTINGS; i++)
        add(settings, i, said, source);
}

void model_settings_add_metadata(ModelSettings *settings, const CheckpointFile *file, const char *source)
{
    TransformerLMConfig said;
    if (settings->status)
        return;
    settings->status = model_config_read_some(&said, file);
    size_t found = 0;
    for (size_t i = 0; i < MODEL_SETTINGS; i++)
        if (checkpoint_config(file, fields[i].key)) {
            add(settings, i, &said, source);
            found++;
        }
    /* An export leaves tie_embeddings out if it is false, and has all others. */
    if (found == MODEL_SETTINGS - 1 && !checkpoint_config(file, "tie_embeddings"))
        model_settings_add(settings, "tie_embeddings", &said, source);
}

/* Takes a context length that is no longer than the one that the files say. */
static void choose_context(ModelSettings *settings, const TransformerLMConfig *said, const char *source)
{
    const size_t field = find("context_length");
    if (settings->status)
        return;
    if (settings->sources[field] && said->context_length > settings->config.context_length)
        settings->status = contradiction(settings, field, said, source,
                                         ", expected no more: the model has not learned later positions");
    else
        set(settings, field, said, source);
}

void model_settings_add_options(ModelSettings *settings, const ImportOptions *options)
{
    static const char source[] = "the options";
    const TransformerLMConfig said = {.num_heads = options->num_heads,
                                      .context_length = options->context_length,
                                      .rope_theta = options->rope_theta,
                                      .norm_eps = options->norm_eps,
                                      .norm = options->norm < 0 ? NORM_PRE : (NormPlacement)options->norm,
                                      .position =
                                          options->position < 0 ? POSITION_ROPE : (PositionKind)options->position};
    if (options->num_heads)
        model_settings_add(settings, "num_heads", &said, source);
    if (options->rope_theta > 0)
        model_settings_add(settings, "rope_theta", &said, source);
    if (options->norm_eps > 0)
        model_settings_add(settings, "norm_eps", &said, source);
    if (options->norm >= 0)
        model_settings_add(settings, "norm", &said, source);
    if (options->position >= 0)
        model_settings_add(settings, "position", &said, source);
    if (options->context_length)
        choose_context(settings, &said, source);
}

const char *model_settings_source(const ModelSettings *settings, const char *key)
{
    return settings->sources[find(key)];
}

bool model_settings_complete(const ModelSettings *settings)
{
    size_t i = 0;
    while (i < MODEL_SETTINGS && settings->sources[i])
        i++;
    return i == MODEL_SETTINGS;
}

Status model_settings_check(const ModelSettings *settings)
{
    if (settings->status)
        return settings->status;
    const Status s = transformer_lm_check(&settings->config);
    return s ? status_fail(s, "%s: %s", settings->path, status_message()) : CS336_OK;
}

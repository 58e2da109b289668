#include "train/model_checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const norm_names[] = {"pre", "post", "none", NULL};
const char *const position_names[] = {"rope", "none", NULL};
const char *const ffn_names[] = {"swiglu", "silu", NULL};
const char *const dtype_names[] = {"float32", "bf16", NULL};

/* ---- to text ---- */

static char *next_value(ModelConfigText *text, size_t *used, const char *key)
{
    char *value = text->values[*used];
    text->pairs[(*used)++] = (SafetensorsText){.key = key, .value = value};
    return value;
}

static void put_size(ModelConfigText *text, size_t *used, const char *key, size_t size)
{
    snprintf(next_value(text, used, key), sizeof text->values[0], "%zu", size);
}

/* Nine digits give every float32 back. */
static void put_float(ModelConfigText *text, size_t *used, const char *key, float number)
{
    snprintf(next_value(text, used, key), sizeof text->values[0], "%.9g", (double)number);
}

static void put_name(ModelConfigText *text, size_t *used, const char *key, const char *name)
{
    snprintf(next_value(text, used, key), sizeof text->values[0], "%s", name);
}

void model_config_text(ModelConfigText *text, const TransformerLMConfig *config)
{
    size_t used = 0;
    put_size(text, &used, "vocab_size", config->vocab_size);
    put_size(text, &used, "context_length", config->context_length);
    put_size(text, &used, "d_model", config->d_model);
    put_size(text, &used, "num_layers", config->num_layers);
    put_size(text, &used, "num_heads", config->num_heads);
    put_size(text, &used, "d_ff", config->d_ff);
    put_float(text, &used, "rope_theta", config->rope_theta);
    put_float(text, &used, "norm_eps", config->norm_eps);
    put_name(text, &used, "norm", norm_names[config->norm]);
    put_name(text, &used, "position", position_names[config->position]);
    put_name(text, &used, "ffn", ffn_names[config->ffn]);
    put_name(text, &used, "dtype", dtype_names[config->dtype]);
}

/* ---- from text ---- */

static Status value_of(const char **value, const CheckpointFile *file, const char *key)
{
    *value = checkpoint_config(file, key);
    if (!*value)
        return status_fail(CS336_EFORMAT, "%s: no %s in the configuration: not the checkpoint of a language model",
                           file->tensors.path, key);
    return CS336_OK;
}

static Status get_size(size_t *size, const CheckpointFile *file, const char *key)
{
    const char *value;
    const Status s = value_of(&value, file, key);
    if (s)
        return s;
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || number > SIZE_MAX)
        return status_fail(CS336_EFORMAT, "%s: %s is \"%s\", expected a whole number", file->tensors.path, key, value);
    *size = (size_t)number;
    return CS336_OK;
}

static Status get_float(float *number, const CheckpointFile *file, const char *key)
{
    const char *value;
    const Status s = value_of(&value, file, key);
    if (s)
        return s;
    char *end;
    *number = strtof(value, &end);
    if (end == value || *end || !isfinite(*number))
        return status_fail(CS336_EFORMAT, "%s: %s is \"%s\", expected a number", file->tensors.path, key, value);
    return CS336_OK;
}

static Status get_name(int *index, const CheckpointFile *file, const char *key, const char *const *names)
{
    const char *value;
    const Status s = value_of(&value, file, key);
    if (s)
        return s;
    for (*index = 0; names[*index]; ++*index)
        if (strcmp(names[*index], value) == 0)
            return CS336_OK;
    return status_fail(CS336_EFORMAT, "%s: %s is \"%s\", which is unknown", file->tensors.path, key, value);
}

Status model_config_read(TransformerLMConfig *config, const CheckpointFile *file)
{
    *config = (TransformerLMConfig){0};
    int norm = 0, position = 0, ffn = 0, dtype = 0;
    Status s = get_size(&config->vocab_size, file, "vocab_size");
    s = s ? s : get_size(&config->context_length, file, "context_length");
    s = s ? s : get_size(&config->d_model, file, "d_model");
    s = s ? s : get_size(&config->num_layers, file, "num_layers");
    s = s ? s : get_size(&config->num_heads, file, "num_heads");
    s = s ? s : get_size(&config->d_ff, file, "d_ff");
    s = s ? s : get_float(&config->rope_theta, file, "rope_theta");
    s = s ? s : get_float(&config->norm_eps, file, "norm_eps");
    s = s ? s : get_name(&norm, file, "norm", norm_names);
    s = s ? s : get_name(&position, file, "position", position_names);
    s = s ? s : get_name(&ffn, file, "ffn", ffn_names);
    s = s ? s : get_name(&dtype, file, "dtype", dtype_names);
    if (s)
        return s;
    config->norm = (NormPlacement)norm;
    config->position = (PositionKind)position;
    config->ffn = (FeedForwardKind)ffn;
    config->dtype = (DType)dtype;
    return transformer_lm_check(config);
}

/* ---- the model ---- */

static Status bind(TrainedModel *model, ParameterList *parameters, Arena *arena, const TransformerLMConfig *config)
{
    Status s = transformer_lm_bind(&model->lm, arena, config);
    if (!s)
        s = transformer_lm_bind_rope(&model->lm, arena);
    if (!s)
        s = transformer_lm_parameters(parameters, arena, &model->lm, NULL, NULL, NULL);
    return s;
}

Status trained_model_load(TrainedModel *model, const char *path)
{
    *model = (TrainedModel){0};
    CheckpointFile file = {0};
    TransformerLMConfig config = {0};
    ParameterList parameters = {0};
    Arena measure = {0};
    Status s = checkpoint_open(&file, path);
    if (!s)
        s = model_config_read(&config, &file);
    config.dtype = DTYPE_FLOAT32;
    if (!s)
        s = bind(model, &parameters, &measure, &config);
    if (!s)
        s = arena_init(&model->memory, measure.peak);
    if (!s)
        s = bind(model, &parameters, &model->memory, &config);
    if (!s) {
        Checkpoint checkpoint = {.parameters = parameters};
        s = checkpoint_read(&checkpoint, &file);
        model->iteration = checkpoint.iteration;
    }
    checkpoint_close(&file);
    if (s)
        trained_model_deinit(model);
    return s;
}

void trained_model_deinit(TrainedModel *model)
{
    arena_deinit(&model->memory);
    *model = (TrainedModel){0};
}

#include "train/model_checkpoint.h"

#include "core/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const norm_names[] = {"pre", "post", "none", NULL};
const char *const position_names[] = {"rope", "none", NULL};
const char *const ffn_names[] = {"swiglu", "silu", NULL};
const char *const dtype_names[] = {"float32", "bf16", "bf16x3", NULL};

/* ---- configuration to text ---- */

/* Adds a pair with this key and returns its empty value, 32 bytes; *used counts the pairs. */
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

/* Nine significant digits identify every float32 exactly. */
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
    if (config->tie_embeddings)
        put_name(text, &used, "tie_embeddings", "true");
    text->count = used;
}

/* ---- configuration from text ---- */

/*
 * Reads one value after the other and remembers the first failure. After a failure the functions below return 0, so
 * that the caller checks `status` only once, at the end.
 */
typedef struct {
    const CheckpointFile *file;
    bool may_lack; /* a field that is missing is 0, and no failure */
    Status status;
} ConfigReader;

/* Returns the value of a key as text; NULL after a failure, or if it is missing. */
static const char *read_text(ConfigReader *reader, const char *key)
{
    if (reader->status)
        return NULL;
    const char *value = checkpoint_config(reader->file, key);
    if (!value && !reader->may_lack)
        reader->status =
            status_fail(CS336_EFORMAT, "%s: no %s in the configuration: not the checkpoint of a language model",
                        reader->file->tensors.path, key);
    return value;
}

static void fail(ConfigReader *reader, const char *key, const char *value, const char *expected)
{
    reader->status =
        status_fail(CS336_EFORMAT, "%s: %s is \"%s\", expected %s", reader->file->tensors.path, key, value, expected);
}

static size_t read_size(ConfigReader *reader, const char *key)
{
    const char *value = read_text(reader, key);
    char *end;
    errno = 0;
    const unsigned long long number = value ? strtoull(value, &end, 10) : 0;
    if (value && (*value < '0' || *value > '9' || *end || errno || number > SIZE_MAX))
        fail(reader, key, value, "a whole number");
    return (size_t)number;
}

static float read_float(ConfigReader *reader, const char *key)
{
    const char *value = read_text(reader, key);
    char *end;
    const float number = value ? strtof(value, &end) : 0;
    if (value && (end == value || *end || !isfinite(number)))
        fail(reader, key, value, "a number");
    return number;
}

/* Returns the index of the value in a list of names. */
static int read_name(ConfigReader *reader, const char *key, const char *const *names)
{
    const char *value = read_text(reader, key);
    if (!value)
        return 0;
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], value) == 0)
            return i;
    /* Unknown. Show the names that are allowed, as "swiglu|silu". */
    char expected[64] = "";
    for (size_t i = 0, used = 0; names[i] && used < sizeof expected; i++)
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s", i ? "|" : "", names[i]);
    fail(reader, key, value, expected);
    return 0;
}

static Status read_fields(TransformerLMConfig *config, ConfigReader *reader)
{
    *config = (TransformerLMConfig){0};
    config->vocab_size = read_size(reader, "vocab_size");
    config->context_length = read_size(reader, "context_length");
    config->d_model = read_size(reader, "d_model");
    config->num_layers = read_size(reader, "num_layers");
    config->num_heads = read_size(reader, "num_heads");
    config->d_ff = read_size(reader, "d_ff");
    config->rope_theta = read_float(reader, "rope_theta");
    config->norm_eps = read_float(reader, "norm_eps");
    config->norm = (NormPlacement)read_name(reader, "norm", norm_names);
    config->position = (PositionKind)read_name(reader, "position", position_names);
    config->ffn = (FeedForwardKind)read_name(reader, "ffn", ffn_names);
    config->dtype = (DType)read_name(reader, "dtype", dtype_names);
    if (checkpoint_config(reader->file, "tie_embeddings")) /* absent: false */
        config->tie_embeddings = read_name(reader, "tie_embeddings", (const char *const[]){"false", "true", NULL}) == 1;
    return reader->status;
}

Status model_config_read(TransformerLMConfig *config, const CheckpointFile *file)
{
    ConfigReader reader = {.file = file};
    Status s = read_fields(config, &reader);
    if (s)
        return s;
    s = transformer_lm_check(config);
    return s ? status_fail(s, "%s: %s", file->tensors.path, status_message()) : CS336_OK;
}

Status model_config_read_some(TransformerLMConfig *config, const CheckpointFile *file)
{
    ConfigReader reader = {.file = file, .may_lack = true};
    return read_fields(config, &reader);
}

Status model_config_load(TransformerLMConfig *config, const char *path)
{
    CheckpointFile file;
    Status s = checkpoint_open(&file, path);
    if (s)
        return s;
    s = model_config_read(config, &file);
    checkpoint_close(&file);
    return s;
}

ModelConfigDifference model_config_difference(const TransformerLMConfig *config, const TransformerLMConfig *expected)
{
    ModelConfigDifference difference = {.key = NULL};
    ModelConfigText a, b;
    model_config_text(&a, config);
    model_config_text(&b, expected);
    for (size_t i = 0; i < a.count && i < b.count && !difference.key; i++) {
        if (strcmp(a.values[i], b.values[i]) == 0)
            continue;
        difference.key = a.pairs[i].key;
        memcpy(difference.value, a.values[i], sizeof difference.value);
        memcpy(difference.expected, b.values[i], sizeof difference.expected);
    }
    /* Only one of the two has the last pair. */
    if (!difference.key && a.count != b.count) {
        difference.key = "tie_embeddings";
        snprintf(difference.value, sizeof difference.value, "%s", config->tie_embeddings ? "true" : "false");
        snprintf(difference.expected, sizeof difference.expected, "%s", expected->tie_embeddings ? "true" : "false");
    }
    return difference;
}

/* ---- the model ---- */

/* Takes weights, RoPE tables and the list of parameters from the arena. Called to measure, then to bind. */
static Status bind(TrainedModel *model, Arena *arena, const TransformerLMConfig *config)
{
    Status s = transformer_lm_bind(&model->lm, arena, config);
    if (!s)
        s = transformer_lm_bind_rope(&model->lm, arena);
    if (!s)
        s = transformer_lm_parameters(&model->parameters, arena, &model->lm, NULL, NULL, NULL);
    return s;
}

/* Checks that the model fits the machine. Its RoPE tables grow with context_length, which the weights do not depend on.
 */
static Status check_memory(const char *path, const TransformerLMConfig *config, size_t bytes)
{
    const size_t machine = memory_machine();
    if (machine && bytes > machine)
        return status_fail(CS336_ENOMEM,
                           "%s: the model needs %.4g GB of memory with its context_length of %zu, this machine has "
                           "%.4g GB",
                           path, (double)bytes / 1e9, config->context_length, (double)machine / 1e9);
    return CS336_OK;
}

Status trained_model_create(TrainedModel *model, const TransformerLMConfig *config, const char *path)
{
    *model = (TrainedModel){0};
    TransformerLMConfig inference = *config;
    inference.dtype = DTYPE_FLOAT32;
    Arena measure = {0};
    Status s = bind(model, &measure, &inference);
    if (!s)
        s = check_memory(path, &inference, measure.peak);
    if (!s)
        s = arena_init(&model->memory, measure.peak);
    if (!s)
        s = bind(model, &model->memory, &inference);
    if (s)
        trained_model_deinit(model);
    return s;
}

Status trained_model_save(const char *path, const TrainedModel *model)
{
    ModelConfigText text;
    model_config_text(&text, &model->lm.config);
    const Checkpoint checkpoint = {.parameters = model->parameters,
                                   .iteration = model->iteration,
                                   .config = text.pairs,
                                   .config_count = text.count};
    return checkpoint_save(path, &checkpoint);
}

/*
 * Checks, before memory is allocated, that the weights of the configuration can be in the file. A small difference is
 * left to checkpoint_read(), which names the array.
 */
static Status check_stored(const SafetensorsFile *file, const TransformerLMConfig *config)
{
    const double much = 1 << 26; /* numbers: 256 MiB */
    double stored = 0;           /* numbers in all arrays */
    const size_t expected = transformer_lm_parameter_count(config);
    for (size_t i = 0; i < file->count; i++) {
        double numbers = 1;
        for (int d = 0; d < file->entries[i].rank; d++)
            numbers *= (double)file->entries[i].shape[d];
        stored += numbers;
    }
    if ((double)expected > stored + much)
        return status_fail(CS336_EFORMAT, "%s: a model of its configuration has %.6g parameters, its arrays have %.6g",
                           file->path, (double)expected, stored);
    return CS336_OK;
}

Status trained_model_load(TrainedModel *model, const char *path)
{
    *model = (TrainedModel){0};
    CheckpointFile file = {0};
    TransformerLMConfig config = {0};
    Status s = checkpoint_open(&file, path);
    if (!s)
        s = model_config_read(&config, &file);
    if (!s)
        s = check_stored(&file.tensors, &config);
    if (!s)
        s = trained_model_create(model, &config, path);
    if (!s) {
        Checkpoint checkpoint = {.parameters = model->parameters};
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

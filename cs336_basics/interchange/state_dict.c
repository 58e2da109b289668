#include "interchange/state_dict.h"

#include "core/memory.h"
#include "interchange/config_file.h"
#include "interchange/import_forms.h"
#include "interchange/model_settings.h"
#include "interchange/weights.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char EMBEDDINGS[] = "token_embeddings.weight", HEAD[] = "lm_head.weight";

/* ---- export ---- */

enum { CONFIG_KEY_BYTES = 64 /* of "config." and the longest name of a field */ };

/* The metadata: "format" first, then the configuration. `pairs` points into `keys` and into the configuration's text.
 */
typedef struct {
    ModelConfigText config;
    char keys[MODEL_CONFIG_KEYS][CONFIG_KEY_BYTES];
    SafetensorsText pairs[1 + MODEL_CONFIG_KEYS];
} Metadata;

static void fill_metadata(Metadata *metadata, const TransformerLMConfig *config)
{
    model_config_text(&metadata->config, config);
    metadata->pairs[0] = (SafetensorsText){.key = "format", .value = "pt"};
    for (size_t i = 0; i < metadata->config.count; i++) {
        snprintf(metadata->keys[i], CONFIG_KEY_BYTES, "config.%s", metadata->config.pairs[i].key);
        metadata->pairs[1 + i] = (SafetensorsText){.key = metadata->keys[i], .value = metadata->config.pairs[i].value};
    }
}

static SafetensorsEntry entry_of(const char *name, Tensor value)
{
    SafetensorsEntry entry = {.name = name, .type = SAFETENSORS_F32, .rank = value.rank, .data = value.data};
    memcpy(entry.shape, value.shape, sizeof entry.shape);
    return entry;
}

Status state_dict_export(const char *path, const TrainedModel *model)
{
    const ParameterList parameters = model->parameters;
    const TransformerLMConfig *config = &model->lm.config;
    const size_t count = parameters.count + (config->tie_embeddings ? 1 : 0);
    SafetensorsEntry *entries = memory_allocate_zeroed(count, sizeof *entries);
    if (!entries)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu arrays", path, count);
    for (size_t i = 0; i < parameters.count; i++)
        entries[i] = entry_of(parameters.items[i].name, parameters.items[i].value);
    if (config->tie_embeddings)
        entries[parameters.count] = entry_of(HEAD, model->lm.lm_head.weight);
    Metadata metadata;
    fill_metadata(&metadata, config);
    const Status s = safetensors_write(path, entries, count, metadata.pairs, 1 + metadata.config.count);
    memory_release(entries);
    return s;
}

/* ---- import: what the names and shapes say ---- */

/* Returns the extent of a dimension of an array; 0 if there is no such array or dimension. */
static size_t extent(const WeightFiles *files, const char *prefix, const char *name, int dimension)
{
    const WeightArray array = weight_files_find(files, prefix, name);
    return array.entry && array.entry->rank > dimension ? array.entry->shape[dimension] : 0;
}

static bool has(const WeightFiles *files, const char *prefix, const char *name)
{
    return weight_files_find(files, prefix, name).entry != NULL;
}

/* Returns the name of the matrix of the embeddings. A tied matrix may have the name of its other use alone. */
static const char *find_embeddings(const WeightFiles *files, const char *prefix)
{
    return has(files, prefix, HEAD) && !has(files, prefix, EMBEDDINGS) ? HEAD : EMBEDDINGS;
}

static const char ARRAYS[] = "its arrays", NORM[] = "layers.0.ln1.weight";

/* Counts the layers without gaps. A layer behind a gap belongs to no parameter, which weights_load() reports. */
static size_t count_layers(const WeightFiles *files, const char *prefix)
{
    char name[WEIGHT_NAME_BYTES];
    size_t layers = 0;
    do {
        snprintf(name, sizeof name, "layers.%zu.attn.q_proj.weight", layers);
    } while (has(files, prefix, name) && layers++ < TRANSFORMER_LM_MAX_LAYERS);
    return layers;
}

/* Adds the sizes and kinds that follow from names and shapes. weights_load() checks that all arrays agree with them. */
static void add_shapes(ModelSettings *settings, const WeightFiles *files, const char *prefix)
{
    static const char *const keys[] = {"vocab_size", "d_model", "num_layers", "d_ff", "ffn"};
    const char *embeddings = find_embeddings(files, prefix);
    const char *const needed[] = {embeddings, "layers.0.ffn.w1.weight"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!settings->status && !has(files, prefix, needed[i]))
            settings->status = status_fail(CS336_EFORMAT, "%s: no array \"%s%s\"", files->path, prefix, needed[i]);
    const TransformerLMConfig said = {
        .vocab_size = extent(files, prefix, embeddings, 0),
        .d_model = extent(files, prefix, embeddings, 1),
        .num_layers = count_layers(files, prefix),
        .d_ff = extent(files, prefix, "layers.0.ffn.w1.weight", 0),
        .ffn = has(files, prefix, "layers.0.ffn.w3.weight") ? FFN_SWIGLU : FFN_SILU,
        .norm = NORM_NONE,
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        model_settings_add(settings, keys[i], &said, ARRAYS);
    /* Norms may stand before or after a sub-layer. */
    if (!has(files, prefix, NORM))
        model_settings_add(settings, "norm", &said, ARRAYS);
}

/*
 * Finds out whether the embeddings are tied. A state dict of tied embeddings has the matrix under one name, or under
 * both with the same numbers, which then are one matrix here. `source` says already whether they are; NULL: none does.
 */
static Status read_tie(TransformerLMConfig *config, WeightFiles *files, const char *prefix, const char *source)
{
    const WeightArray embeddings = weight_files_find(files, prefix, EMBEDDINGS),
                      head = weight_files_find(files, prefix, HEAD);
    bool equal = true; /* a single matrix is used for both */
    if (source && !config->tie_embeddings)
        return CS336_OK;
    const Status s = embeddings.entry && head.entry ? weight_arrays_equal(&equal, embeddings, head) : CS336_OK;
    if (s)
        return s;
    if (source && !equal)
        return status_fail(CS336_EFORMAT, "%s: tie_embeddings is true in %s, but \"%s\" differs from \"%s\"",
                           files->path, source, HEAD, EMBEDDINGS);
    config->tie_embeddings = equal;
    if (equal)
        (void)weight_files_take(files, prefix, HEAD); /* it is read as the embeddings */
    return CS336_OK;
}

/* ---- import: what they cannot say ---- */

/* Adds what the metadata says: all settings in an export, and what a caller of save_file() has written otherwise. */
static void add_metadata(ModelSettings *settings, const WeightFiles *files)
{
    /* A copy of the struct, to read with the functions for checkpoints; only `files` closes it. */
    const CheckpointFile view = {.tensors = files->items[0].file};
    if (!settings->status && safetensors_metadata(&view.tensors, "iteration"))
        settings->status = status_fail(CS336_EFORMAT,
                                       "%s: is a checkpoint already, which --checkpoint of the other commands reads; "
                                       "expected weights from elsewhere",
                                       files->path);
    model_settings_add_metadata(settings, &view, "its metadata");
}

/* Adds the settings of a config.json that was opened: that of a run (train/run_config.h), or one with its names. */
static void add_config(ModelSettings *settings, ConfigFile *file)
{
    static const char source[] = "config.json";
    TransformerLMConfig said = {0};
    const struct {
        const char *key;
        size_t *size;
    } sizes[] = {{"vocab_size", &said.vocab_size}, {"context_length", &said.context_length}, {"d_model", &said.d_model},
                 {"num_layers", &said.num_layers}, {"num_heads", &said.num_heads},           {"d_ff", &said.d_ff}};
    int norm = 0, position = 0, ffn = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (config_file_size(file, sizes[i].size, sizes[i].key))
            model_settings_add(settings, sizes[i].key, &said, source);
    if (config_file_float(file, &said.rope_theta, "rope_theta"))
        model_settings_add(settings, "rope_theta", &said, source);
    if (config_file_float(file, &said.norm_eps, "norm_eps"))
        model_settings_add(settings, "norm_eps", &said, source);
    const bool has_norm = config_file_name(file, &norm, "norm", norm_names),
               has_position = config_file_name(file, &position, "position", position_names),
               has_ffn = config_file_name(file, &ffn, "ffn", ffn_names);
    said.norm = (NormPlacement)norm;
    said.position = (PositionKind)position;
    said.ffn = (FeedForwardKind)ffn;
    if (has_norm)
        model_settings_add(settings, "norm", &said, source);
    if (has_position)
        model_settings_add(settings, "position", &said, source);
    if (has_ffn)
        model_settings_add(settings, "ffn", &said, source);
    if (config_file_flag(file, &said.tie_embeddings, "tie_embeddings"))
        model_settings_add(settings, "tie_embeddings", &said, source);
    if (!settings->status)
        settings->status = file->status;
}

/* Adds what config.json beside the weights says, if there is one. The metadata of an export already says all. */
static void add_config_file(ModelSettings *settings, const WeightFiles *files)
{
    char directory[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES + sizeof "/config.json"];
    struct stat info;
    ConfigFile file;
    directory_split(directory, files->path);
    snprintf(path, sizeof path, "%s/config.json", directory);
    if (settings->status || model_settings_complete(settings) || stat(path, &info) != 0)
        return;
    settings->status = config_file_open(&file, path);
    add_config(settings, &file);
    config_file_close(&file);
}

/* Appends "NAME VALUE" to the settings that are assumed. */
static void assume(ImportNotes *notes, const char *name, const char *value)
{
    const size_t used = strlen(notes->assumed);
    snprintf(notes->assumed + used, sizeof notes->assumed - used, "%s%s %s", used ? ", " : "", name, value);
}

/* Gives the course's values to the settings that are not known, and notes them. Those that do not matter are not noted.
 */
static void add_course(ModelSettings *settings, ImportNotes *notes)
{
    static const TransformerLMConfig course = {
        .norm = NORM_PRE, .norm_eps = 1e-5F, .position = POSITION_ROPE, .rope_theta = 1e4F, .context_length = 256};
    static const struct {
        const char *key, *value;
    } values[] = {
        {"norm", "pre"},         {"norm_eps", "1e-05"},     {"position", "rope"},
        {"rope_theta", "10000"}, {"context_length", "256"},
    };
    const TransformerLMConfig *config = &settings->config;
    if (!settings->status && !model_settings_source(settings, "num_heads"))
        settings->status = status_fail(
            CS336_EFORMAT, "%s: no shape says how many heads the model has: give --num-heads N", settings->path);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *key = values[i].key;
        if (model_settings_source(settings, key))
            continue;
        model_settings_add(settings, key, &course, "the course");
        const bool unused = (strcmp(key, "norm_eps") == 0 && config->norm == NORM_NONE) ||
                            (strcmp(key, "rope_theta") == 0 && config->position == POSITION_NONE);
        if (!unused)
            assume(notes, key, values[i].value);
    }
}

/* Checks that a model without norms has no weights of norms. */
static void check_norms(ModelSettings *settings, const WeightFiles *files, const char *prefix)
{
    if (!settings->status && settings->config.norm == NORM_NONE && has(files, prefix, NORM))
        settings->status = status_fail(CS336_EFORMAT, "%s: norm is none in %s, but its arrays have \"%s%s\"",
                                       files->path, model_settings_source(settings, "norm"), prefix, NORM);
}

/* ---- import: the plan ---- */

/* A state dict has each parameter under its own name, in its own order. */
static void layout(WeightPlace *place, const Parameter *parameter, const WeightPlan *plan)
{
    const bool is_embeddings = strcmp(parameter->name, EMBEDDINGS) == 0;
    snprintf(place->name, sizeof place->name, "%s", is_embeddings ? plan->embeddings : parameter->name);
    place->rank = parameter->value.rank;
    memcpy(place->shape, parameter->value.shape, sizeof place->shape);
    place->view = tensor_insert(parameter->value, 0);
}

Status state_dict_plan(WeightPlan *plan, ImportNotes *notes, WeightFiles *files, const char *prefix,
                       const ImportOptions *options)
{
    ModelSettings settings = {.path = files->path};
    add_shapes(&settings, files, prefix);
    add_metadata(&settings, files);
    add_config_file(&settings, files);
    model_settings_add_options(&settings, options);
    add_course(&settings, notes);
    check_norms(&settings, files, prefix);
    Status s = settings.status;
    if (!s)
        s = read_tie(&settings.config, files, prefix, model_settings_source(&settings, "tie_embeddings"));
    if (!s)
        s = model_settings_check(&settings);
    *plan = (WeightPlan){.config = settings.config,
                         .key_value_heads = settings.config.num_heads,
                         .embeddings = settings.config.tie_embeddings ? find_embeddings(files, prefix) : EMBEDDINGS,
                         .layout = layout};
    return s;
}

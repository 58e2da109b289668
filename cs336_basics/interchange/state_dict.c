#include "interchange/state_dict.h"

#include "core/memory.h"
#include "interchange/config_file.h"
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

/* Sets the sizes and kinds that follow from names and shapes. weights_load() checks that all arrays agree with them. */
static Status read_shapes(TransformerLMConfig *config, const WeightFiles *files, const char *prefix)
{
    const char *embeddings = find_embeddings(files, prefix);
    const char *const needed[] = {embeddings, "layers.0.ffn.w1.weight"};
    char name[WEIGHT_NAME_BYTES];
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!has(files, prefix, needed[i]))
            return status_fail(CS336_EFORMAT, "%s: no array \"%s%s\"", files->path, prefix, needed[i]);
    config->vocab_size = extent(files, prefix, embeddings, 0);
    config->d_model = extent(files, prefix, embeddings, 1);
    config->d_ff = extent(files, prefix, "layers.0.ffn.w1.weight", 0);
    config->ffn = has(files, prefix, "layers.0.ffn.w3.weight") ? FFN_SWIGLU : FFN_SILU;
    config->norm = has(files, prefix, "layers.0.ln1.weight") ? NORM_PRE : NORM_NONE;
    config->num_layers = 0;
    do {
        snprintf(name, sizeof name, "layers.%zu.attn.q_proj.weight", config->num_layers);
    } while (has(files, prefix, name) && config->num_layers++ < TRANSFORMER_LM_MAX_LAYERS);
    return CS336_OK;
}

/*
 * Finds out whether the embeddings are tied. A state dict of tied embeddings has the matrix under one name, or under
 * both with the same numbers, which then are one matrix here. `told` says that the file's configuration decides
 * already.
 */
static Status read_tie(TransformerLMConfig *config, WeightFiles *files, const char *prefix, bool told)
{
    const WeightArray embeddings = weight_files_find(files, prefix, EMBEDDINGS),
                      head = weight_files_find(files, prefix, HEAD);
    bool equal = true; /* a single matrix is used for both */
    if (told && !config->tie_embeddings)
        return CS336_OK;
    const Status s = embeddings.entry && head.entry ? weight_arrays_equal(&equal, embeddings, head) : CS336_OK;
    if (s)
        return s;
    if (told && !equal)
        return status_fail(CS336_EFORMAT, "%s: tie_embeddings is true, but \"%s\" differs from \"%s\"", files->path,
                           HEAD, EMBEDDINGS);
    config->tie_embeddings = equal;
    if (equal)
        (void)weight_files_take(files, prefix, HEAD); /* it is read as the embeddings */
    return CS336_OK;
}

/* ---- import: what they cannot say ---- */

/* The settings that are known so far. */
typedef struct {
    TransformerLMConfig config;
    bool whole;                                                           /* the metadata has the whole configuration */
    bool num_heads, context_length, rope_theta, norm_eps, norm, position; /* whether this setting is known */
} Known;

/* Reads the configuration of an export from the metadata. */
static Status read_metadata(Known *known, const WeightFiles *files)
{
    /* A copy of the struct, to read with the functions for checkpoints; only `files` closes it. */
    const CheckpointFile view = {.tensors = files->items[0].file};
    if (safetensors_metadata(&view.tensors, "iteration"))
        return status_fail(CS336_EFORMAT,
                           "%s: is a checkpoint already, which --checkpoint of the other commands reads; expected "
                           "weights from elsewhere",
                           files->path);
    known->whole = checkpoint_config(&view, "num_heads") != NULL;
    if (!known->whole)
        return CS336_OK;
    known->num_heads = known->context_length = known->rope_theta = known->norm_eps = true;
    known->norm = known->position = true;
    return model_config_read(&known->config, &view);
}

/* Reads config.json beside the weights, if there is one: that of a run (train/run_config.h), or one with its names. */
static Status read_config_file(Known *known, const WeightFiles *files)
{
    char directory[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES + sizeof "/config.json"];
    struct stat info;
    ConfigFile file;
    TransformerLMConfig *config = &known->config;
    int norm = NORM_PRE, position = POSITION_ROPE;
    directory_split(directory, files->path);
    snprintf(path, sizeof path, "%s/config.json", directory);
    if (known->whole || stat(path, &info) != 0)
        return CS336_OK;
    if (config_file_open(&file, path))
        return file.status;
    known->num_heads = config_file_size(&file, &config->num_heads, "num_heads");
    known->context_length = config_file_size(&file, &config->context_length, "context_length");
    known->rope_theta = config_file_float(&file, &config->rope_theta, "rope_theta");
    known->norm_eps = config_file_float(&file, &config->norm_eps, "norm_eps");
    known->norm = config_file_name(&file, &norm, "norm", norm_names);
    known->position = config_file_name(&file, &position, "position", position_names);
    config->norm = (NormPlacement)norm;
    config->position = (PositionKind)position;
    config_file_close(&file);
    return file.status;
}

/* The options win over what the files say. */
static void apply_options(Known *known, const ImportOptions *options)
{
    TransformerLMConfig *config = &known->config;
    if (options->num_heads)
        config->num_heads = options->num_heads, known->num_heads = true;
    if (options->context_length)
        config->context_length = options->context_length, known->context_length = true;
    if (options->rope_theta > 0)
        config->rope_theta = options->rope_theta, known->rope_theta = true;
    if (options->norm_eps > 0)
        config->norm_eps = options->norm_eps, known->norm_eps = true;
    if (options->norm >= 0)
        config->norm = (NormPlacement)options->norm, known->norm = true;
    if (options->position >= 0)
        config->position = (PositionKind)options->position, known->position = true;
}

/* Appends "NAME VALUE" to the settings that are assumed. */
static void assume(ImportNotes *notes, const char *name, const char *value)
{
    const size_t used = strlen(notes->assumed);
    snprintf(notes->assumed + used, sizeof notes->assumed - used, "%s%s %s", used ? ", " : "", name, value);
}

/* Gives the course's values to the settings that are not known, and notes them. Those that do not matter are not noted.
 */
static Status apply_course(Known *known, ImportNotes *notes, const WeightFiles *files)
{
    TransformerLMConfig *config = &known->config;
    if (!known->num_heads)
        return status_fail(CS336_EFORMAT, "%s: no shape says how many heads the model has: give --num-heads N",
                           files->path);
    if (!known->norm) {
        config->norm = NORM_PRE;
        assume(notes, "norm", norm_names[NORM_PRE]);
    }
    if (!known->norm_eps) {
        config->norm_eps = 1e-5F;
        if (config->norm != NORM_NONE)
            assume(notes, "norm_eps", "1e-05");
    }
    if (!known->position) {
        config->position = POSITION_ROPE;
        assume(notes, "position", position_names[POSITION_ROPE]);
    }
    if (!known->rope_theta) {
        config->rope_theta = 1e4F;
        if (config->position == POSITION_ROPE)
            assume(notes, "rope_theta", "10000");
    }
    if (!known->context_length) {
        config->context_length = 256;
        assume(notes, "context_length", "256");
    }
    return CS336_OK;
}

/* Finds the whole configuration of the model. */
static Status read_config(TransformerLMConfig *config, ImportNotes *notes, WeightFiles *files, const char *prefix,
                          const ImportOptions *options)
{
    Known known = {.whole = false};
    TransformerLMConfig shapes = {0};
    Status s = read_metadata(&known, files);
    if (!s)
        s = read_config_file(&known, files);
    if (!s)
        s = read_shapes(&shapes, files, prefix);
    if (s)
        return s;
    apply_options(&known, options);
    /* Weights without norms are of a model without norms, whatever config.json says of other models. */
    if (!known.norm && shapes.norm == NORM_NONE)
        known.config.norm = NORM_NONE, known.norm = true;
    s = apply_course(&known, notes, files);
    if (s)
        return s;
    *config = known.config;
    config->vocab_size = shapes.vocab_size;
    config->d_model = shapes.d_model;
    config->num_layers = shapes.num_layers;
    config->d_ff = shapes.d_ff;
    config->ffn = shapes.ffn;
    config->dtype = DTYPE_FLOAT32;
    return read_tie(config, files, prefix, known.whole);
}

static Status check_config(const TransformerLMConfig *config, const WeightFiles *files)
{
    const Status s = transformer_lm_check(config);
    return s ? status_fail(s, "%s: %s", files->path, status_message()) : CS336_OK;
}

/* ---- import: the weights ---- */

/* A state dict has each parameter under its own name, in its own order. The context is the name of the embeddings. */
static void layout(WeightPlace *place, const Parameter *parameter, const void *context)
{
    const bool is_embeddings = strcmp(parameter->name, EMBEDDINGS) == 0;
    snprintf(place->name, sizeof place->name, "%s", is_embeddings ? (const char *)context : parameter->name);
    place->rank = parameter->value.rank;
    memcpy(place->shape, parameter->value.shape, sizeof place->shape);
    place->view = tensor_insert(parameter->value, 0);
}

Status state_dict_import(TrainedModel *model, ImportNotes *notes, const char *path, const ImportOptions *options)
{
    *model = (TrainedModel){0};
    *notes = (ImportNotes){.form = IMPORT_STATE_DICT};
    WeightFiles files;
    TransformerLMConfig config = {0};
    char prefix[WEIGHT_NAME_BYTES];
    Status s = weight_files_open(&files, path);
    if (s)
        return s;
    if (!weight_files_prefix(prefix, &files, STATE_DICT_QUERIES))
        s = status_fail(CS336_EFORMAT, "%s: no array \"" STATE_DICT_QUERIES "\"", files.path);
    if (!s)
        s = read_config(&config, notes, &files, prefix, options);
    if (!s)
        s = check_config(&config, &files);
    if (!s)
        s = weight_files_check_size(&files, (double)transformer_lm_parameter_count(&config));
    if (!s)
        s = trained_model_create(model, &config, files.path);
    if (!s)
        s = weights_load(model->parameters, &files, prefix, layout,
                         config.tie_embeddings ? find_embeddings(&files, prefix) : EMBEDDINGS);
    notes->arrays = model->parameters.count;
    weight_files_close(&files);
    if (s)
        trained_model_deinit(model);
    return s;
}

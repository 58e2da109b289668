#define _POSIX_C_SOURCE 200809L
#include "interchange/llama.h"

#include "core/directory.h"
#include "core/file.h"
#include "interchange/import_forms.h"
#include "interchange/llama_config.h"
#include "interchange/model_settings.h"
#include "interchange/weights.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where Llama has our parameters ---- */

/* How the rows of a matrix belong to heads. */
typedef enum {
    NO_HEADS,      /* they do not */
    ROTATED_QUERY, /* by heads of queries, in halves */
    ROTATED_KEY,   /* by heads of keys, in halves */
    VALUE          /* by heads of values, in our order */
} Rows;

static const struct {
    const char *ours, *theirs; /* in a layer: behind "layers.N." */
    Rows rows;
} in_layer[] = {
    {"attn.q_proj.weight", "self_attn.q_proj.weight", ROTATED_QUERY},
    {"attn.k_proj.weight", "self_attn.k_proj.weight", ROTATED_KEY},
    {"attn.v_proj.weight", "self_attn.v_proj.weight", VALUE},
    {"attn.output_proj.weight", "self_attn.o_proj.weight", NO_HEADS},
    {"ln1.weight", "input_layernorm.weight", NO_HEADS},
    {"ln2.weight", "post_attention_layernorm.weight", NO_HEADS},
    {"ffn.w1.weight", "mlp.gate_proj.weight", NO_HEADS},
    {"ffn.w3.weight", "mlp.up_proj.weight", NO_HEADS},
    {"ffn.w2.weight", "mlp.down_proj.weight", NO_HEADS},
};
static const struct {
    const char *ours, *theirs;
} outside[] = {
    {"token_embeddings.weight", LLAMA_EMBEDDINGS},
    {"ln_final.weight", "model.norm.weight"},
    {"lm_head.weight", "lm_head.weight"},
};

/* Writes Llama's name of a parameter of ours. Returns how its rows belong to heads. */
static Rows find_name(char name[WEIGHT_NAME_BYTES], const char *ours)
{
    static const char layers[] = "layers.";
    *name = '\0';
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (strcmp(ours, outside[i].ours) == 0)
            snprintf(name, WEIGHT_NAME_BYTES, "%s", outside[i].theirs);
    if (strncmp(ours, layers, strlen(layers)) != 0)
        return NO_HEADS;
    /* "layers.3.attn.q_proj.weight": the layer's number ends at the next dot. */
    const char *number = ours + strlen(layers), *rest = number + strcspn(number, ".") + 1;
    for (size_t i = 0; i < sizeof in_layer / sizeof *in_layer; i++) {
        if (strcmp(rest, in_layer[i].ours) != 0)
            continue;
        snprintf(name, WEIGHT_NAME_BYTES, "model.%.*s%s", (int)(rest - ours), ours, in_layer[i].theirs);
        return in_layer[i].rows;
    }
    return NO_HEADS;
}

/*
 * Returns a view (group, stored, rows of a head ..., d_model) of a projection of ours. Each of the `stored` heads of
 * the file is `group` heads of ours. In halves: the file's row half * d_k / 2 + k of a head is our row 2k + half,
 * because Llama rotates the numbers k and k + d_k / 2, and ours are 2k and 2k + 1.
 */
static Tensor view_heads(Tensor weight, size_t stored, size_t group, bool in_halves)
{
    const size_t d_k = weight.shape[0] / (stored * group);
    Tensor view = tensor_split(tensor_split(weight, 0, stored), 1, group); /* (stored, group, d_k, d_model) */
    if (in_halves)
        view = tensor_transpose(tensor_split(view, 2, d_k / 2), 2, 3); /* (stored, group, 2, d_k / 2, d_model) */
    return tensor_transpose(view, 0, 1);
}

static void layout(WeightPlace *place, const Parameter *parameter, const WeightPlan *plan)
{
    const size_t heads = plan->config.num_heads;
    const Tensor weight = parameter->value;
    const Rows rows = find_name(place->name, parameter->name);
    place->rank = weight.rank;
    memcpy(place->shape, weight.shape, sizeof place->shape);
    if (rows == NO_HEADS) {
        place->view = tensor_insert(weight, 0);
        return;
    }
    const size_t stored = rows == ROTATED_QUERY ? heads : plan->key_value_heads, group = heads / stored;
    place->view = view_heads(weight, stored, group, rows != VALUE);
    place->shape[0] /= group;
}

/* ---- import ---- */

/* Reads config.json in the directory of the weights. */
static Status read_config(WeightPlan *plan, ImportNotes *notes, const WeightFiles *files, const ImportOptions *options)
{
    char directory[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES + sizeof "/" LLAMA_CONFIG_NAME];
    LlamaConfig config;
    directory_split(directory, files->path);
    snprintf(path, sizeof path, "%s/" LLAMA_CONFIG_NAME, directory);
    const Status s = llama_config_read(&config, path);
    if (s)
        return s;
    ModelSettings settings = {.path = path};
    model_settings_add_all(&settings, &config.model, "the file");
    model_settings_add_options(&settings, options);
    /* The context. */
    const size_t all = settings.config.context_length;
    if (!options->context_length && all > IMPORT_MAX_CONTEXT) {
        settings.config.context_length = IMPORT_MAX_CONTEXT;
        notes->file_context_length = all;
    }
    *plan = (WeightPlan){.config = settings.config, .key_value_heads = config.key_value_heads, .layout = layout};
    return model_settings_check(&settings);
}

/* With tied embeddings a file may have the matrix a second time; the numbers must then be the same. */
static Status check_tie(const TransformerLMConfig *config, WeightFiles *files, const char *prefix)
{
    static const char head_name[] = "lm_head.weight";
    const WeightArray embeddings = weight_files_find(files, prefix, LLAMA_EMBEDDINGS);
    const WeightArray head = weight_files_find(files, prefix, head_name);
    bool equal = true;
    if (!config->tie_embeddings || !head.entry)
        return CS336_OK;
    const Status s = weight_arrays_equal(&equal, embeddings, head);
    (void)weight_files_take(files, prefix, head_name);
    if (s || equal)
        return s;
    return status_fail(CS336_EFORMAT,
                       "%s: tie_word_embeddings is true, but \"%s\" differs from \"" LLAMA_EMBEDDINGS "\"", files->path,
                       head_name);
}

/* Older files have the frequencies of RoPE in each layer. They follow from rope_theta. */
static void take_frequencies(WeightFiles *files, const char *prefix, size_t num_layers)
{
    char name[WEIGHT_NAME_BYTES];
    for (size_t i = 0; i < num_layers; i++) {
        snprintf(name, sizeof name, "model.layers.%zu.self_attn.rotary_emb.inv_freq", i);
        (void)weight_files_take(files, prefix, name);
    }
}

Status llama_plan(WeightPlan *plan, ImportNotes *notes, WeightFiles *files, const char *prefix,
                  const ImportOptions *options)
{
    Status s = read_config(plan, notes, files, options);
    if (!s)
        s = check_tie(&plan->config, files, prefix);
    if (!s)
        take_frequencies(files, prefix, plan->config.num_layers);
    return s;
}

/* ---- export ---- */

static Status check_kinds(const char *directory, const TransformerLMConfig *config)
{
    static const char message[] = "%s: not written: %s of this model is \"%s\", that of a Llama is \"%s\"";
    if (config->norm != NORM_PRE)
        return status_fail(CS336_EFORMAT, message, directory, "norm", norm_names[config->norm], norm_names[NORM_PRE]);
    if (config->position != POSITION_ROPE)
        return status_fail(CS336_EFORMAT, message, directory, "position", position_names[config->position],
                           position_names[POSITION_ROPE]);
    if (config->ffn != FFN_SWIGLU)
        return status_fail(CS336_EFORMAT, message, directory, "ffn", ffn_names[config->ffn], ffn_names[FFN_SWIGLU]);
    return CS336_OK;
}

/* Returns the numbers of a parameter in Llama's order: its own, or a permuted copy from the arena. */
static const float *order_numbers(Arena *arena, const WeightPlace *place, Tensor weight)
{
    const Tensor view = tensor_select(place->view, 0, 0);
    if (tensor_contiguous(view))
        return weight.data;
    const Tensor copy = arena_tensor_like(arena, view);
    if (copy.data)
        tensor_copy(copy, view);
    return copy.data;
}

/* Lists the arrays. Called twice: to measure the memory of list, names and copies, and to fill it. */
static Status collect(SafetensorsEntry **entries, Arena *arena, const TrainedModel *model)
{
    const WeightPlan plan = {.config = model->lm.config, .key_value_heads = model->lm.config.num_heads};
    const size_t mark = arena_mark(arena), count = model->parameters.count;
    *entries = arena_take(arena, count * sizeof **entries);
    for (size_t i = 0; i < count; i++) {
        const Parameter *p = &model->parameters.items[i];
        WeightPlace place;
        layout(&place, p, &plan);
        char *name = arena_take(arena, strlen(place.name) + 1);
        const float *numbers = order_numbers(arena, &place, p->value);
        if (!*entries || !name)
            continue; /* the arena only measures */
        memcpy(name, place.name, strlen(place.name) + 1);
        (*entries)[i] = (SafetensorsEntry){.name = name, .type = SAFETENSORS_F32, .rank = place.rank, .data = numbers};
        memcpy((*entries)[i].shape, place.shape, sizeof place.shape);
    }
    return arena_keep(arena, mark);
}

/* Writes both files. Each gets its name once both are complete. */
static Status write_files(const char *config_path, const char *weights_path, const TrainedModel *model,
                          const SafetensorsEntry *entries, int32_t end_token)
{
    static const SafetensorsText metadata[] = {{.key = "format", .value = "pt"}}; /* transformers asks for it */
    FileWriter config = {0}, weights = {0};
    Status s = file_create(&config, config_path);
    if (!s)
        s = llama_config_write(&config, &model->lm.config, end_token);
    if (!s)
        s = file_flush(&config);
    if (!s)
        s = file_create(&weights, weights_path);
    if (!s)
        s = safetensors_write_to(&weights, entries, model->parameters.count, metadata, 1);
    if (!s)
        s = file_flush(&weights);
    /* The old configuration goes first: a kill between the renames would leave it beside other weights. */
    if (!s)
        s = file_remove_old(&config);
    if (!s)
        s = file_commit(&weights);
    if (!s)
        s = file_commit(&config);
    file_abandon(&config);
    file_abandon(&weights);
    return s;
}

/* Makes the directory, unless it exists, and writes both files. A failure leaves no empty directory behind. */
static Status write_directory(const char *directory, const char *config_path, const char *weights_path,
                              const TrainedModel *model, const SafetensorsEntry *entries, int32_t end_token)
{
    struct stat info;
    const bool existed = stat(directory, &info) == 0;
    Status s = directory_make(directory);
    if (!s)
        s = write_files(config_path, weights_path, model, entries, end_token);
    if (s && !existed)
        rmdir(directory);
    return s;
}

Status llama_export(const char *directory, const TrainedModel *model, int32_t end_token)
{
    char config_path[DIRECTORY_PATH_BYTES], weights_path[DIRECTORY_PATH_BYTES];
    SafetensorsEntry *entries = NULL;
    Arena measure = {0}, arena = {0};
    Status s = check_kinds(directory, &model->lm.config);
    if (!s && end_token >= 0 && (size_t)end_token >= model->lm.config.vocab_size)
        s = status_fail(CS336_ERANGE, "%s: not written: token %d ends a text, the model has %zu ids", directory,
                        (int)end_token, model->lm.config.vocab_size);
    if (!s)
        s = weight_path(config_path, directory, LLAMA_CONFIG_NAME);
    if (!s)
        s = weight_path(weights_path, directory, WEIGHT_FILE_NAME);
    if (!s)
        s = llama_config_may_replace(config_path);
    if (!s)
        s = collect(&entries, &measure, model);
    if (!s)
        s = arena_init(&arena, measure.peak);
    if (!s)
        s = collect(&entries, &arena, model);
    if (!s)
        s = write_directory(directory, config_path, weights_path, model, entries, end_token);
    arena_deinit(&arena);
    return s;
}

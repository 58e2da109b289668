#define _POSIX_C_SOURCE 200809L
#include "interchange/llama_config.h"

#include "core/json.h"
#include "interchange/config_file.h"

#include <string.h>
#include <sys/stat.h>

static const char ARCHITECTURE[] = "LlamaForCausalLM", MODEL_TYPE[] = "llama";

/* ---- reading ---- */

/* Notes that the file has a setting that our model cannot compute. */
static void refuse(ConfigFile *file, const char *setting, const char *value, const char *ours)
{
    if (!file->status)
        file->status =
            status_fail(CS336_EFORMAT, "%s: %s is %s, this program's model %s", file->path, setting, value, ours);
}

static void need_size(ConfigFile *file, size_t *size, const char *key)
{
    if (!config_file_size(file, size, key) && !file->status)
        file->status = status_fail(CS336_EFORMAT, "%s: no %s, expected the configuration of a Llama", file->path, key);
}

/* Checks that the file is that of a Llama that predicts tokens. Other architectures have the same sizes. */
static void check_architecture(ConfigFile *file)
{
    const char *type = NULL;
    const json_t *architectures = json_object_get(file->object, "architectures");
    const char *first = json_string_value(json_array_get(architectures, 0));
    if (config_file_text(file, &type, "model_type") && strcmp(type, MODEL_TYPE) != 0)
        file->status =
            status_fail(CS336_EFORMAT, "%s: model_type is \"%s\", expected \"%s\"", file->path, type, MODEL_TYPE);
    if (!file->status && first && strcmp(first, ARCHITECTURE) != 0)
        file->status = status_fail(CS336_EFORMAT, "%s: the architecture is \"%s\", expected \"%s\"", file->path, first,
                                   ARCHITECTURE);
    if (!file->status && !type && !first)
        file->status = status_fail(CS336_EFORMAT, "%s: no model_type and no architectures, expected \"%s\"", file->path,
                                   MODEL_TYPE);
}

/*
 * Reads rope_theta, and checks that RoPE is not scaled. Older files have "rope_theta" beside the sizes and
 * "rope_scaling" for the rest, which calls its kind "type" or "rope_type". Newer ones have all in "rope_parameters".
 */
static void read_rope(ConfigFile *file, TransformerLMConfig *model)
{
    static const char *const objects[] = {"rope_scaling", "rope_parameters"};
    model->rope_theta = 1e4F;
    config_file_float(file, &model->rope_theta, "rope_theta");
    for (size_t i = 0; !file->status && i < sizeof objects / sizeof *objects; i++) {
        json_t *object = json_object_get(file->object, objects[i]);
        ConfigFile inner = {.object = object, .path = file->path};
        const char *kind = "default";
        float rotated = 1; /* the fraction of each head that is rotated */
        config_file_float(&inner, &model->rope_theta, "rope_theta");
        config_file_float(&inner, &rotated, "partial_rotary_factor");
        if (!config_file_text(&inner, &kind, "rope_type"))
            config_file_text(&inner, &kind, "type");
        file->status = inner.status;
        if (object && !json_is_object(object) && !json_is_null(object))
            refuse(file, objects[i], "not an object", "has a RoPE that is not scaled");
        if (strcmp(kind, "default") != 0)
            refuse(file, objects[i], kind, "has a RoPE that is not scaled");
        if (rotated < 1 || rotated > 1)
            refuse(file, "partial_rotary_factor", "not 1", "rotates whole heads");
    }
}

/* Checks the settings that would change what is computed. */
static void check_kinds(ConfigFile *file)
{
    bool attention_bias = false, mlp_bias = false;
    const char *activation = "silu";
    config_file_flag(file, &attention_bias, "attention_bias");
    config_file_flag(file, &mlp_bias, "mlp_bias");
    config_file_text(file, &activation, "hidden_act");
    if (attention_bias)
        refuse(file, "attention_bias", "true", "has no biases");
    if (mlp_bias)
        refuse(file, "mlp_bias", "true", "has no biases");
    if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0) /* two names of one function */
        refuse(file, "hidden_act", activation, "has silu");
    if (json_is_object(json_object_get(file->object, "quantization_config")))
        refuse(file, "quantization_config", "there", "has floating-point weights");
}

/* Reads the heads, and checks that they are as large as ours. */
static void read_heads(ConfigFile *file, LlamaConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    const size_t heads = model->num_heads;
    size_t head_dim = 0;
    config->key_value_heads = heads;
    config_file_size(file, &config->key_value_heads, "num_key_value_heads");
    if (!config_file_size(file, &head_dim, "head_dim"))
        head_dim = heads ? model->d_model / heads : 0;
    if (file->status)
        return;
    if (heads % config->key_value_heads != 0)
        file->status = status_fail(CS336_EFORMAT, "%s: num_key_value_heads %zu does not divide num_attention_heads %zu",
                                   file->path, config->key_value_heads, heads);
    else if (head_dim > model->d_model || head_dim * heads != model->d_model)
        file->status =
            status_fail(CS336_EFORMAT,
                        "%s: %zu heads of head_dim %zu, this program's model needs heads that have hidden_size "
                        "%zu together",
                        file->path, heads, head_dim, model->d_model);
}

Status llama_config_read(LlamaConfig *config, const char *path)
{
    ConfigFile file;
    if (config_file_open(&file, path))
        return file.status;
    *config = (LlamaConfig){.model = {.norm = NORM_PRE, .position = POSITION_ROPE, .ffn = FFN_SWIGLU}};
    TransformerLMConfig *model = &config->model;
    check_architecture(&file);
    check_kinds(&file);
    need_size(&file, &model->vocab_size, "vocab_size");
    need_size(&file, &model->d_model, "hidden_size");
    need_size(&file, &model->num_layers, "num_hidden_layers");
    need_size(&file, &model->num_heads, "num_attention_heads");
    need_size(&file, &model->d_ff, "intermediate_size");
    read_heads(&file, config);
    read_rope(&file, model);
    /* What transformers takes if the file does not say it. */
    model->context_length = 2048;
    model->norm_eps = 1e-6F;
    config_file_size(&file, &model->context_length, "max_position_embeddings");
    config_file_float(&file, &model->norm_eps, "rms_norm_eps");
    config_file_flag(&file, &model->tie_embeddings, "tie_word_embeddings");
    config_file_close(&file);
    return file.status;
}

/* ---- writing ---- */

static json_t *size_json(size_t size)
{
    return json_integer((json_int_t)size);
}

/* Returns null if the token is not known: without it transformers would take 1 and 2. */
static json_t *token_json(int32_t token)
{
    return token < 0 ? json_null() : json_integer(token);
}

/* Returns the configuration, or NULL. jansson's setters fail for a value of NULL, which stands for missing memory. */
static json_t *config_object(const TransformerLMConfig *model, int32_t end_token)
{
    json_t *o = json_object(), *architectures = json_array(), *rope = json_object();
    int failed = json_array_append_new(architectures, json_string(ARCHITECTURE));
    failed |= json_object_set_new(rope, "rope_theta", json_float(model->rope_theta));
    failed |= json_object_set_new(rope, "rope_type", json_string("default"));
    failed |= json_object_set_new(o, "architectures", architectures);
    failed |= json_object_set_new(o, "model_type", json_string(MODEL_TYPE));
    failed |= json_object_set_new(o, "vocab_size", size_json(model->vocab_size));
    failed |= json_object_set_new(o, "hidden_size", size_json(model->d_model));
    failed |= json_object_set_new(o, "intermediate_size", size_json(model->d_ff));
    failed |= json_object_set_new(o, "num_hidden_layers", size_json(model->num_layers));
    failed |= json_object_set_new(o, "num_attention_heads", size_json(model->num_heads));
    failed |= json_object_set_new(o, "num_key_value_heads", size_json(model->num_heads));
    failed |= json_object_set_new(o, "head_dim", size_json(model->d_model / model->num_heads));
    failed |= json_object_set_new(o, "max_position_embeddings", size_json(model->context_length));
    failed |= json_object_set_new(o, "rope_theta", json_float(model->rope_theta));
    failed |= json_object_set_new(o, "rope_parameters", rope);
    failed |= json_object_set_new(o, "rms_norm_eps", json_float(model->norm_eps));
    failed |= json_object_set_new(o, "hidden_act", json_string("silu"));
    failed |= json_object_set_new(o, "attention_bias", json_false());
    failed |= json_object_set_new(o, "mlp_bias", json_false());
    failed |= json_object_set_new(o, "tie_word_embeddings", json_boolean(model->tie_embeddings));
    failed |= json_object_set_new(o, "bos_token_id", token_json(end_token));
    failed |= json_object_set_new(o, "eos_token_id", token_json(end_token));
    failed |= json_object_set_new(o, "dtype", json_string("float32"));
    failed |= json_object_set_new(o, "torch_dtype", json_string("float32"));
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

Status llama_config_write(FileWriter *writer, const TransformerLMConfig *model, int32_t end_token)
{
    json_t *object = config_object(model, end_token);
    if (!object)
        return status_fail(CS336_ENOMEM, "%s: no memory for the configuration", writer->path);
    Status s = json_write(writer, object, JSON_INDENT(2) | JSON_REAL_PRECISION(JSON_FLOAT_DIGITS));
    if (!s)
        s = file_write(writer, "\n", 1);
    json_decref(object);
    return s;
}

Status llama_config_may_replace(const char *path)
{
    struct stat info;
    ConfigFile file;
    const char *type = NULL;
    if (stat(path, &info) != 0)
        return CS336_OK;
    if (config_file_open(&file, path))
        return file.status;
    if (!config_file_text(&file, &type, "model_type") || strcmp(type, MODEL_TYPE) != 0)
        file.status = status_fail(CS336_EFORMAT,
                                  "%s: exists and is not of a Llama, such as the settings of a training run; give "
                                  "another directory",
                                  path);
    config_file_close(&file);
    return file.status;
}

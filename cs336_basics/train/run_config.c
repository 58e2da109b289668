#include "train/run_config.h"

#include "core/json.h"
#include "core/memory.h"
#include "core/printable.h"
#include "core/utf8.h"
#include "distributed/ranks.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool set_size(json_t *object, const char *key, size_t size)
{
    return json_object_set_new(object, key, json_integer((json_int_t)size)) == 0;
}

static bool set_number(json_t *object, const char *key, double number)
{
    return json_object_set_new(object, key, json_real(number)) == 0;
}

enum { DOUBLE_DIGITS = 17 }; /* significant digits that identify every double */

static bool set_float(json_t *object, const char *key, float number)
{
    return json_object_set_new(object, key, json_float(number)) == 0;
}

static bool set_name(json_t *object, const char *key, const char *name)
{
    return json_object_set_new(object, key, json_string(name)) == 0;
}

static bool set_flag(json_t *object, const char *key, bool flag)
{
    return json_object_set_new(object, key, json_boolean(flag)) == 0;
}

static bool is_utf8(const char *text)
{
    for (size_t left = strlen(text); left;) {
        const Utf8Character c = utf8_decode((const uint8_t *)text, left);
        if (c.status != UTF8_VALID)
            return false;
        text += c.length;
        left -= c.length;
    }
    return true;
}

/* Sets the path of a file, if there is one and JSON can hold it. */
static bool set_path(json_t *object, const char *key, const char *path)
{
    return !path || !is_utf8(path) || set_name(object, key, path);
}

/* Returns all settings as a JSON object, or NULL if there is no memory. */
static json_t *config_object(const TrainerConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    json_t *o = json_object();
    if (set_size(o, "vocab_size", model->vocab_size) && set_size(o, "context_length", model->context_length) &&
        set_size(o, "d_model", model->d_model) && set_size(o, "num_layers", model->num_layers) &&
        set_size(o, "num_heads", model->num_heads) && set_size(o, "d_ff", model->d_ff) &&
        set_float(o, "rope_theta", model->rope_theta) && set_float(o, "norm_eps", model->norm_eps) &&
        set_name(o, "norm", norm_names[model->norm]) && set_name(o, "position", position_names[model->position]) &&
        set_name(o, "ffn", ffn_names[model->ffn]) && set_name(o, "dtype", dtype_names[model->dtype]) &&
        set_flag(o, "tie_embeddings", model->tie_embeddings) && set_size(o, "batch_size", config->batch_size) &&
        set_size(o, "grad_accum", config->grad_accum ? config->grad_accum : 1) &&
        set_flag(o, "overfit_one_batch", config->overfit_one_batch) && set_size(o, "steps", config->steps) &&
        set_number(o, "lr", config->schedule.max_lr) && set_number(o, "min_lr", config->schedule.min_lr) &&
        set_size(o, "warmup_steps", config->schedule.warmup_steps) &&
        set_size(o, "decay_steps", config->schedule.decay_steps) && set_number(o, "beta1", config->adamw.beta1) &&
        set_number(o, "beta2", config->adamw.beta2) && set_number(o, "eps", config->adamw.eps) &&
        set_number(o, "weight_decay", config->adamw.weight_decay) &&
        set_flag(o, "no_decay_norms", config->no_decay_norms) &&
        set_number(o, "max_grad_norm", config->max_grad_norm) &&
        set_flag(o, "shard_optimizer", config->shard_optimizer) && set_size(o, "seed", (size_t)config->seed) &&
        set_size(o, "log_every", config->log_every) && set_size(o, "val_every", config->val_every) &&
        (!config->val_batches || set_size(o, "val_batches", config->val_batches)) &&
        set_size(o, "checkpoint_every", config->checkpoint_every) && set_size(o, "keep", config->keep) &&
        set_size(o, "patience", config->patience) && set_flag(o, "log_norms", config->log_norms) &&
        set_path(o, "init_from", config->init_from) &&
        (ranks_count() == 1 || set_size(o, "ranks", (size_t)ranks_count())))
        return o;
    json_decref(o);
    return NULL;
}

/* True if every number of the object can be read again from a text of so many significant digits. */
static bool are_exact(json_t *object, int digits)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, json_real_value(value));
        if (json_is_real(value) && strtod(text, NULL) != json_real_value(value))
            return false;
    }
    return true;
}

Status run_config_write(const char *path, const TrainerConfig *config, const char *train, const char *val)
{
    json_t *object = config_object(config);
    int digits = JSON_FLOAT_DIGITS; /* more would write 0.1 as 0.10000000000000001, so only if a number needs them */
    while (object && digits < DOUBLE_DIGITS && !are_exact(object, digits))
        digits++;
    if (!object || !set_path(object, "train", train) || !set_path(object, "val", val)) {
        json_decref(object);
        return status_fail(CS336_ENOMEM, "%s: no memory for the configuration", path);
    }
    const Status s = json_write_file(path, object, JSON_INDENT(2) | (size_t)JSON_REAL_PRECISION(digits));
    json_decref(object);
    return s;
}

/* The settings to compare. Model, batch size and seed are not among them: trainer_restore() compares these with the
   checkpoint. */
static const char *const flag_keys[] = {"overfit_one_batch", "no_decay_norms", NULL};
static const char *const optimizer_keys[] = {"lr",    "min_lr", "warmup_steps", "decay_steps",   "beta1",
                                             "beta2", "eps",    "weight_decay", "max_grad_norm", NULL};

static void add_difference(RunConfigComparison *comparison, const char *key, double number, double old_number)
{
    const double tolerance = 1e-8; /* relative: config.json has nine significant digits */
    const size_t used = strlen(comparison->differences);
    if (fabs(number - old_number) > tolerance * fabs(old_number))
        snprintf(comparison->differences + used, sizeof comparison->differences - used, "%s%s %g (was %g)",
                 used ? ", " : "", key, number, old_number);
}

/* A flag that the old file does not have was false. */
static void add_flag_difference(RunConfigComparison *comparison, const char *key, bool flag, bool old_flag)
{
    static const char *const words[] = {"false", "true"};
    const size_t used = strlen(comparison->differences);
    if (flag != old_flag)
        snprintf(comparison->differences + used, sizeof comparison->differences - used, "%s%s %s (was %s)",
                 used ? ", " : "", key, words[flag], words[old_flag]);
}

/* Adds a token file that the old file names otherwise. */
static void add_path_difference(RunConfigComparison *comparison, const char *key, const char *path, const json_t *old)
{
    const char *old_path = json_string_value(json_object_get(old, key));
    const size_t used = strlen(comparison->differences);
    if (old_path && (!path || strcmp(path, old_path) != 0))
        snprintf(comparison->differences + used, sizeof comparison->differences - used, "%s%s %.200s (was %.200s)",
                 used ? ", " : "", key, path ? printable(path).text : "none", printable(old_path).text);
}

/* Copies `init_from`. */
static Status read_init_from(char **init_from, const json_t *object, const char *path)
{
    const char *text = json_string_value(json_object_get(object, "init_from"));
    *init_from = text ? memory_copy_text(text) : NULL;
    return text && !*init_from ? status_fail(CS336_ENOMEM, "%s: no memory for init_from", path) : CS336_OK;
}

/* Reads `keep`, the only number of the file that is used. It stays 0 if the file has none. */
static Status read_keep(size_t *keep, const json_t *object, const char *path)
{
    const json_t *value = json_object_get(object, "keep");
    const json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;
    if (!value)
        return CS336_OK;
    if (number < 1 || number > CHECKPOINT_MAX_ITERATION)
        return status_fail(CS336_EFORMAT, "%s: keep is not a whole number from 1 to %d; --keep N replaces it", path,
                           CHECKPOINT_MAX_ITERATION);
    *keep = (size_t)number;
    return CS336_OK;
}

Status run_config_compare(RunConfigComparison *comparison, const char *path, const TrainerConfig *config,
                          const char *train, const char *val)
{
    json_t *old = NULL, *object = config_object(config);
    Status s = CS336_OK;
    *comparison = (RunConfigComparison){0};
    if (!json_read(&old, path)) {
        s = read_init_from(&comparison->stored_init_from, old, path);
        if (!s)
            s = read_keep(&comparison->stored_keep, old, path);
        add_path_difference(comparison, "train", train, old);
        add_path_difference(comparison, "val", val, old);
        for (size_t i = 0; optimizer_keys[i]; i++) {
            const json_t *value = json_object_get(old, optimizer_keys[i]);
            if (json_is_number(value))
                add_difference(comparison, optimizer_keys[i],
                               json_number_value(json_object_get(object, optimizer_keys[i])), json_number_value(value));
        }
        const json_t *old_ranks = json_object_get(old, "ranks");
        add_difference(comparison, "ranks", ranks_count(),
                       json_is_integer(old_ranks) ? (double)json_integer_value(old_ranks) : 1);
        for (size_t i = 0; flag_keys[i]; i++)
            add_flag_difference(comparison, flag_keys[i], json_is_true(json_object_get(object, flag_keys[i])),
                                json_is_true(json_object_get(old, flag_keys[i])));
    }
    json_decref(old);
    json_decref(object);
    return s;
}

#include "cli/experiment_file.h"

#include "core/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- members of an object ---- */

/* Checks that an object has no other keys than those of a list that ends with NULL. `where` is "" or "text: ". */
static Status check_keys(const Experiment *e, json_t *object, const char *where, const char *const *keys)
{
    const char *key;
    json_t *value;
    char expected[256] = "";
    for (size_t i = 0, used = 0; keys[i] && used < sizeof expected; i++)
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s", i ? ", " : "", keys[i]);
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (!keys[i])
            return status_fail(CS336_EFORMAT, "%s: %sunknown key \"%s\", expected one of: %s", e->path, where, key,
                               expected);
    }
    return CS336_OK;
}

/* Reads a text that is not empty. It stays NULL if the key is missing and `required` is false. */
static Status read_text(const char **text, const Experiment *e, const json_t *object, const char *where,
                        const char *key, bool required)
{
    const json_t *value = json_object_get(object, key);
    *text = json_string_value(value);
    if ((value || required) && (!*text || !**text || strlen(*text) != json_string_length(value)))
        return status_fail(CS336_EFORMAT, "%s: %s%s%s: expected a text that is not empty", e->path, where, key,
                           value ? "" : " is missing");
    return CS336_OK;
}

/* Reads a whole number of at least `minimum`. It keeps its default if the key is missing and `required` is false. */
static Status read_size(size_t *size, const Experiment *e, const json_t *object, const char *where, const char *key,
                        size_t minimum, bool required)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (!value && !required)
        return CS336_OK;
    if (number < (json_int_t)minimum)
        return status_fail(CS336_EFORMAT, "%s: %s%s%s: expected a whole number of at least %zu", e->path, where, key,
                           value ? "" : " is missing", minimum);
    *size = (size_t)number;
    return CS336_OK;
}

/* Finds an object below a key. It stays NULL if the key is missing. */
static Status read_object(json_t **object, const Experiment *e, const char *key)
{
    *object = json_object_get(e->file, key);
    if (*object && !json_is_object(*object))
        return status_fail(CS336_EFORMAT, "%s: %s is no object, expected {...}", e->path, key);
    return CS336_OK;
}

/* ---- settings ---- */

/* Options of cs336 train that the experiment gives itself. */
static const char *const reserved[] = {"train",   "val",    "out",     "resume", "overwrite",
                                       "threads", "config", "stop_at", NULL};

/* Writes a number with the fewest digits that identify it: "0.001", and "10" rather than "1e+01". */
static void format_number(char text[32], double number)
{
    const double plain = 1e9; /* whole numbers below this are written without an exponent */
    int digits = 1;
    if (fabs(number) < plain && number == floor(number)) {
        snprintf(text, 32, "%.0f", number);
        return;
    }
    do
        snprintf(text, 32, "%.*g", digits, number);
    while (strtod(text, NULL) != number && ++digits <= 17);
}

/* Sets a setting of a run to a value of the file. `where` names the value for messages, such as "vary: ". */
static Status set_setting(ExperimentRun *run, const Experiment *e, const char *where, const char *key,
                          const json_t *value)
{
    char number[32];
    json_t *setting = NULL;
    for (size_t i = 0; reserved[i]; i++)
        if (strcmp(key, reserved[i]) == 0)
            return status_fail(CS336_EFORMAT, "%s: %s%s cannot be set here: the experiment sets it for each run",
                               e->path, where, key);
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        setting = json_string(json_string_value(value));
    else if (json_is_boolean(value))
        setting = json_boolean(json_is_true(value));
    else if (json_is_number(value)) {
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            format_number(number, json_real_value(value));
        setting = json_string(number);
    } else
        return status_fail(CS336_EFORMAT, "%s: %s%s: expected a number, a text, true or false", e->path, where, key);
    /* An option without a value is given or not: false removes it. */
    if (json_is_false(setting)) {
        json_object_del(run->settings, key);
        json_decref(setting);
        return CS336_OK;
    }
    return json_object_set_new(run->settings, key, setting) == 0
               ? CS336_OK
               : status_fail(CS336_ENOMEM, "%s: no memory for the settings of a run", e->path);
}

const char *experiment_setting(const ExperimentRun *run, const char *key)
{
    return json_string_value(json_object_get(run->settings, key));
}

/* ---- names ---- */

/* Appends a text to a name. What could mean something to a shell or a file system becomes "-". Cuts a long name. */
static void append_name(ExperimentRun *run, const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_";
    size_t length = strlen(run->name);
    for (; *text && length + 1 < EXPERIMENT_NAME_BYTES; text++)
        run->name[length++] = strchr(allowed, *text) ? *text : '-';
    run->name[length] = '\0';
}

/* Appends "KEY-VALUE" of a setting, with "-" for the "_" of the key; a setting without a value is "KEY" or "no-KEY". */
static void append_setting_name(ExperimentRun *run, const char *key, const json_t *value)
{
    const char *text = experiment_setting(run, key);
    if (*run->name)
        append_name(run, "_");
    if (json_is_false(value))
        append_name(run, "no-");
    const size_t start = strlen(run->name);
    append_name(run, key);
    for (char *letter = run->name + start; *letter; letter++)
        *letter = *letter == '_' ? '-' : *letter;
    if (text) {
        append_name(run, "-");
        append_name(run, text);
    }
}

static Status check_name(const Experiment *e, size_t index)
{
    const char *name = e->runs[index].name;
    if (!*name || *name == '.' || *name == '-')
        return status_fail(CS336_EFORMAT,
                           "%s: run %zu has the name \"%s\", expected one that begins with a letter or a digit",
                           e->path, index + 1, name);
    if (strcmp(name, EXPERIMENT_DATA) == 0 || strcmp(name, EXPERIMENT_DESCRIPTION) == 0)
        return status_fail(CS336_EFORMAT, "%s: a run cannot have the name \"%s\", which the experiment needs itself",
                           e->path, name);
    for (size_t i = 0; i < index; i++)
        if (strcmp(e->runs[i].name, name) == 0)
            return status_fail(CS336_EFORMAT, "%s: two runs have the name \"%s\": give one of them another \"name\"",
                               e->path, name);
    return CS336_OK;
}

/* ---- runs ---- */

/* Adds a run with the settings of `common`. */
static Status add_run(Experiment *e, json_t *common)
{
    const char *key;
    json_t *value;
    if (e->run_count == EXPERIMENT_MAX_RUNS)
        return status_fail(CS336_EFORMAT, "%s: more than %d runs", e->path, EXPERIMENT_MAX_RUNS);
    ExperimentRun *run = &e->runs[e->run_count++];
    *run = (ExperimentRun){.settings = json_object()};
    Status s = run->settings ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for a run", e->path);
    json_object_foreach(common, key, value)
    {
        if (!s)
            s = set_setting(run, e, "common: ", key, value);
    }
    return s;
}

/* Adds a run whose settings are combination number `index` of the lists in `vary`. */
static Status add_combination(Experiment *e, json_t *common, json_t *vary, size_t index)
{
    const char *key;
    json_t *list;
    Status s = add_run(e, common);
    if (s)
        return s;
    ExperimentRun *run = &e->runs[e->run_count - 1];
    json_object_foreach(vary, key, list)
    {
        const size_t size = json_array_size(list);
        const json_t *value = json_array_get(list, index % size);
        index /= size;
        if (!s)
            s = set_setting(run, e, "vary: ", key, value);
        if (!s)
            append_setting_name(run, key, value);
    }
    return s ? s : check_name(e, e->run_count - 1);
}

static Status add_combinations(Experiment *e, json_t *common, json_t *vary)
{
    const char *key;
    json_t *list;
    size_t count = json_object_size(vary) ? 1 : 0;
    json_object_foreach(vary, key, list)
    {
        if (json_array_size(list) == 0)
            return status_fail(CS336_EFORMAT, "%s: vary: %s: expected a list of values, such as [1, 2]", e->path, key);
        if (count > EXPERIMENT_MAX_RUNS / json_array_size(list))
            return status_fail(CS336_EFORMAT, "%s: more than %d runs", e->path, EXPERIMENT_MAX_RUNS);
        count *= json_array_size(list);
    }
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++)
        s = add_combination(e, common, vary, i);
    return s;
}

/* Adds a run of the list `runs`. */
static Status add_listed(Experiment *e, json_t *common, json_t *listed)
{
    const char *key, *name = NULL;
    json_t *value;
    if (!json_is_object(listed))
        return status_fail(CS336_EFORMAT, "%s: runs: expected a list of objects", e->path);
    Status s = read_text(&name, e, listed, "runs: ", "name", false);
    if (!s)
        s = add_run(e, common);
    if (s)
        return s;
    ExperimentRun *run = &e->runs[e->run_count - 1];
    if (name)
        append_name(run, name);
    json_object_foreach(listed, key, value)
    {
        if (s || strcmp(key, "name") == 0)
            continue;
        s = set_setting(run, e, "runs: ", key, value);
        if (!s && !name)
            append_setting_name(run, key, value);
    }
    return s ? s : check_name(e, e->run_count - 1);
}

static Status read_runs(Experiment *e)
{
    json_t *common, *vary, *runs = json_object_get(e->file, "runs"), *listed;
    size_t i;
    Status s = read_object(&common, e, "common");
    if (!s)
        s = read_object(&vary, e, "vary");
    if (!s && runs && !json_is_array(runs))
        s = status_fail(CS336_EFORMAT, "%s: runs: expected a list of objects", e->path);
    if (!s) {
        e->runs = memory_allocate_zeroed(EXPERIMENT_MAX_RUNS, sizeof *e->runs);
        s = e->runs ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for the runs", e->path);
    }
    if (!s)
        s = add_combinations(e, common, vary);
    json_array_foreach(runs, i, listed)
    {
        if (!s)
            s = add_listed(e, common, listed);
    }
    if (!s && e->run_count == 0)
        s = status_fail(CS336_EFORMAT, "%s: no runs: expected \"vary\" or \"runs\"", e->path);
    return s;
}

/* ---- data and sample ---- */

static Status read_data(Experiment *e)
{
    static const char *const text_keys[] = {"train", "val", "vocab_size", NULL};
    static const char *const token_keys[] = {"train", "val", "tokenizer", "vocab", "merges", NULL};
    json_t *text, *tokens;
    Status s = read_object(&text, e, "text");
    if (!s)
        s = read_object(&tokens, e, "tokens");
    if (!s && e->sgd && (text || tokens))
        s = status_fail(CS336_EFORMAT, "%s: kind sgd trains on no data: remove %s", e->path, text ? "text" : "tokens");
    if (!s && !e->sgd && !text == !tokens)
        s = status_fail(CS336_EFORMAT, "%s: expected either text or tokens to train on%s", e->path,
                        text ? ", not both" : "");
    if (s || e->sgd)
        return s;
    e->is_text = text != NULL;
    const char *where = text ? "text: " : "tokens: ";
    json_t *object = text ? text : tokens;
    s = check_keys(e, object, where, text ? text_keys : token_keys);
    if (!s)
        s = read_text(&e->train, e, object, where, "train", true);
    if (!s)
        s = read_text(&e->val, e, object, where, "val", false);
    if (!s && text)
        s = read_size(&e->vocab_size, e, object, where, "vocab_size", 257, true);
    if (!s && tokens)
        s = read_text(&e->tokenizer, e, object, where, "tokenizer", false);
    if (!s && tokens)
        s = read_text(&e->vocab, e, object, where, "vocab", false);
    if (!s && tokens)
        s = read_text(&e->merges, e, object, where, "merges", e->vocab != NULL);
    if (!s && e->tokenizer && (e->vocab || e->merges))
        s = status_fail(CS336_EFORMAT, "%s: tokens: tokenizer is a whole tokenizer; leave out vocab and merges",
                        e->path);
    return s;
}

static Status read_sample(Experiment *e)
{
    static const char *const keys[] = {"prompt", "seed", "max_tokens", NULL};
    json_t *sample;
    e->sample_seed = 1;
    e->sample_tokens = 60;
    Status s = read_object(&sample, e, "sample");
    if (s || !sample)
        return s;
    if (e->sgd || (!e->is_text && !e->vocab && !e->tokenizer))
        return status_fail(CS336_EFORMAT, "%s: sample: expected a text, or tokens with a tokenizer", e->path);
    s = check_keys(e, sample, "sample: ", keys);
    if (!s)
        s = read_text(&e->prompt, e, sample, "sample: ", "prompt", true);
    if (!s)
        s = read_size(&e->sample_seed, e, sample, "sample: ", "seed", 0, false);
    if (!s)
        s = read_size(&e->sample_tokens, e, sample, "sample: ", "max_tokens", 1, false);
    return s;
}

static Status read_kind(Experiment *e)
{
    const char *kind;
    const Status s = read_text(&kind, e, e->file, "", "kind", false);
    e->sgd = !s && kind && strcmp(kind, "sgd") == 0;
    if (!s && kind && !e->sgd && strcmp(kind, "train") != 0)
        return status_fail(CS336_EFORMAT, "%s: kind is \"%s\", expected train or sgd", e->path, kind);
    return s;
}

Status experiment_load(Experiment *experiment, const char *path)
{
    static const char *const keys[] = {"title",  "question", "kind", "text",   "tokens",
                                       "common", "vary",     "runs", "sample", NULL};
    *experiment = (Experiment){.path = path};
    Experiment *e = experiment;
    Status s = json_read(&e->file, path);
    if (!s && !json_is_object(e->file))
        s = status_fail(CS336_EFORMAT, "%s: expected an object, {\"title\": ..., ...}", path);
    if (!s)
        s = check_keys(e, e->file, "", keys);
    if (!s)
        s = read_text(&e->title, e, e->file, "", "title", true);
    if (!s)
        s = read_text(&e->question, e, e->file, "", "question", false);
    if (!s)
        s = read_kind(e);
    if (!s)
        s = read_data(e);
    if (!s)
        s = read_sample(e);
    return s ? s : read_runs(e);
}

void experiment_unload(Experiment *experiment)
{
    for (size_t i = 0; i < experiment->run_count; i++)
        json_decref(experiment->runs[i].settings);
    memory_release(experiment->runs);
    json_decref(experiment->file);
    *experiment = (Experiment){0};
}

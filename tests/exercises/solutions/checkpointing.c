/*
 * Checkpoints: a file of named arrays and of named texts, which safetensors_write() writes and safetensors_open()
 * reads.
 *
 *     arrays    NAME, optimizer.first_moment.NAME, optimizer.second_moment.NAME for each parameter
 *     texts     iteration, rng.NAME ("seed counter"), config.KEY
 */
#include "train/checkpoint.h"

#include "core/memory.h"
#include "tests/exercises/learn.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 256,  /* room for the name of an array or a text, with its prefix and the 0 that ends it */
    PREFIX_BYTES = 32, /* room for the longest prefix */
};

/* The three arrays of a parameter: array 0 is the value, 1 and 2 are the moments. */
static const char *const PREFIXES[] = {"", "optimizer.first_moment.", "optimizer.second_moment."};

static Tensor array_of(const Parameter *parameter, size_t array)
{
    return array == 0 ? parameter->value : array == 1 ? parameter->first_moment : parameter->second_moment;
}

/* Writes prefix and name into `joined`. */
static const char *join(char *joined, const char *prefix, const char *name)
{
    snprintf(joined, NAME_BYTES, "%s%s", prefix, name);
    return joined;
}

/* ---- saving ---- */

/* Everything that is written. The names are kept here until the file is. */
typedef struct {
    SafetensorsEntry *entries;
    SafetensorsText *texts;
    char (*names)[NAME_BYTES];
    size_t entry_count, text_count, name_count;
} Contents;

static Status check_name(const char *name)
{
    if (strlen(name) < NAME_BYTES - PREFIX_BYTES)
        return CS336_OK;
    return status_fail(CS336_EFORMAT, "checkpoint_save: a name of %zu bytes, expected fewer than %d", strlen(name),
                       NAME_BYTES - PREFIX_BYTES);
}

static Status add_array(Contents *c, const char *prefix, const char *name, Tensor t)
{
    if (!t.data)
        return CS336_OK;
    if (!tensor_contiguous(t))
        return status_fail(CS336_ESHAPE, "checkpoint_save: %s%s is not contiguous", prefix, name);
    for (size_t i = 0; i < tensor_count(t); i++)
        if (!isfinite(t.data[i]))
            return status_fail(CS336_ERANGE, "checkpoint_save: number %zu of %s%s is %g", i, prefix, name,
                               (double)t.data[i]);
    const Status s = check_name(name);
    if (s)
        return s;
    SafetensorsEntry entry = {.type = SAFETENSORS_F32, .rank = t.rank, .data = t.data};
    entry.name = join(c->names[c->name_count++], prefix, name);
    memcpy(entry.shape, t.shape, sizeof entry.shape);
    c->entries[c->entry_count++] = entry;
    return CS336_OK;
}

static Status add_text(Contents *c, const char *prefix, const char *key, const char *value)
{
    const Status s = check_name(key);
    if (!s)
        c->texts[c->text_count++] = (SafetensorsText){join(c->names[c->name_count++], prefix, key), value};
    return s;
}

Status checkpoint_save(const char *path, const Checkpoint *checkpoint)
{
    /* Room for all names, arrays and texts. The state of a generator is a text of ours, so it needs room as well. */
    const size_t arrays = 3 * checkpoint->parameters.count, generators = checkpoint->generator_count;
    const size_t texts = 1 + checkpoint->config_count + generators;
    char(*numbers)[NAME_BYTES] = memory_allocate((1 + generators) * sizeof *numbers);
    Contents c = {.entries = memory_allocate(arrays * sizeof *c.entries),
                  .texts = memory_allocate(texts * sizeof *c.texts),
                  .names = memory_allocate((arrays + texts) * sizeof *c.names)};
    Status s = CS336_OK;
    if (!numbers || !c.entries || !c.texts || !c.names)
        s = status_fail(CS336_ENOMEM, "checkpoint_save: no memory");

    /* Values and moments of all parameters. */
    for (size_t array = 0; array < 3; array++)
        for (size_t i = 0; !s && i < checkpoint->parameters.count; i++) {
            const Parameter *p = &checkpoint->parameters.items[i];
            s = add_array(&c, PREFIXES[array], p->name, array_of(p, array));
        }

    /* Iteration, configuration, generators. */
    if (!s) {
        snprintf(numbers[0], NAME_BYTES, "%zu", checkpoint->iteration);
        s = add_text(&c, "iteration", "", numbers[0]);
    }
    for (size_t i = 0; !s && i < checkpoint->config_count; i++)
        s = add_text(&c, "config.", checkpoint->config[i].key, checkpoint->config[i].value);
    for (size_t i = 0; !s && i < generators; i++) {
        const Rng *rng = checkpoint->generators[i].rng;
        snprintf(numbers[i + 1], NAME_BYTES, "%" PRIu64 " %" PRIu64, rng->seed, rng->counter);
        s = add_text(&c, "rng.", checkpoint->generators[i].name, numbers[i + 1]);
    }

    if (!s)
        s = safetensors_write(path, c.entries, c.entry_count, c.texts, c.text_count);
    memory_release(numbers);
    memory_release(c.entries);
    memory_release(c.texts);
    memory_release(c.names);
    return s;
}

/* ---- loading: first check everything, then change anything ---- */

static Status check_array(const SafetensorsFile *file, const char *prefix, const char *name, Tensor t)
{
    char joined[NAME_BYTES];
    if (!t.data)
        return CS336_OK;
    const SafetensorsEntry *entry = safetensors_find(file, join(joined, prefix, name));
    if (!entry || entry->type != SAFETENSORS_F32)
        return status_fail(CS336_EFORMAT, "%s: no array \"%s\" of float32", file->path, joined);
    if (!tensor_same_shape(tensor_of(NULL, entry->rank, entry->shape), t))
        return status_fail(CS336_ESHAPE, "%s: array \"%s\" is %s, expected %s", file->path, joined,
                           shape_text(entry->rank, entry->shape), tensor_shape_text(t));
    return CS336_OK;
}

/* True if the array is one of the three of a parameter. */
static bool belongs(const SafetensorsEntry *entry, ParameterList parameters)
{
    char joined[NAME_BYTES];
    for (size_t i = 0; i < parameters.count; i++)
        for (size_t array = 0; array < 3; array++)
            if (strcmp(entry->name, join(joined, PREFIXES[array], parameters.items[i].name)) == 0)
                return true;
    return false;
}

/* Returns true and the generator's state if the file has it. */
static bool read_rng(Rng *rng, const SafetensorsFile *file, const char *name)
{
    char joined[NAME_BYTES];
    const char *text = safetensors_metadata(file, join(joined, "rng.", name));
    return text && sscanf(text, "%" SCNu64 " %" SCNu64, &rng->seed, &rng->counter) == 2;
}

static Status check(const SafetensorsFile *file, const Checkpoint *checkpoint)
{
    char joined[NAME_BYTES];
    Rng rng;
    Status s = CS336_OK;

    /* The arrays of the file must be those of the parameters, no fewer and no more. */
    for (size_t i = 0; i < checkpoint->parameters.count; i++)
        for (size_t array = 0; !s && array < 3; array++) {
            const Parameter *p = &checkpoint->parameters.items[i];
            s = check_array(file, PREFIXES[array], p->name, array_of(p, array));
        }
    for (size_t i = 0; !s && i < file->count; i++)
        if (!belongs(&file->entries[i], checkpoint->parameters))
            s = status_fail(CS336_EFORMAT, "%s: array \"%s\" belongs to no parameter of the model", file->path,
                            file->entries[i].name);

    /* The texts must be there, and the configuration must be ours. */
    if (!s && !safetensors_metadata(file, "iteration"))
        s = status_fail(CS336_EFORMAT, "%s: not a checkpoint: no iteration in its metadata", file->path);
    for (size_t i = 0; !s && i < checkpoint->generator_count; i++)
        if (!read_rng(&rng, file, checkpoint->generators[i].name))
            s = status_fail(CS336_EFORMAT, "%s: no state of the generator \"%s\"", file->path,
                            checkpoint->generators[i].name);
    for (size_t i = 0; !s && i < checkpoint->config_count; i++) {
        const SafetensorsText *expected = &checkpoint->config[i];
        const char *value = safetensors_metadata(file, join(joined, "config.", expected->key));
        if (!value || strcmp(value, expected->value) != 0)
            s = status_fail(CS336_EFORMAT, "%s: %s is %s, expected %s", file->path, expected->key,
                            value ? value : "missing", expected->value);
    }
    return s;
}

Status checkpoint_load(Checkpoint *checkpoint, const char *path)
{
    char joined[NAME_BYTES];
    SafetensorsFile file;
    Status s = safetensors_open(&file, path);
    if (s)
        return s;
    s = check(&file, checkpoint);

    for (size_t i = 0; i < checkpoint->parameters.count; i++)
        for (size_t array = 0; !s && array < 3; array++) {
            const Parameter *p = &checkpoint->parameters.items[i];
            if (array_of(p, array).data)
                s = safetensors_read(array_of(p, array), &file, join(joined, PREFIXES[array], p->name));
        }
    if (!s) {
        checkpoint->iteration = (size_t)strtoull(safetensors_metadata(&file, "iteration"), NULL, 10);
        for (size_t i = 0; i < checkpoint->generator_count; i++)
            read_rng(checkpoint->generators[i].rng, &file, checkpoint->generators[i].name);
    }
    safetensors_close(&file);
    return s;
}

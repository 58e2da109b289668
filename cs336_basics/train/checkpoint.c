#include "train/checkpoint.h"

#include "core/arena.h"
#include "core/memory.h"
#include "core/parallel.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Prefixes of the names of arrays. */
static const char VALUE[] = "", FIRST_MOMENT[] = "optimizer.first_moment.",
                  SECOND_MOMENT[] = "optimizer.second_moment.";
static const char *const prefixes[] = {VALUE, FIRST_MOMENT, SECOND_MOMENT};
/* Prefixes of the keys of the metadata. */
static const char ITERATION[] = "iteration", RNG[] = "rng.", CONFIG[] = "config.";

enum {
    KEY_BYTES = 128,   /* of a prefix, a key of up to 100 bytes and the zero byte */
    NUMBERS_BYTES = 48 /* two 64-bit numbers of up to 20 digits, a blank and the zero byte need 42 */
};

/* Checks one tensor of a parameter. `role` is "value", "first moment" or "second moment", for messages. */
static Status check_tensor_of_parameter(const char *function, const char *name, const char *role, Tensor t,
                                        Tensor value)
{
    if (!tensor_same_shape(t, value))
        return status_fail(CS336_ESHAPE, "%s: %s of %s is %s, value is %s", function, role, name, tensor_shape_text(t),
                           tensor_shape_text(value));
    if (!tensor_contiguous(t))
        return status_fail(CS336_ESHAPE, "%s: %s of %s is not contiguous", function, role, name);
    return CS336_OK;
}

static Status check_parameters(const char *function, ParameterList parameters)
{
    Status s = CS336_OK;
    for (size_t i = 0; i < parameters.count && !s; i++) {
        const Parameter *p = &parameters.items[i];
        s = check_tensor_of_parameter(function, p->name, "value", p->value, p->value);
        if (!s && p->first_moment.data)
            s = check_tensor_of_parameter(function, p->name, "first moment", p->first_moment, p->value);
        if (!s && p->second_moment.data)
            s = check_tensor_of_parameter(function, p->name, "second moment", p->second_moment, p->value);
    }
    return s;
}

/* ---- Saving ---- */

/* The contents of the file. Arrays and strings are in an arena; the pointers are NULL while the arena only measures. */
typedef struct {
    SafetensorsEntry *entries;
    SafetensorsText *texts;
    size_t entry_count, text_count;
} Contents;

/* Returns the two strings joined into one, in the arena; or NULL while the arena only measures. */
static const char *join(Arena *arena, const char *prefix, const char *name)
{
    const size_t n = strlen(prefix), m = strlen(name) + 1;
    char *joined = arena_take(arena, n + m);
    if (joined) {
        memcpy(joined, prefix, n);
        memcpy(joined + n, name, m);
    }
    return joined;
}

static void add_tensor(Contents *contents, Arena *arena, const char *prefix, const char *name, Tensor t)
{
    SafetensorsEntry entry = {.type = SAFETENSORS_F32, .rank = t.rank, .data = t.data};
    memcpy(entry.shape, t.shape, sizeof entry.shape);
    entry.name = join(arena, prefix, name);
    if (contents->entries)
        contents->entries[contents->entry_count] = entry;
    contents->entry_count++;
}

static void add_text(Contents *contents, Arena *arena, const char *prefix, const char *key, const char *value)
{
    SafetensorsText text;
    text.key = join(arena, prefix, key);
    text.value = join(arena, value, "");
    if (contents->texts)
        contents->texts[contents->text_count] = text;
    contents->text_count++;
}

/* Adds a moment that is in memory, or that a source gives: then its shape is the value's, and it has no data. */
static void add_moment(Contents *contents, Arena *arena, const char *prefix, const Parameter *p, Tensor moment,
                       bool from_source)
{
    Tensor elsewhere = p->value;
    elsewhere.data = NULL;
    if (moment.data || from_source)
        add_tensor(contents, arena, prefix, p->name, moment.data ? moment : elsewhere);
}

/* Lists all values first, then all first moments, then all second moments. */
static void collect_tensors(Contents *contents, Arena *arena, ParameterList parameters, bool from_source)
{
    const Parameter *items = parameters.items;
    contents->entries = arena_take(arena, 3 * parameters.count * sizeof *contents->entries);
    for (size_t i = 0; i < parameters.count; i++)
        add_tensor(contents, arena, VALUE, items[i].name, items[i].value);
    for (size_t i = 0; i < parameters.count; i++)
        add_moment(contents, arena, FIRST_MOMENT, &items[i], items[i].first_moment, from_source);
    for (size_t i = 0; i < parameters.count; i++)
        add_moment(contents, arena, SECOND_MOMENT, &items[i], items[i].second_moment, from_source);
}

static void collect_texts(Contents *contents, Arena *arena, const Checkpoint *checkpoint)
{
    char numbers[NUMBERS_BYTES];
    const size_t count = 1 + checkpoint->config_count + checkpoint->generator_count;
    contents->texts = arena_take(arena, count * sizeof *contents->texts);
    snprintf(numbers, sizeof numbers, "%zu", checkpoint->iteration);
    add_text(contents, arena, ITERATION, "", numbers);
    for (size_t i = 0; i < checkpoint->config_count; i++)
        add_text(contents, arena, CONFIG, checkpoint->config[i].key, checkpoint->config[i].value);
    for (size_t i = 0; i < checkpoint->generator_count; i++) {
        const Rng *rng = checkpoint->generators[i].rng;
        snprintf(numbers, sizeof numbers, "%" PRIu64 " %" PRIu64, rng->seed, rng->counter);
        add_text(contents, arena, RNG, checkpoint->generators[i].name, numbers);
    }
}

/* Called twice with the same arguments: once to measure the memory that the lists need, once to fill them. */
static Status collect(Contents *contents, Arena *arena, const Checkpoint *checkpoint)
{
    const size_t mark = arena_mark(arena);
    *contents = (Contents){0};
    collect_tensors(contents, arena, checkpoint->parameters, checkpoint->moments != NULL);
    collect_texts(contents, arena, checkpoint);
    return arena_keep(arena, mark);
}

/*
 * A float32 number is infinite or NaN exactly if all bits of its exponent are set. The compiler turns this comparison
 * of bits into vector instructions, unlike a call of isfinite() that ends the loop early.
 */
static bool all_finite(const float *numbers, size_t count)
{
    const uint32_t exponent = 0x7F800000; /* bits 23 to 30 */
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &numbers[i], sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return !found;
}

/* Returns the tensor of an entry that add_tensor() has made. */
static Tensor tensor_of_entry(const SafetensorsEntry *entry)
{
    return tensor_of((float *)(uintptr_t)entry->data, entry->rank, entry->shape);
}

static Status check_finite(const char *path, const Contents *contents)
{
    /* The first array that has a bad number. All threads read: one alone would need a second for 4 GB. */
    size_t numbers = 0, bad = contents->entry_count;
    for (size_t i = 0; i < contents->entry_count; i++)
        numbers += tensor_count(tensor_of_entry(&contents->entries[i]));
#pragma omp parallel for schedule(dynamic, 1) num_threads(parallel_threads_for(numbers)) reduction(min : bad)
    for (size_t i = 0; i < contents->entry_count; i++) {
        const Tensor t = tensor_of_entry(&contents->entries[i]);
        if (i < bad && t.data && !all_finite(t.data, tensor_count(t)))
            bad = i;
    }
    if (bad == contents->entry_count)
        return CS336_OK;
    /* Name its first bad number. */
    const Tensor t = tensor_of_entry(&contents->entries[bad]);
    size_t index = 0;
    while (isfinite(t.data[index]))
        index++;
    return status_fail(
        CS336_ERANGE,
        "%s: not written: number %zu of %s is %g, expected finite numbers; a lower learning rate may help", path, index,
        contents->entries[bad].name, (double)t.data[index]);
}

Status checkpoint_save(const char *path, const Checkpoint *checkpoint)
{
    /* The lists of tensors and texts. */
    Contents contents;
    Arena measure = {0}, arena = {0};
    Status s = check_parameters("checkpoint_save", checkpoint->parameters);
    if (!s)
        s = collect(&contents, &measure, checkpoint);
    if (!s)
        s = arena_init(&arena, measure.peak);
    if (!s)
        s = collect(&contents, &arena, checkpoint);
    /* The file. */
    if (!s)
        s = check_finite(path, &contents);
    if (!s)
        s = safetensors_write_from(path, contents.entries, contents.entry_count, contents.texts, contents.text_count,
                                   checkpoint->moments);
    arena_deinit(&arena);
    return s;
}

/* ---- Loading ---- */

/* Returns the string of the key PREFIX KEY in the metadata, or NULL. */
static const char *text_of(const CheckpointFile *file, const char *prefix, const char *key)
{
    char joined[KEY_BYTES];
    const int length = snprintf(joined, sizeof joined, "%s%s", prefix, key);
    assert(length < KEY_BYTES);
    return length < KEY_BYTES ? safetensors_metadata(&file->tensors, joined) : NULL;
}

/* Reads `count` decimal numbers. True if the text is exactly these, with one blank between two. */
static bool read_numbers(uint64_t *numbers, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        if (*text < '0' || *text > '9') /* strtoull() would skip blanks and accept a sign */
            return false;
        errno = 0;
        numbers[i] = strtoull(text, &end, 10);
        if (errno || *end != (i + 1 < count ? ' ' : '\0'))
            return false;
        text = end + (*end == ' ');
    }
    return true;
}

Status checkpoint_open(CheckpointFile *file, const char *path)
{
    Status s = safetensors_open(&file->tensors, path);
    if (s)
        return s;
    uint64_t iteration;
    const char *text = text_of(file, ITERATION, "");
    if (!text)
        s = status_fail(CS336_EFORMAT,
                        "%s: not a checkpoint: no iteration in its metadata. If it has the weights of another program, "
                        "cs336 import FILE --output checkpoint.safetensors makes a checkpoint of it",
                        path);
    else if (!read_numbers(&iteration, 1, text))
        s = status_fail(CS336_EFORMAT, "%s: iteration is \"%s\", expected a number", path, text);
    else if (iteration > CHECKPOINT_MAX_ITERATION)
        s = status_fail(CS336_EFORMAT, "%s: iteration is %s, expected at most %d", path, text,
                        CHECKPOINT_MAX_ITERATION);
    if (s)
        checkpoint_close(file);
    return s;
}

void checkpoint_close(CheckpointFile *file)
{
    safetensors_close(&file->tensors);
}

size_t checkpoint_iteration(const CheckpointFile *file)
{
    uint64_t iteration = 0;
    const char *text = text_of(file, ITERATION, ""); /* checkpoint_open() has checked it */
    return text && read_numbers(&iteration, 1, text) ? (size_t)iteration : 0;
}

const char *checkpoint_config(const CheckpointFile *file, const char *key)
{
    return text_of(file, CONFIG, key);
}

/* Checks that the file has the array PREFIX NAME with the type and shape of t. If t has no data, it needs no array. */
static Status check_array(const CheckpointFile *file, const char *prefix, const char *name, Tensor t)
{
    if (!t.data)
        return CS336_OK;
    const char *path = file->tensors.path;
    const SafetensorsEntry *entry = safetensors_find_joined(&file->tensors, prefix, name);
    if (!entry)
        return status_fail(CS336_EFORMAT, "%s: no array \"%s%s\"", path, prefix, name);
    if (entry->type != SAFETENSORS_F32)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is not F32", path, entry->name);
    /* Not tensor_same_shape(): a tensor has at least one dimension, an array of a file may have none. */
    if (entry->rank != t.rank || memcmp(entry->shape, t.shape, (size_t)t.rank * sizeof *t.shape) != 0)
        return status_fail(CS336_ESHAPE, "%s: array \"%s\" is %s, expected %s", path, entry->name,
                           shape_text(entry->rank, entry->shape), tensor_shape_text(t));
    return CS336_OK;
}

/* Checks that each array of the file has its parameter: it is the value or a moment of one. */
static Status check_owners(const CheckpointFile *file, ParameterList parameters)
{
    const SafetensorsFile *arrays = &file->tensors;
    bool *owned = memory_allocate_zeroed(arrays->count, sizeof *owned);
    if (!owned)
        return status_fail(CS336_ENOMEM, "%s: no memory to check %zu arrays", arrays->path, arrays->count);
    for (size_t i = 0; i < parameters.count; i++)
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
            const SafetensorsEntry *entry = safetensors_find_joined(arrays, prefixes[k], parameters.items[i].name);
            if (entry)
                owned[entry - arrays->entries] = true;
        }
    Status s = CS336_OK;
    for (size_t i = 0; i < arrays->count && !s; i++)
        if (!owned[i])
            s = status_fail(CS336_EFORMAT, "%s: array \"%s\" belongs to no parameter of the model", arrays->path,
                            arrays->entries[i].name);
    memory_release(owned);
    return s;
}

static Status check_arrays(const CheckpointFile *file, ParameterList parameters)
{
    /* Each tensor of the parameters has its array. */
    Status s = CS336_OK;
    for (size_t i = 0; i < parameters.count && !s; i++) {
        const Parameter *p = &parameters.items[i];
        s = check_array(file, VALUE, p->name, p->value);
        if (!s)
            s = check_array(file, FIRST_MOMENT, p->name, p->first_moment);
        if (!s)
            s = check_array(file, SECOND_MOMENT, p->name, p->second_moment);
    }
    return s ? s : check_owners(file, parameters);
}

static Status check_config(const CheckpointFile *file, const Checkpoint *checkpoint)
{
    const char *path = file->tensors.path;
    for (size_t i = 0; i < checkpoint->config_count; i++) {
        const SafetensorsText *expected = &checkpoint->config[i];
        const char *value = checkpoint_config(file, expected->key);
        if (!value)
            return status_fail(CS336_EFORMAT, "%s: no %s in its configuration, expected %s", path, expected->key,
                               expected->value);
        if (strcmp(value, expected->value) != 0)
            return status_fail(CS336_EFORMAT, "%s: %s is %s, expected %s", path, expected->key, value, expected->value);
    }
    return CS336_OK;
}

/* Reads the state of one generator into *state, which is unchanged on failure. */
static Status read_generator(Rng *state, const CheckpointFile *file, const char *name)
{
    uint64_t numbers[2];
    const char *text = text_of(file, RNG, name);
    if (!text)
        return status_fail(CS336_EFORMAT, "%s: no state of the generator \"%s\"", file->tensors.path, name);
    if (!read_numbers(numbers, 2, text))
        return status_fail(CS336_EFORMAT, "%s: state of the generator \"%s\" is \"%s\", expected two numbers",
                           file->tensors.path, name, text);
    *state = (Rng){.seed = numbers[0], .counter = numbers[1]};
    return CS336_OK;
}

/* Reads an array that check_array() has found into a contiguous tensor, which may have no data. */
static Status read_tensor(Tensor destination, const CheckpointFile *file, const char *prefix, const char *name)
{
    if (!destination.data)
        return CS336_OK;
    const SafetensorsFile *arrays = &file->tensors;
    return safetensors_read_bytes(destination.data, arrays, safetensors_find_joined(arrays, prefix, name));
}

/* Reads value and moments of one parameter. */
static Status read_parameter(const Parameter *p, const CheckpointFile *file)
{
    Status s = read_tensor(p->value, file, VALUE, p->name);
    if (!s)
        s = read_tensor(p->first_moment, file, FIRST_MOMENT, p->name);
    if (!s)
        s = read_tensor(p->second_moment, file, SECOND_MOMENT, p->name);
    return s;
}

/*
 * Reads all parameters, each by one thread. The memory is often fresh, so that most of the time goes to page faults,
 * which several threads take at once.
 */
static Status read_arrays(ParameterList parameters, const CheckpointFile *file)
{
    size_t numbers = 0;
    for (size_t i = 0; i < parameters.count; i++)
        numbers += tensor_count(parameters.items[i].value);
    ParallelFailure failure = {0};
#pragma omp parallel for schedule(dynamic, 1) num_threads(parallel_threads_for(numbers))
    for (size_t i = 0; i < parameters.count; i++) {
        const Status s = parallel_failed(&failure) ? CS336_OK : read_parameter(&parameters.items[i], file);
        if (s)
            parallel_fail(&failure, s);
    }
    return parallel_result(&failure);
}

Status checkpoint_read(Checkpoint *checkpoint, const CheckpointFile *file)
{
    /* Check everything first, the generators by reading them into a variable that is not used. */
    Rng unused;
    Status s = check_parameters("checkpoint_read", checkpoint->parameters);
    if (!s)
        s = check_config(file, checkpoint);
    if (!s)
        s = check_arrays(file, checkpoint->parameters);
    for (size_t i = 0; i < checkpoint->generator_count && !s; i++)
        s = read_generator(&unused, file, checkpoint->generators[i].name);
    /* Then change everything. Only reading the arrays can still fail. */
    if (!s)
        s = read_arrays(checkpoint->parameters, file);
    if (s)
        return s;
    for (size_t i = 0; i < checkpoint->generator_count && !s; i++)
        s = read_generator(checkpoint->generators[i].rng, file, checkpoint->generators[i].name);
    checkpoint->iteration = checkpoint_iteration(file);
    return s;
}

Status checkpoint_check_moments(const CheckpointFile *file, ParameterList parameters)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < parameters.count; i++)
        for (int moment = 0; !s && moment < CHECKPOINT_MOMENTS; moment++)
            s = check_array(file, prefixes[1 + moment], parameters.items[i].name, parameters.items[i].value);
    return s;
}

Status checkpoint_read_moment(float *numbers, const CheckpointFile *file, int moment, const Parameter *parameter,
                              size_t first, size_t count)
{
    const SafetensorsEntry *entry = safetensors_find_joined(&file->tensors, prefixes[1 + moment], parameter->name);
    return safetensors_read_part(numbers, &file->tensors, entry, first * sizeof *numbers, count * sizeof *numbers);
}

Status checkpoint_load(Checkpoint *checkpoint, const char *path)
{
    CheckpointFile file;
    Status s = checkpoint_open(&file, path);
    if (s)
        return s;
    s = checkpoint_read(checkpoint, &file);
    checkpoint_close(&file);
    return s;
}

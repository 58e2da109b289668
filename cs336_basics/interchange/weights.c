#define _POSIX_C_SOURCE 200809L
#include "interchange/weights.h"

#include "core/json.h"
#include "core/memory.h"
#include "core/plural.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ---- */

/* Opens one more file; items has room for it. */
static Status open_file(WeightFiles *files, const char *path)
{
    WeightFile *item = &files->items[files->count];
    const Status s = safetensors_open(&item->file, path);
    if (s)
        return s;
    files->count++;
    item->taken = memory_allocate_zeroed(item->file.count, sizeof *item->taken);
    return item->taken ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for %zu arrays", path, item->file.count);
}

static Status allocate_items(WeightFiles *files, size_t count)
{
    files->items = memory_allocate_zeroed(count, sizeof *files->items);
    return files->items ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for %zu files", files->path, count);
}

Status weight_path(char path[DIRECTORY_PATH_BYTES], const char *directory, const char *name)
{
    const int length = snprintf(path, DIRECTORY_PATH_BYTES, "%s/%s", directory, name);
    return length < DIRECTORY_PATH_BYTES ? CS336_OK
                                         : status_fail(CS336_EIO, "%s/%s: the path is too long", directory, name);
}

/* ---- an index and its shards ---- */

/* Returns the number of an open shard, or the number of open files if it is not open yet. */
static size_t find_shard(const WeightFiles *files, const char *path)
{
    size_t i = 0;
    while (i < files->count && strcmp(files->items[i].file.path, path) != 0)
        i++;
    return i;
}

/* Opens the shard of an array, unless it is open, and checks that it has the array. */
static Status open_shard(WeightFiles *files, const char *directory, const char *array, const json_t *value)
{
    const char *name = json_string_value(value);
    char path[DIRECTORY_PATH_BYTES];
    /* A name with a slash could lead to any file of the machine. */
    if (!name || !*name || strchr(name, '/'))
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is in \"%s\", expected the name of a file beside this one",
                           files->path, array, name ? name : "(not a string)");
    Status s = weight_path(path, directory, name);
    const size_t shard = s ? 0 : find_shard(files, path);
    if (!s && shard == files->count)
        s = open_file(files, path);
    if (!s && !safetensors_find(&files->items[shard].file, array))
        s = status_fail(CS336_EFORMAT, "%s: no array \"%s\", which %s says is here", path, array, files->path);
    return s;
}

/* Checks that no shard has an array that the index does not list. All that it lists were found, so counting is enough.
 */
static Status check_listed(const WeightFiles *files, const json_t *map)
{
    size_t arrays = 0;
    for (size_t i = 0; i < files->count; i++)
        arrays += files->items[i].file.count;
    if (arrays == json_object_size(map))
        return CS336_OK;
    return status_fail(CS336_EFORMAT, "%s: lists %zu array%s, its files have %zu", files->path, json_object_size(map),
                       plural(json_object_size(map)), arrays);
}

static Status open_shards(WeightFiles *files)
{
    char directory[DIRECTORY_PATH_BYTES];
    json_t *index = NULL, *value;
    const char *array;
    directory_split(directory, files->path);
    Status s = json_read(&index, files->path);
    json_t *map = json_object_get(index, "weight_map");
    if (!s && json_object_size(map) == 0)
        s = status_fail(CS336_EFORMAT, "%s: no weight_map, expected the index of a model in several files",
                        files->path);
    /* At most one file for each array. */
    if (!s)
        s = allocate_items(files, json_object_size(map));
    json_object_foreach(map, array, value)
    {
        if (!s)
            s = open_shard(files, directory, array, value);
    }
    if (!s)
        s = check_listed(files, map);
    json_decref(index);
    return s;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Chooses the file to open: in a directory the weights in one file, else their index, as transformers does. */
static Status choose_file(char chosen[DIRECTORY_PATH_BYTES], const char *path)
{
    static const char *const names[] = {WEIGHT_FILE_NAME, WEIGHT_INDEX_NAME};
    struct stat info;
    if (!is_directory(path)) {
        const int length = snprintf(chosen, DIRECTORY_PATH_BYTES, "%s", path);
        return length < DIRECTORY_PATH_BYTES ? CS336_OK : status_fail(CS336_EIO, "%s: the path is too long", path);
    }
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < sizeof names / sizeof *names; i++) {
        s = weight_path(chosen, path, names[i]);
        if (!s && stat(chosen, &info) == 0)
            return CS336_OK;
    }
    if (s)
        return s;
    return status_fail(CS336_EIO, "%s: this directory has neither " WEIGHT_FILE_NAME " nor " WEIGHT_INDEX_NAME, path);
}

Status weight_files_open(WeightFiles *files, const char *path)
{
    *files = (WeightFiles){.count = 0};
    Status s = choose_file(files->path, path);
    if (!s && ends_with(files->path, ".json")) {
        s = open_shards(files);
    } else if (!s) {
        s = allocate_items(files, 1);
        if (!s)
            s = open_file(files, files->path);
    }
    if (s)
        weight_files_close(files);
    return s;
}

void weight_files_close(WeightFiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        safetensors_close(&files->items[i].file);
        memory_release(files->items[i].taken);
    }
    memory_release(files->items);
    *files = (WeightFiles){.count = 0};
}

/* ---- finding ---- */

bool weight_files_prefix(char prefix[WEIGHT_NAME_BYTES], const WeightFiles *files, const char *name)
{
    const SafetensorsEntry *shortest = NULL;
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < files->items[i].file.count; k++) {
            const SafetensorsEntry *entry = &files->items[i].file.entries[k];
            if (ends_with(entry->name, name) && (!shortest || strlen(entry->name) < strlen(shortest->name)))
                shortest = entry;
        }
    const size_t length = shortest ? strlen(shortest->name) - strlen(name) : 0;
    if (!shortest || length >= WEIGHT_NAME_BYTES)
        return false;
    memcpy(prefix, shortest->name, length);
    prefix[length] = '\0';
    return true;
}

WeightArray weight_files_find(const WeightFiles *files, const char *prefix, const char *name)
{
    for (size_t i = 0; i < files->count; i++) {
        const SafetensorsFile *file = &files->items[i].file;
        const SafetensorsEntry *entry = safetensors_find_joined(file, prefix, name);
        if (entry)
            return (WeightArray){file, entry};
    }
    return (WeightArray){NULL, NULL};
}

WeightArray weight_files_take(WeightFiles *files, const char *prefix, const char *name)
{
    const WeightArray array = weight_files_find(files, prefix, name);
    for (size_t i = 0; array.entry && i < files->count; i++)
        if (array.file == &files->items[i].file)
            files->items[i].taken[array.entry - array.file->entries] = true;
    return array;
}

Status weight_arrays_equal(bool *equal, WeightArray a, WeightArray b)
{
    enum { AT_ONCE = 1 << 12 }; /* bytes of each array on the stack */
    unsigned char first[AT_ONCE], second[AT_ONCE];
    const size_t bytes = safetensors_bytes(a.entry);
    Status s = CS336_OK;
    *equal = a.entry->type == b.entry->type && a.entry->rank == b.entry->rank &&
             memcmp(a.entry->shape, b.entry->shape, (size_t)a.entry->rank * sizeof *a.entry->shape) == 0;
    for (size_t begin = 0; !s && *equal && begin < bytes; begin += AT_ONCE) {
        const size_t count = bytes - begin < AT_ONCE ? bytes - begin : AT_ONCE;
        s = file_read_at(&a.file->file, first, count, a.entry->offset + begin);
        if (!s)
            s = file_read_at(&b.file->file, second, count, b.entry->offset + begin);
        *equal = !s && memcmp(first, second, count) == 0;
    }
    return s;
}

/* ---- checking and reading ---- */

/* Returns the numbers of all arrays. */
static double stored_numbers(const WeightFiles *files)
{
    double stored = 0;
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < files->items[i].file.count; k++) {
            const SafetensorsEntry *entry = &files->items[i].file.entries[k];
            double numbers = 1;
            for (int d = 0; d < entry->rank; d++)
                numbers *= (double)entry->shape[d];
            stored += numbers;
        }
    return stored;
}

Status weight_files_check_size(const WeightFiles *files, const WeightPlan *plan)
{
    const double much =
        1 << 26; /* numbers, 256 MiB: a small difference is left to weights_load(), which names arrays */
    const double d = (double)plan->config.d_model, layers = (double)plan->config.num_layers;
    /* The fraction of the rows of keys and values that are copies of others. */
    const double repeated = 1 - (double)plan->key_value_heads / (double)plan->config.num_heads;
    const double needed = (double)transformer_lm_parameter_count(&plan->config) - 2 * repeated * d * d * layers;
    const double stored = stored_numbers(files);
    if (needed > stored + much)
        return status_fail(CS336_EFORMAT, "%s: a model of its configuration has %.6g parameters, its arrays have %.6g",
                           files->path, needed, stored);
    return CS336_OK;
}

static Status check_array(WeightArray array, const WeightPlace *place)
{
    const SafetensorsEntry *entry = array.entry;
    if (!safetensors_is_float(entry->type))
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is %s, expected F32, BF16, F16 or F64", array.file->path,
                           entry->name, safetensors_type_name(entry->type));
    if (entry->rank != place->rank ||
        memcmp(entry->shape, place->shape, (size_t)place->rank * sizeof *place->shape) != 0)
        return status_fail(CS336_ESHAPE, "%s: array \"%s\" is %s, expected %s", array.file->path, entry->name,
                           shape_text(entry->rank, entry->shape), shape_text(place->rank, place->shape));
    return CS336_OK;
}

/* Checks that each parameter has its array. The message names the first that is missing, and counts the others. */
static Status check_places(ParameterList parameters, WeightFiles *files, const char *prefix, const WeightPlan *plan)
{
    char first[WEIGHT_NAME_BYTES] = "";
    size_t missing = 0;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < parameters.count; i++) {
        WeightPlace place;
        plan->layout(&place, &parameters.items[i], plan);
        const WeightArray array = weight_files_take(files, prefix, place.name);
        if (array.entry)
            s = check_array(array, &place);
        else if (missing++ == 0)
            memcpy(first, place.name, sizeof first);
    }
    if (s || missing == 0)
        return s;
    if (missing == 1)
        return status_fail(CS336_EFORMAT, "%s: no array \"%s%s\"", files->path, prefix, first);
    return status_fail(CS336_EFORMAT, "%s: no array \"%s%s\", and %zu more of the model are missing", files->path,
                       prefix, first, missing - 1);
}

/* Checks that each array has its parameter. A bias or a norm that our model does not have would change what it
 * computes.
 */
static Status check_taken(const WeightFiles *files)
{
    const char *first = NULL, *path = NULL;
    size_t left = 0;
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < files->items[i].file.count; k++) {
            if (files->items[i].taken[k])
                continue;
            if (left++ == 0) {
                first = files->items[i].file.entries[k].name;
                path = files->items[i].file.path;
            }
        }
    if (left == 0)
        return CS336_OK;
    if (left == 1)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" belongs to no parameter of the model", path, first);
    return status_fail(CS336_EFORMAT, "%s: array \"%s\" and %zu more belong to no parameter of the model", path, first,
                       left - 1);
}

Status weights_check_finite(Tensor value, const char *path, const char *name)
{
    const size_t count = tensor_count(value);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(value.data[i]))
            return status_fail(CS336_ERANGE, "%s: array \"%s\" has %g as a number, expected finite numbers", path, name,
                               (double)value.data[i]);
    return CS336_OK;
}

Status weights_load(ParameterList parameters, WeightFiles *files, const char *prefix, const WeightPlan *plan)
{
    Status s = check_places(parameters, files, prefix, plan);
    if (!s)
        s = check_taken(files);
    for (size_t i = 0; !s && i < parameters.count; i++) {
        WeightPlace place;
        plan->layout(&place, &parameters.items[i], plan);
        const WeightArray array = weight_files_find(files, prefix, place.name);
        for (size_t copy = 0; !s && copy < place.view.shape[0]; copy++)
            s = safetensors_read_as_float(tensor_select(place.view, 0, copy), array.file, array.entry);
        if (!s)
            s = weights_check_finite(parameters.items[i].value, array.file->path, array.entry->name);
    }
    return s;
}

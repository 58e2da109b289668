#include "core/safetensors.h"

#include "core/json.h"
#include "core/memory.h"
#include "core/plural.h"
#include "core/weight_form.h"
#include "core/widen.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays are used as they are in the file, in little-endian order; this machine is big-endian"
#endif

enum {
    LENGTH_BYTES = 8 /* the header's length at the start of the file, an uint64_t */
};

static const char METADATA[] = "__metadata__";

/* Each type's name in the header, and the bytes of an element. */
static const struct {
    const char *name;
    size_t size;
} types[] = {
    [SAFETENSORS_BOOL] = {"BOOL", 1}, [SAFETENSORS_U8] = {"U8", 1},   [SAFETENSORS_I8] = {"I8", 1},
    [SAFETENSORS_U16] = {"U16", 2},   [SAFETENSORS_I16] = {"I16", 2}, [SAFETENSORS_F16] = {"F16", 2},
    [SAFETENSORS_BF16] = {"BF16", 2}, [SAFETENSORS_U32] = {"U32", 4}, [SAFETENSORS_I32] = {"I32", 4},
    [SAFETENSORS_F32] = {"F32", 4},   [SAFETENSORS_U64] = {"U64", 8}, [SAFETENSORS_I64] = {"I64", 8},
    [SAFETENSORS_F64] = {"F64", 8},
};

/* SIZE_MAX if they overflow; safetensors_open() refuses such an array. */
size_t safetensors_bytes(const SafetensorsEntry *entry)
{
    size_t bytes = types[entry->type].size;
    for (int i = 0; i < entry->rank; i++)
        bytes = memory_product(bytes, entry->shape[i]);
    return bytes;
}

/* Returns a non-negative integer; or SIZE_MAX, which no file can hold, if the value is anything else. */
static size_t size_of_json(const json_t *value)
{
    const json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    return n < 0 || (json_int_t)(size_t)n != n ? SIZE_MAX : (size_t)n;
}

static Status read_type(SafetensorsEntry *entry, const json_t *value, const char *path)
{
    const char *name = json_string_value(value);
    if (!name)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" has a dtype that is not a string", path, entry->name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, types[i].name) == 0) {
            entry->type = (SafetensorsType)i;
            return CS336_OK;
        }
    }
    return status_fail(CS336_EFORMAT, "%s: array \"%s\" has dtype \"%s\", expected one such as \"F32\"", path,
                       entry->name, name);
}

static Status read_shape(SafetensorsEntry *entry, const json_t *value, const char *path)
{
    if (!json_is_array(value))
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" has no shape", path, entry->name);
    if (json_array_size(value) > TENSOR_MAX_RANK)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" has %zu dimensions, expected at most %d", path, entry->name,
                           json_array_size(value), TENSOR_MAX_RANK);
    entry->rank = (int)json_array_size(value);
    for (int i = 0; i < entry->rank; i++) {
        entry->shape[i] = size_of_json(json_array_get(value, (size_t)i));
        if (entry->shape[i] == SIZE_MAX)
            return status_fail(CS336_EFORMAT, "%s: array \"%s\" has a shape that is not a list of sizes", path,
                               entry->name);
    }
    return CS336_OK;
}

/*
 * Reads one array's type, shape and offsets, and checks that they agree with each other and with the file. The data of
 * all arrays are the bytes of the file from `data` on.
 */
static Status read_entry(SafetensorsEntry *entry, const json_t *value, size_t data, size_t data_bytes, const char *path)
{
    Status s = read_type(entry, json_object_get(value, "dtype"), path);
    if (!s)
        s = read_shape(entry, json_object_get(value, "shape"), path);
    if (s)
        return s;
    /* The first byte of the data, and the byte after the last one. */
    const json_t *offsets = json_object_get(value, "data_offsets");
    const size_t begin = size_of_json(json_array_get(offsets, 0)), end = size_of_json(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin > end || end == SIZE_MAX)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" has data_offsets that are not [begin, end]", path,
                           entry->name);
    if (end > data_bytes)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" ends at byte %zu of the data, the file has %zu: cut short",
                           path, entry->name, end, data_bytes);
    if (end - begin != safetensors_bytes(entry))
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is %s of %s but has %zu byte%s", path, entry->name,
                           shape_text(entry->rank, entry->shape), types[entry->type].name, end - begin,
                           plural(end - begin));
    entry->offset = data + begin;
    return CS336_OK;
}

/*
 * Orders arrays by offset for qsort(). An empty array has the offset of the array after it, so at equal offsets the
 * smaller one comes first. Names decide between several empty arrays, so that the order is always the same.
 */
static int by_offset(const void *a, const void *b)
{
    const SafetensorsEntry *first = a, *second = b;
    if (first->offset != second->offset)
        return first->offset < second->offset ? -1 : 1;
    const size_t n = safetensors_bytes(first), m = safetensors_bytes(second);
    return n != m ? (n < m ? -1 : 1) : strcmp(first->name, second->name);
}

/* Checks that the arrays, in the order of their data, follow each other from the first byte to the last. */
static Status check_no_gaps(SafetensorsFile *file, size_t data, size_t data_bytes)
{
    if (file->count)
        qsort(file->entries, file->count, sizeof *file->entries, by_offset);
    size_t expected = 0; /* byte of the data at which the next array must begin */
    for (size_t i = 0; i < file->count; i++) {
        const SafetensorsEntry *entry = &file->entries[i];
        const size_t begin = entry->offset - data;
        if (begin != expected)
            return status_fail(CS336_EFORMAT, "%s: array \"%s\" starts at byte %zu of the data, expected %zu",
                               file->path, entry->name, begin, expected);
        expected += safetensors_bytes(entry);
    }
    if (expected != data_bytes)
        return status_fail(CS336_EFORMAT, "%s: the arrays have %zu byte%s, but the file has %zu", file->path, expected,
                           plural(expected), data_bytes);
    return CS336_OK;
}

static int by_name(const void *a, const void *b)
{
    const SafetensorsEntry *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

/* Makes the index for safetensors_find(). */
static void sort_names(SafetensorsFile *file)
{
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->entries[i];
    if (file->count)
        qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
}

static Status check_metadata(json_t *value, const char *path)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return status_fail(CS336_EFORMAT, "%s: %s is not a JSON object", path, METADATA);
    json_object_foreach(value, key, text)
    {
        if (!json_is_string(text))
            return status_fail(CS336_EFORMAT, "%s: %s \"%s\" is not a string", path, METADATA, key);
    }
    return CS336_OK;
}

/* Reads the arrays that the header lists, and checks the metadata, which stays in the header. */
static Status read_entries(SafetensorsFile *file, size_t data, size_t data_bytes)
{
    const size_t most = json_object_size(file->header);
    file->entries = memory_allocate_zeroed(most, sizeof *file->entries);
    file->by_name = memory_allocate_zeroed(most, sizeof *file->by_name);
    if (!file->entries || !file->by_name)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu arrays", file->path, most);
    Status s = CS336_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)file->header, name, value)
    {
        if (strcmp(name, METADATA) == 0) {
            s = check_metadata(value, file->path);
        } else {
            file->entries[file->count].name = name;
            s = read_entry(&file->entries[file->count++], value, data, data_bytes, file->path);
        }
        if (s)
            return s;
    }
    s = check_no_gaps(file, data, data_bytes);
    sort_names(file); /* after check_no_gaps(), which moves the entries */
    return s;
}

/* Reads and parses the header's text, which has `length` bytes. */
static Status parse_header(SafetensorsFile *file, size_t length)
{
    json_t *header = NULL;
    char *text = memory_allocate(length);
    if (!text)
        return status_fail(CS336_ENOMEM, "%s: no memory for a header of %zu bytes", file->path, length);
    Status s = file_read_at(&file->file, text, length, LENGTH_BYTES);
    if (!s)
        s = json_parse(&header, text, length, file->path);
    memory_release(text);
    file->header = header;
    return s;
}

static Status read_header(SafetensorsFile *file)
{
    const size_t size = file->file.size;
    Status s = weight_form_check(&file->file);
    if (s)
        return s;
    /* The length. */
    uint64_t length;
    s = file_read_at(&file->file, &length, sizeof length, 0);
    if (s)
        return s;
    if (length > size - LENGTH_BYTES)
        return status_fail(CS336_EFORMAT,
                           "%s: header of %llu byte%s in a file of %zu: cut short, or not a safetensors file",
                           file->path, (unsigned long long)length, plural((size_t)length), size);
    /* The header, and the arrays that it describes. */
    s = parse_header(file, (size_t)length);
    if (!s)
        s = read_entries(file, LENGTH_BYTES + (size_t)length, size - LENGTH_BYTES - (size_t)length);
    return s;
}

Status safetensors_open(SafetensorsFile *file, const char *path)
{
    *file = (SafetensorsFile){0};
    file->path = memory_copy_text(path);
    if (!file->path)
        return status_fail(CS336_ENOMEM, "safetensors_open: no memory for the path %s", path);
    Status s = file_open(&file->file, file->path);
    if (!s)
        s = read_header(file);
    if (s)
        safetensors_close(file);
    return s;
}

void safetensors_close(SafetensorsFile *file)
{
    memory_release(file->by_name);
    memory_release(file->entries);
    json_decref(file->header);
    file_close(&file->file);
    memory_release(file->path);
    *file = (SafetensorsFile){0};
}

/* Compares the text PREFIX NAME with another one, as strcmp(). */
static int compare_joined(const char *prefix, const char *name, const char *other)
{
    const size_t n = strlen(prefix);
    const int order = strncmp(prefix, other, n);
    return order ? order : strcmp(name, other + n);
}

const SafetensorsEntry *safetensors_find_joined(const SafetensorsFile *file, const char *prefix, const char *name)
{
    size_t low = 0, high = file->count; /* the array is at low or after it, and before high */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_joined(prefix, name, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const SafetensorsEntry *safetensors_find(const SafetensorsFile *file, const char *name)
{
    return safetensors_find_joined(file, "", name);
}

const char *safetensors_metadata(const SafetensorsFile *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

Status safetensors_read_bytes(void *destination, const SafetensorsFile *file, const SafetensorsEntry *entry)
{
    return file_read_at(&file->file, destination, safetensors_bytes(entry), entry->offset);
}

Status safetensors_read_part(void *destination, const SafetensorsFile *file, const SafetensorsEntry *entry,
                             size_t first, size_t bytes)
{
    return file_read_at(&file->file, destination, bytes, entry->offset + first);
}

bool safetensors_is_float(SafetensorsType type)
{
    return type == SAFETENSORS_F16 || type == SAFETENSORS_BF16 || type == SAFETENSORS_F32 || type == SAFETENSORS_F64;
}

const char *safetensors_type_name(SafetensorsType type)
{
    return types[type].name;
}

/* Converts elements as they are in the file to float32. */
static void widen(float *numbers, const void *bytes, size_t count, SafetensorsType type)
{
    if (type == SAFETENSORS_F16)
        widen_half(numbers, bytes, count);
    else if (type == SAFETENSORS_BF16)
        widen_bfloat16(numbers, bytes, count);
    else if (type == SAFETENSORS_F64)
        narrow_double(numbers, bytes, count);
    else /* SAFETENSORS_F32 */
        memcpy(numbers, bytes, count * sizeof *numbers);
}

/* Reads the array in chunks, and copies them number by number: the tensor's rows may have any stride. */
static Status read_strided(Tensor destination, const SafetensorsFile *file, const SafetensorsEntry *entry)
{
    enum { AT_ONCE = 1024 }; /* 4 KiB of float32 on the stack, and up to 8 KiB of elements */
    float numbers[AT_ONCE];
    unsigned char bytes[AT_ONCE * sizeof(double)];
    const size_t rows = tensor_rows(destination), columns = tensor_extent(destination, -1);
    const size_t size = types[entry->type].size;
    const ptrdiff_t stride = destination.stride[destination.rank - 1];
    Status s = CS336_OK;
    /* An empty array may have 2^62 rows of no columns. */
    for (size_t row = 0; !s && columns > 0 && row < rows; row++) {
        float *out = tensor_row(destination, row);
        for (size_t begin = 0; !s && begin < columns; begin += AT_ONCE) {
            const size_t left = columns - begin, count = left < AT_ONCE ? left : AT_ONCE;
            s = file_read_at(&file->file, bytes, count * size, entry->offset + (row * columns + begin) * size);
            if (!s)
                widen(numbers, bytes, count, entry->type);
            for (size_t i = 0; !s && i < count; i++)
                out[(ptrdiff_t)(begin + i) * stride] = numbers[i];
        }
    }
    return s;
}

Status safetensors_read(Tensor destination, const SafetensorsFile *file, const char *name)
{
    const SafetensorsEntry *entry = safetensors_find(file, name);
    if (!entry)
        return status_fail(CS336_EFORMAT, "%s: no array \"%s\"", file->path, name);
    if (entry->type != SAFETENSORS_F32)
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is %s, expected F32", file->path, name,
                           types[entry->type].name);
    if (entry->rank != destination.rank ||
        memcmp(entry->shape, destination.shape, (size_t)entry->rank * sizeof *entry->shape) != 0)
        return status_fail(CS336_ESHAPE, "%s: array \"%s\" is %s, expected %s", file->path, name,
                           shape_text(entry->rank, entry->shape), tensor_shape_text(destination));
    return read_strided(destination, file, entry);
}

Status safetensors_read_as_float(Tensor destination, const SafetensorsFile *file, const SafetensorsEntry *entry)
{
    if (!safetensors_is_float(entry->type))
        return status_fail(CS336_EFORMAT, "%s: array \"%s\" is %s, expected F32, BF16, F16 or F64", file->path,
                           entry->name, types[entry->type].name);
    if (memory_product(tensor_count(destination), types[entry->type].size) != safetensors_bytes(entry))
        return status_fail(CS336_ESHAPE, "%s: array \"%s\" is %s, expected as many numbers as %s", file->path,
                           entry->name, shape_text(entry->rank, entry->shape), tensor_shape_text(destination));
    return read_strided(destination, file, entry);
}

/*
 * Adds a key, which must be absent, and takes over the caller's reference to the value, also on failure. A value of
 * NULL is an error: jansson returns NULL instead of a string that is not UTF-8.
 */
static Status set_new(json_t *object, const char *key, json_t *value, const char *path)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return status_fail(CS336_EFORMAT, "%s: \"%s\" is given twice", path, key);
    }
    if (value && json_object_set_new(object, key, value) == 0)
        return CS336_OK;
    return status_fail(CS336_EFORMAT, "%s: the name or the text of \"%s\" is not UTF-8", path, key);
}

/*
 * Returns an array's entry in the header, or NULL. jansson's setters fail if the value is NULL because it could not be
 * made, and release a value that they cannot store. So one check at the end is enough.
 */
static json_t *header_entry(const SafetensorsEntry *entry, size_t begin)
{
    json_t *value = json_object(), *shape = json_array(), *offsets = json_array();
    const size_t end = begin + safetensors_bytes(entry);
    int failed = 0;
    for (int i = 0; i < entry->rank; i++)
        failed |= json_array_append_new(shape, json_integer((json_int_t)entry->shape[i]));
    failed |= json_array_append_new(offsets, json_integer((json_int_t)begin));
    failed |= json_array_append_new(offsets, json_integer((json_int_t)end));
    failed |= json_object_set_new(value, "dtype", json_string(types[entry->type].name));
    failed |= json_object_set_new(value, "shape", shape);
    failed |= json_object_set_new(value, "data_offsets", offsets);
    if (!failed)
        return value;
    json_decref(value);
    return NULL;
}

/* Fills the header: the metadata, then an entry for each array. */
static Status build_header(json_t *header, const char *path, const SafetensorsEntry *entries, size_t count,
                           const SafetensorsText *metadata, size_t metadata_count)
{
    /* The metadata. */
    Status s = CS336_OK;
    if (metadata_count) {
        s = set_new(header, METADATA, json_object(), path);
        json_t *texts = json_object_get(header, METADATA);
        for (size_t i = 0; !s && i < metadata_count; i++)
            s = set_new(texts, metadata[i].key, json_string(metadata[i].value), path);
    }
    /* The arrays. */
    size_t begin = 0; /* byte of the data */
    for (size_t i = 0; !s && i < count; i++) {
        if (strcmp(entries[i].name, METADATA) == 0)
            return status_fail(CS336_EFORMAT, "%s: an array cannot be named %s", path, METADATA);
        s = set_new(header, entries[i].name, header_entry(&entries[i], begin), path);
        begin += safetensors_bytes(&entries[i]);
    }
    return s;
}

/* Writes the length, the header, and blanks up to a multiple of 8 bytes. */
static Status write_header(FileWriter *writer, const char *text)
{
    static const char padding[LENGTH_BYTES] = "       "; /* at most 7 blanks */
    const size_t length = strlen(text), spaces = (LENGTH_BYTES - length % LENGTH_BYTES) % LENGTH_BYTES;
    const uint64_t padded = length + spaces;
    Status s = file_write(writer, &padded, sizeof padded);
    if (!s)
        s = file_write(writer, text, length);
    if (!s)
        s = file_write(writer, padding, spaces);
    return s;
}

/* Writes the data of an array, which comes from memory or from the source. */
static Status write_array(FileWriter *writer, const SafetensorsEntry *entry, const SafetensorsSource *source)
{
    enum { AT_ONCE = 1 << 16 }; /* bytes from the source */
    const size_t bytes = safetensors_bytes(entry);
    if (entry->data || !source)
        return file_write(writer, entry->data, bytes);
    float buffer[AT_ONCE / sizeof(float)];
    Status s = CS336_OK;
    for (size_t first = 0; !s && first < bytes; first += AT_ONCE) {
        const size_t count = bytes - first < AT_ONCE ? bytes - first : AT_ONCE;
        s = source->next(source->context, buffer, count);
        if (!s)
            s = file_write(writer, buffer, count);
    }
    return s;
}

static Status write_all(FileWriter *writer, const SafetensorsEntry *entries, size_t count,
                        const SafetensorsText *metadata, size_t metadata_count, const SafetensorsSource *source)
{
    /* The header as text. */
    const char *path = writer->path;
    char *text = NULL;
    json_t *header = json_object();
    Status s = header ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for the header", path);
    if (!s)
        s = build_header(header, path, entries, count, metadata, metadata_count);
    if (!s)
        text = json_dumps(header, JSON_COMPACT);
    if (!s && !text)
        s = status_fail(CS336_ENOMEM, "%s: no memory for the header", path);
    /* Length and header, then the arrays. */
    if (!s)
        s = write_header(writer, text);
    for (size_t i = 0; !s && i < count; i++)
        s = write_array(writer, &entries[i], source);
    free(text); /* from json_dumps() */
    json_decref(header);
    return s;
}

Status safetensors_write_to(FileWriter *writer, const SafetensorsEntry *entries, size_t count,
                            const SafetensorsText *metadata, size_t metadata_count)
{
    return write_all(writer, entries, count, metadata, metadata_count, NULL);
}

Status safetensors_write(const char *path, const SafetensorsEntry *entries, size_t count,
                         const SafetensorsText *metadata, size_t metadata_count)
{
    return safetensors_write_from(path, entries, count, metadata, metadata_count, NULL);
}

Status safetensors_write_from(const char *path, const SafetensorsEntry *entries, size_t count,
                              const SafetensorsText *metadata, size_t metadata_count, const SafetensorsSource *source)
{
    FileWriter writer = {0};
    Status s = file_create(&writer, path);
    if (!s)
        s = write_all(&writer, entries, count, metadata, metadata_count, source);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

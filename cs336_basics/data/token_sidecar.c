#define _XOPEN_SOURCE 700 /* realpath() */
#include "data/token_sidecar.h"

#include "core/json.h"
#include "core/memory.h"
#include "core/plural.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char SUFFIX[] = ".json";

/* Returns the name of the sidecar of a file, whose path has no symbolic links, or NULL if there is no memory. */
static char *name_of(const char *file)
{
    const size_t size = strlen(file) + sizeof SUFFIX;
    char *name = memory_allocate(size);
    if (name)
        snprintf(name, size, "%s%s", file, SUFFIX);
    return name;
}

/* ---- reading ---- */

/* Reads a whole number from 1 (or 0) on; false for anything else. */
static bool read_size(size_t *size, const json_t *value, json_int_t least)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < least || (unsigned long long)number > SIZE_MAX)
        return false;
    *size = (size_t)number;
    return true;
}

/* Sets the fields from the object. `name` is the sidecar's path, for messages. */
static Status read_object(TokenSidecar *sidecar, const json_t *object, const char *name)
{
    const json_t *dtype = json_object_get(object, "dtype");
    const char *type = json_string_value(dtype);
    sidecar->found = dtype != NULL;
    if (!sidecar->found) /* not an object, or one of another kind */
        return CS336_OK;
    const bool is_uint16 = type && strcmp(type, "uint16") == 0, is_uint32 = type && strcmp(type, "uint32") == 0;
    sidecar->width = is_uint16 ? sizeof(uint16_t) : sizeof(uint32_t);
    if ((is_uint16 || is_uint32) && read_size(&sidecar->vocab_size, json_object_get(object, "vocab_size"), 1) &&
        sidecar->vocab_size <= INT32_MAX && read_size(&sidecar->tokens, json_object_get(object, "tokens"), 0))
        return CS336_OK;
    return status_fail(
        CS336_EFORMAT,
        "%s: expected {\"dtype\":\"uint16\" or \"uint32\",\"vocab_size\":N,\"tokens\":n}, N from 1 to %d; "
        "encode the text again, or delete this file",
        name, INT32_MAX);
}

static Status read_file(TokenSidecar *sidecar, const char *name)
{
    json_t *object;
    struct stat info;
    *sidecar = (TokenSidecar){0};
    if (stat(name, &info) != 0)
        return CS336_OK;
    Status s = json_read(&object, name);
    if (!s)
        s = read_object(sidecar, object, name);
    else if (s == CS336_EFORMAT)
        s = status_fail(s, "%s; it should describe token ids: encode the text again, or delete this file",
                        status_message());
    json_decref(object);
    return s;
}

Status token_sidecar_read(TokenSidecar *sidecar, const char *path, size_t bytes)
{
    char real[PATH_MAX];
    *sidecar = (TokenSidecar){0};
    if (!realpath(path, real)) /* such as the name of a deleted file in /proc */
        return CS336_OK;
    char *name = name_of(real);
    if (!name)
        return status_fail(CS336_ENOMEM, "token_file_open: no memory for the path %s", path);
    Status s = read_file(sidecar, name);
    if (!s && sidecar->found && memory_product(sidecar->tokens, sidecar->width) != bytes)
        s = status_fail(
            CS336_EFORMAT,
            "%s: %zu byte%s, but %s says %zu id%s of %zu byte%s: the two do not belong together; encode the "
            "text again, or delete the .json file",
            path, bytes, plural(bytes), name, sidecar->tokens, plural(sidecar->tokens), sidecar->width,
            plural(sidecar->width));
    memory_release(name);
    return s;
}

/* ---- writing ---- */

Status token_sidecar_create(FileWriter *writer, const FileWriter *ids)
{
    TokenSidecar old;
    struct stat info;
    *writer = (FileWriter){0};
    char *name = name_of(ids->target);
    if (!name)
        return status_fail(CS336_ENOMEM, "token_writer_create: no memory for the path %s", ids->path);
    /* Anything but a sidecar that could be replaced by mistake. A damaged one may be replaced. */
    Status s = CS336_OK;
    if (stat(name, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 && !read_file(&old, name) && !old.found)
        s = status_fail(CS336_EIO,
                        "%s: cannot write: it is another JSON file, and encode describes the ids of %s there; choose "
                        "another output",
                        name, ids->path);
    if (!s)
        s = file_create(writer, name);
    memory_release(name);
    return s;
}

Status token_sidecar_write(FileWriter *writer, size_t width, size_t vocab_size, size_t tokens)
{
    json_t *object = json_object();
    Status s = CS336_OK;
    if (json_object_set_new(object, "dtype", json_string(width == sizeof(uint16_t) ? "uint16" : "uint32")) ||
        json_object_set_new(object, "vocab_size", json_integer((json_int_t)vocab_size)) ||
        json_object_set_new(object, "tokens", json_integer((json_int_t)tokens)))
        s = status_fail(CS336_ENOMEM, "%s: no memory to describe the ids", writer->path);
    if (!s)
        s = json_write(writer, object, JSON_COMPACT);
    if (!s)
        s = file_write(writer, "\n", 1);
    json_decref(object);
    return s;
}

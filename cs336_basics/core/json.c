#include "core/json.h"

#include "core/memory.h"

static _Thread_local bool refused, parsing;

/*
 * jansson overlooks some of its own failed allocations. Its parser then reads on behind the end of a shortened token,
 * so while it parses it gets its memory all the same, and json_parse() fails when it has come out again.
 */
static void *allocate(size_t bytes)
{
    void *block = memory_allocate(bytes);
    if (block)
        return block;
    refused = true;
    return parsing ? memory_allocate_regardless(bytes) : NULL;
}

/* Before main(): a block must never be freed by another allocator than the one it came from. */
__attribute__((constructor)) static void use_core_memory(void)
{
    json_set_alloc_funcs(allocate, memory_release);
}

bool json_ran_out_of_memory(void)
{
    const bool answer = refused;
    refused = false;
    return answer;
}

Status json_parse(json_t **value, const char *text, size_t bytes, const char *path)
{
    json_error_t error;
    refused = false;
    parsing = true;
    *value = json_loadb(text ? text : "", bytes, JSON_REJECT_DUPLICATES, &error);
    parsing = false;
    if (json_ran_out_of_memory()) {
        json_decref(*value);
        *value = NULL;
        return status_fail(CS336_ENOMEM, "%s: no memory to parse %zu bytes of JSON", path, bytes);
    }
    if (!*value)
        return status_fail(CS336_EFORMAT, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    return CS336_OK;
}

Status json_read(json_t **value, const char *path)
{
    MappedFile file;
    *value = NULL;
    Status s = file_map(&file, path);
    if (!s)
        s = json_parse(value, (const char *)file.data, file.size, path);
    file_unmap(&file);
    return s;
}

typedef struct {
    FileWriter *writer;
    Status status;
} Sink;

static int write_piece(const char *text, size_t bytes, void *context)
{
    Sink *sink = context;
    /* jansson goes on after some failures: the first one counts. */
    if (!sink->status)
        sink->status = file_write(sink->writer, text, bytes);
    return sink->status ? -1 : 0;
}

Status json_write(FileWriter *writer, const json_t *value, size_t flags)
{
    Sink sink = {.writer = writer};
    refused = false;
    const int failed = json_dump_callback(value, write_piece, &sink, flags);
    if (sink.status)
        return sink.status;
    if (failed || json_ran_out_of_memory())
        return status_fail(CS336_ENOMEM, "%s: no memory to write JSON", writer->path);
    return CS336_OK;
}

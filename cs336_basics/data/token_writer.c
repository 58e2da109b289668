#include "data/token_writer.h"

#include "data/token_file.h"
#include "data/token_npy.h"
#include "data/token_sidecar.h"

#include <string.h>

static bool ends_in_npy(const char *path)
{
    static const char suffix[] = ".npy";
    const size_t length = strlen(path), suffix_length = sizeof suffix - 1;
    return length > suffix_length && strcmp(path + length - suffix_length, suffix) == 0;
}

/* Writes the .npy header for the ids so far: at the beginning with 0 ids, to take its place, and again at the end. */
static Status write_npy_header(TokenWriter *writer)
{
    uint8_t header[TOKEN_NPY_HEADER_BYTES];
    token_npy_header(header, writer->count, token_file_width(writer->vocab_size));
    return file_rewrite_start(&writer->ids, header, sizeof header);
}

Status token_writer_create(TokenWriter *writer, const char *path, size_t vocab_size)
{
    *writer = (TokenWriter){.npy = ends_in_npy(path), .vocab_size = vocab_size};
    Status s = file_create(&writer->ids, path);
    const bool replaced = !s && file_is_replaced(&writer->ids);
    if (!s && writer->npy && !replaced)
        s = status_fail(CS336_EIO,
                        "%s: cannot write .npy to a pipe or device: the header at its start has the number of ids, "
                        "which is known at the end; leave .npy out of the name for raw ids",
                        path);
    if (!s && writer->npy)
        s = write_npy_header(writer);
    else if (!s && replaced)
        s = token_sidecar_create(&writer->sidecar, &writer->ids);
    if (s)
        token_writer_abandon(writer);
    return s;
}

Status token_writer_append(TokenWriter *writer, const int32_t *ids, size_t count)
{
    writer->count += count;
    return token_file_write(&writer->ids, ids, count, writer->vocab_size);
}

Status token_writer_sink(void *writer, const int32_t *ids, size_t count)
{
    return token_writer_append(writer, ids, count);
}

Status token_writer_commit(TokenWriter *writer)
{
    const bool has_sidecar = writer->sidecar.stream != NULL;
    const size_t width = token_file_width(writer->vocab_size);
    Status s = writer->npy ? write_npy_header(writer) : CS336_OK;
    /* Both files are complete on the disk before the first of them gets its name. */
    if (!s && has_sidecar)
        s = token_sidecar_write(&writer->sidecar, width, writer->vocab_size, writer->count);
    if (!s && has_sidecar)
        s = file_flush(&writer->sidecar);
    if (!s && has_sidecar)
        s = file_flush(&writer->ids);
    if (!s && has_sidecar)
        s = file_remove_old(&writer->sidecar);
    if (!s)
        s = file_commit(&writer->ids);
    if (!s && has_sidecar)
        s = file_commit(&writer->sidecar);
    token_writer_abandon(writer);
    return s;
}

void token_writer_abandon(TokenWriter *writer)
{
    file_abandon(&writer->ids);
    file_abandon(&writer->sidecar);
    *writer = (TokenWriter){0};
}

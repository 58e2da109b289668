#include "data/token_file.h"

#include "core/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    NPY_MAGIC_BYTES = 6,
    NPY_HEADER_TEXT = 256, /* bytes of the header that are looked at; numpy's three entries take about 70 */
    WRITE_IDS = 1024       /* ids converted before each file_write(), at most 4 KiB on the stack */
};

static const char NPY_MAGIC[] = "\x93NUMPY";
static const char HOW_TO_MAKE[] = "cs336 encode --vocab FILE --merges FILE --input FILE --output FILE makes one";

size_t token_file_width(size_t vocab_size)
{
    return vocab_size > 65536 ? sizeof(uint32_t) : sizeof(uint16_t);
}

/* Returns an unsigned number whose least significant byte comes first. */
static uint32_t little_endian(const uint8_t *bytes, size_t width)
{
    uint32_t number = 0;
    for (size_t i = 0; i < width; i++)
        number |= (uint32_t)bytes[i] << (8 * i);
    return number;
}

/*
 * Returns the text after a key, its colon and spaces, or "" without the key. numpy writes the header as a Python
 * dictionary: "{'descr': '<u2', 'fortran_order': False, 'shape': (10,), }".
 */
static const char *npy_value(const char *header, const char *key)
{
    const char *found = strstr(header, key);
    if (!found)
        return "";
    found += strlen(key);
    found += strspn(found, " ");
    if (*found++ != ':')
        return "";
    return found + strspn(found, " ");
}

/* Sets width and count from the text of the header. */
static Status read_npy_header(TokenFile *tokens, const char *header)
{
    const char *dtype = npy_value(header, "'descr'"), *order = npy_value(header, "'fortran_order'");
    const char *shape = npy_value(header, "'shape'");
    /* The type of the ids. */
    if (strncmp(dtype, "'<u2'", 5) != 0 && strncmp(dtype, "'<u4'", 5) != 0)
        return status_fail(CS336_EFORMAT, "%s: .npy of dtype %.*s, expected '<u2' or '<u4'", tokens->path,
                           (int)strcspn(dtype, ","), dtype);
    tokens->width = dtype[3] == '2' ? sizeof(uint16_t) : sizeof(uint32_t);
    /* The shape: one dimension, as "(10,)". */
    const bool opens = *shape == '(';
    char *end = NULL;
    errno = 0;
    const unsigned long long count = strtoull(shape + opens, &end, 10);
    const bool one_dimension =
        opens && shape[1] >= '0' && shape[1] <= '9' && !errno && *end == ',' && end[1 + strspn(end + 1, " ")] == ')';
    if (!one_dimension || strncmp(order, "False", 5) != 0)
        return status_fail(CS336_EFORMAT,
                           "%s: .npy of shape %.*s, fortran_order %.*s, expected one dimension in C order",
                           tokens->path, (int)strcspn(shape, ")") + (strchr(shape, ')') != NULL), shape,
                           (int)strcspn(order, ","), order);
    tokens->count = (size_t)count;
    return CS336_OK;
}

/*
 * An .npy file is: the magic bytes, major and minor version (a byte each), the length of the header (2 bytes in version
 * 1, else 4), the header, the ids.
 */
static Status open_npy(TokenFile *tokens)
{
    const size_t size = tokens->file.size;
    const uint8_t *bytes = tokens->file.data;
    const size_t length_bytes = size > NPY_MAGIC_BYTES && bytes[NPY_MAGIC_BYTES] == 1 ? 2 : 4;
    const size_t header_start = NPY_MAGIC_BYTES + 2 + length_bytes;
    const size_t length = size < header_start ? 0 : little_endian(bytes + header_start - length_bytes, length_bytes);
    if (size < header_start || length > size - header_start)
        return status_fail(CS336_EFORMAT, "%s: %zu bytes, the .npy header is cut short", tokens->path, size);
    if (bytes[NPY_MAGIC_BYTES] < 1 || bytes[NPY_MAGIC_BYTES] > 3)
        return status_fail(CS336_EFORMAT, "%s: .npy of version %d, expected 1, 2 or 3", tokens->path,
                           bytes[NPY_MAGIC_BYTES]);
    /* Copy the header as text. Messages quote it, so bytes that are not printable become spaces. */
    char header[NPY_HEADER_TEXT] = {0};
    for (size_t i = 0; i < length && i < sizeof header - 1; i++) {
        const uint8_t byte = bytes[header_start + i];
        header[i] = byte >= ' ' && byte < 127 ? (char)byte : ' ';
    }
    const Status s = read_npy_header(tokens, header);
    if (s)
        return s;
    /* The ids are the rest of the file. */
    const size_t data_bytes = size - header_start - length;
    if (data_bytes != memory_product(tokens->count, tokens->width))
        return status_fail(CS336_EFORMAT, "%s: the .npy header says %zu ids of %zu bytes, but %zu bytes follow it",
                           tokens->path, tokens->count, tokens->width, data_bytes);
    tokens->data = bytes + header_start + length;
    return CS336_OK;
}

static Status open_raw(TokenFile *tokens)
{
    tokens->width = token_file_width(tokens->vocab_size);
    tokens->count = tokens->file.size / tokens->width;
    tokens->data = tokens->file.data;
    if (tokens->file.size % tokens->width != 0)
        return status_fail(CS336_EFORMAT,
                           "%s: %zu bytes, expected a multiple of %zu: ids are uint%zu for a vocabulary of %zu",
                           tokens->path, tokens->file.size, tokens->width, 8 * tokens->width, tokens->vocab_size);
    return CS336_OK;
}

Status token_file_open(TokenFile *tokens, const char *path, size_t vocab_size)
{
    *tokens = (TokenFile){.vocab_size = vocab_size};
    tokens->path = memory_copy_text(path);
    if (!tokens->path)
        return status_fail(CS336_ENOMEM, "token_file_open: no memory for the path %s", path);
    Status s = file_map(&tokens->file, path);
    if (s)
        s = status_fail(s, "%s; %s", status_message(), HOW_TO_MAKE);
    else if (tokens->file.size >= NPY_MAGIC_BYTES && memcmp(tokens->file.data, NPY_MAGIC, NPY_MAGIC_BYTES) == 0)
        s = open_npy(tokens);
    else
        s = open_raw(tokens);
    if (!s && tokens->count == 0)
        s = status_fail(CS336_EFORMAT, "%s: no token ids; %s", path, HOW_TO_MAKE);
    if (s)
        token_file_close(tokens);
    return s;
}

TokenFile token_file_view(const int32_t *ids, size_t count, size_t vocab_size)
{
    return (TokenFile){.data = (const uint8_t *)ids, .count = count, .width = sizeof *ids, .vocab_size = vocab_size};
}

void token_file_close(TokenFile *tokens)
{
    file_unmap(&tokens->file);
    memory_release(tokens->path);
    *tokens = (TokenFile){0};
}

static const char *message_name(const TokenFile *tokens)
{
    return tokens->path ? tokens->path : "token ids";
}

/* A negative id of an array in memory is read as a number of 2^31 or more. */
static bool is_id(uint32_t number, size_t vocab_size)
{
    return number < vocab_size && number <= INT32_MAX;
}

Status token_ids_from_bytes(int32_t *ids, const uint8_t *bytes, size_t count, size_t width, size_t vocab_size,
                            const char *name, size_t position)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = little_endian(bytes + i * width, width);
        if (!is_id(id, vocab_size))
            return status_fail(CS336_ERANGE, "%s: id %lu at position %zu, expected below the vocabulary size %zu", name,
                               (unsigned long)id, position + i, vocab_size);
        ids[i] = (int32_t)id;
    }
    return CS336_OK;
}

Status token_file_read(int32_t *ids, const TokenFile *tokens, size_t start, size_t count)
{
    if (start > tokens->count || count > tokens->count - start)
        return status_fail(CS336_ERANGE, "%s: cannot read %zu ids from position %zu on, there are %zu ids",
                           message_name(tokens), count, start, tokens->count);
    return token_ids_from_bytes(ids, tokens->data + start * tokens->width, count, tokens->width, tokens->vocab_size,
                                message_name(tokens), start);
}

Status token_file_check_context(const TokenFile *tokens, size_t context_length)
{
    if (tokens->count > context_length)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %zu token ids, expected more than the context length %zu",
                       message_name(tokens), tokens->count, context_length);
}

Status token_file_write(FileWriter *writer, const int32_t *ids, size_t count, size_t vocab_size)
{
    const size_t width = token_file_width(vocab_size);
    uint8_t bytes[WRITE_IDS * sizeof(uint32_t)];
    Status s = CS336_OK;
    for (size_t start = 0; !s && start < count; start += WRITE_IDS) {
        const size_t n = count - start < WRITE_IDS ? count - start : WRITE_IDS;
        for (size_t i = 0; i < n; i++) {
            const uint32_t id = (uint32_t)ids[start + i];
            if (!is_id(id, vocab_size))
                return status_fail(CS336_ERANGE, "%s: cannot write id %ld, expected below the vocabulary size %zu",
                                   writer->path, (long)ids[start + i], vocab_size);
            for (size_t b = 0; b < width; b++)
                bytes[i * width + b] = (uint8_t)(id >> (8 * b));
        }
        s = file_write(writer, bytes, n * width);
    }
    return s;
}

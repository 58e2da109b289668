#include "data/token_npy.h"

#include "core/memory.h"
#include "core/plural.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION_BYTES = 2,
    LONGEST_START = TOKEN_NPY_MAGIC_BYTES + VERSION_BYTES + 4, /* bytes before the header's text */
    HEADER_TEXT = 256 /* bytes of the header that are looked at; numpy's three entries take about 70 */
};

static const char MAGIC[] = "\x93NUMPY";

bool token_npy_begins(const uint8_t *bytes, size_t length)
{
    return length >= TOKEN_NPY_MAGIC_BYTES && memcmp(bytes, MAGIC, TOKEN_NPY_MAGIC_BYTES) == 0;
}

/* ---- reading ---- */

/* Returns the text after a key, its colon and spaces, or "" without the key. */
static const char *value_of(const char *header, const char *key)
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
static Status read_text(TokenNpy *npy, const char *header, const char *path)
{
    const char *dtype = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    /* The type of the ids. */
    const bool known =
        strncmp(dtype, "'<u2'", 5) == 0 || strncmp(dtype, "'<u4'", 5) == 0 || strncmp(dtype, "'<i4'", 5) == 0;
    if (!known)
        return status_fail(CS336_EFORMAT,
                           "%s: .npy of dtype %.*s, expected '<u2', '<u4' or '<i4', as ids.astype(numpy.uint16) gives",
                           path, (int)strcspn(dtype, ","), dtype);
    npy->width = dtype[3] == '2' ? sizeof(uint16_t) : sizeof(uint32_t);
    /* The shape: one dimension, as "(10,)". */
    const bool opens = *shape == '(';
    char *end = NULL;
    errno = 0;
    const unsigned long long count = strtoull(shape + opens, &end, 10);
    const bool one_dimension =
        opens && shape[1] >= '0' && shape[1] <= '9' && !errno && *end == ',' && end[1 + strspn(end + 1, " ")] == ')';
    if (!one_dimension || strncmp(order, "False", 5) != 0)
        return status_fail(
            CS336_EFORMAT, "%s: .npy of shape %.*s, fortran_order %.*s, expected one dimension in C order", path,
            (int)strcspn(shape, ")") + (strchr(shape, ')') != NULL), shape, (int)strcspn(order, ","), order);
    npy->count = (size_t)count;
    return CS336_OK;
}

/* Reads the header's text of `length` bytes. Messages quote it, so bytes that are not printable become spaces. */
static Status read_header(TokenNpy *npy, const FileReader *file, size_t start, size_t length)
{
    char header[HEADER_TEXT] = {0};
    const size_t looked_at = length < sizeof header - 1 ? length : sizeof header - 1;
    const Status s = file_read_at(file, header, looked_at, start);
    if (s)
        return s;
    for (size_t i = 0; i < looked_at; i++)
        if (header[i] < ' ' || header[i] > '~')
            header[i] = ' ';
    return read_text(npy, header, file->path);
}

Status token_npy_read(TokenNpy *npy, const FileReader *file)
{
    uint8_t start[LONGEST_START] = {0};
    const size_t size = file->size, start_bytes = size < sizeof start ? size : sizeof start;
    Status s = file_read_at(file, start, start_bytes, 0);
    if (s)
        return s;
    /* The length of the header. */
    const uint8_t version = start[TOKEN_NPY_MAGIC_BYTES], *bytes = start + TOKEN_NPY_MAGIC_BYTES + VERSION_BYTES;
    const size_t length_bytes = version == 1 ? 2 : 4, begin = TOKEN_NPY_MAGIC_BYTES + VERSION_BYTES + length_bytes;
    size_t length = 0;
    for (size_t i = 0; i < length_bytes; i++)
        length |= (size_t)bytes[i] << (8 * i);
    if (size < begin || length > size - begin)
        return status_fail(CS336_EFORMAT, "%s: %zu byte%s, the .npy header is cut short", file->path, size,
                           plural(size));
    if (version < 1 || version > 3)
        return status_fail(CS336_EFORMAT, "%s: .npy of version %d, expected 1, 2 or 3", file->path, version);
    s = read_header(npy, file, begin, length);
    if (s)
        return s;
    /* The ids are the rest of the file. */
    npy->offset = begin + length;
    if (size - npy->offset != memory_product(npy->count, npy->width))
        return status_fail(CS336_EFORMAT, "%s: the .npy header says %zu id%s of %zu byte%s, but %zu byte%s follow it",
                           file->path, npy->count, plural(npy->count), npy->width, plural(npy->width),
                           size - npy->offset, plural(size - npy->offset));
    return CS336_OK;
}

/* ---- writing ---- */

void token_npy_header(uint8_t header[TOKEN_NPY_HEADER_BYTES], size_t count, size_t width)
{
    enum { BEGIN = TOKEN_NPY_MAGIC_BYTES + VERSION_BYTES + 2, TEXT = TOKEN_NPY_HEADER_BYTES - BEGIN };
    char text[TEXT];
    /* At most 79 bytes; NumPy fills up to a multiple of 64, so that the ids are aligned when the file is mapped. */
    const int length =
        snprintf(text, sizeof text, "{'descr': '<u%zu', 'fortran_order': False, 'shape': (%zu,), }", width, count);
    memcpy(header, MAGIC, TOKEN_NPY_MAGIC_BYTES);
    header[TOKEN_NPY_MAGIC_BYTES] = 1; /* version 1.0 */
    header[TOKEN_NPY_MAGIC_BYTES + 1] = 0;
    header[BEGIN - 2] = TEXT;
    header[BEGIN - 1] = 0;
    memset(header + BEGIN, ' ', TEXT - 1);
    memcpy(header + BEGIN, text, (size_t)length);
    header[TOKEN_NPY_HEADER_BYTES - 1] = '\n';
}

#define _POSIX_C_SOURCE 200809L
#include "core/input_stream.h"

#include "core/memory.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16 /* read of a compressed file at a time: 64 KiB, which stay in the L2 cache */ };

/* ---- bytes ---- */

Status input_open(InputStream *input, const char *path)
{
    const bool standard_input = strcmp(path, "-") == 0;
    *input = (InputStream){.path = standard_input ? TEXT_STANDARD_INPUT : path,
                           .stream = standard_input ? stdin : fopen(path, "rb")};
    if (!input->stream)
        return status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    /* The size is for the progress line. Pipes and devices have none. */
    struct stat info;
    if (!standard_input && fstat(fileno(input->stream), &info) == 0 && S_ISREG(info.st_mode))
        input->size = (size_t)info.st_size;
    return CS336_OK;
}

static const atomic_int *_Atomic stop_flag; /* NULL: none */

void input_stop_on(const atomic_int *stop)
{
    atomic_store(&stop_flag, stop);
}

/* Waits until there are bytes, or the end of the file. Without a flag, read() waits itself. */
static Status wait_for_bytes(int descriptor)
{
    const atomic_int *stop = atomic_load(&stop_flag);
    struct pollfd in = {.fd = descriptor, .events = POLLIN};
    while (stop) {
        if (atomic_load(stop))
            return status_fail(CS336_EINTERRUPTED, "interrupted");
        /* A descriptor that cannot be polled is ready, too: read() says what is wrong. */
        if (poll(&in, 1, INPUT_PATIENCE) > 0)
            break;
    }
    return CS336_OK;
}

/* Reads bytes of the file as they are, `capacity` of them unless the file ends before. */
static Status read_file(InputStream *input, uint8_t *buffer, size_t capacity, size_t *bytes)
{
    const int descriptor = fileno(input->stream);
    for (*bytes = 0; *bytes < capacity;) {
        const Status s = wait_for_bytes(descriptor);
        if (s)
            return s;
        const ssize_t got = read(descriptor, buffer + *bytes, capacity - *bytes);
        if (got < 0 && errno == EINTR)
            return status_fail(CS336_EINTERRUPTED, "interrupted");
        if (got < 0)
            return status_fail(CS336_EIO, "%s: cannot read: %s", input->path, strerror(errno));
        if (got == 0)
            break;
        *bytes += (size_t)got;
        input->taken += (size_t)got;
    }
    return CS336_OK;
}

void input_close(InputStream *input)
{
    if (input->stream && input->stream != stdin)
        fclose(input->stream);
    input->stream = NULL;
    decompressor_destroy(input->decompressor);
    input->decompressor = NULL;
    memory_release(input->buffer);
    input->buffer = NULL;
}

/* ---- text ---- */

/* Reads the next bytes of the file into the buffer. */
static Status fill(InputStream *input, size_t capacity)
{
    size_t length;
    const Status s = read_file(input, input->buffer, capacity, &length);
    input->unread = (CompressedBytes){.next = input->buffer, .left = length, .ended = length < capacity};
    return s;
}

Status input_open_text(InputStream *input, const char *path)
{
    Status s = input_open(input, path);
    if (s)
        return s;
    input->buffer = memory_allocate(BUFFER_BYTES);
    if (!input->buffer)
        s = status_fail(CS336_ENOMEM, "%s: no memory for %d bytes", input->path, BUFFER_BYTES);
    if (!s)
        s = fill(input, TEXT_FORM_BYTES);
    if (!s && input->unread.left == 0)
        s = text_form_check_empty(input->path);
    if (!s)
        input->form = text_form(input->buffer, input->unread.left);
    if (!s && input->form == TEXT_FOREIGN)
        s = text_form_refuse(input->buffer, input->unread.left, input->path);
    else if (!s && input->form != TEXT_PLAIN)
        s = decompressor_create(&input->decompressor, input->form, input->path);
    if (s)
        input_close(input);
    return s;
}

/* Passes on what is left of the first bytes, then reads the file. */
static Status read_plain(InputStream *input, void *buffer, size_t capacity, size_t *bytes)
{
    CompressedBytes *unread = &input->unread;
    if (unread->left == 0)
        return read_file(input, buffer, capacity, bytes);
    *bytes = unread->left < capacity ? unread->left : capacity;
    memcpy(buffer, unread->next, *bytes);
    unread->next += *bytes;
    unread->left -= *bytes;
    return CS336_OK;
}

static Status read_compressed(InputStream *input, void *buffer, size_t capacity, size_t *bytes)
{
    CompressedBytes *unread = &input->unread;
    Status s = CS336_OK;
    *bytes = 0;
    do {
        if (unread->left == 0 && !unread->ended)
            s = fill(input, BUFFER_BYTES);
        if (!s)
            s = decompressor_run(input->decompressor, unread, buffer, capacity, bytes);
    } while (!s && *bytes == 0 && !unread->ended);
    /* A compressed tar archive, or a text that was compressed twice. */
    if (!s && input->bytes == 0 && text_form(buffer, *bytes) != TEXT_PLAIN)
        s = status_fail(CS336_EFORMAT, "%s: is compressed, and what is in it is no text either: unpack it first",
                        input->path);
    return s;
}

Status input_read(InputStream *input, void *buffer, size_t capacity, size_t *bytes)
{
    const Status s = input->decompressor ? read_compressed(input, buffer, capacity, bytes)
                                         : read_plain(input, buffer, capacity, bytes);
    input->bytes += *bytes;
    return s;
}

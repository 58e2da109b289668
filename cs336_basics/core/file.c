#define _XOPEN_SOURCE 700 /* realpath() */
#include "core/file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_size_t fail_countdown;

void file_fail_at(size_t n)
{
    atomic_store(&fail_countdown, n);
}

static Status cannot(const char *what, const char *path, int reason)
{
    return status_fail(CS336_EIO, "%s: cannot %s: %s", path, what, strerror(reason));
}

static char *temporary_beside(const char *path)
{
    static const char suffix[] = ".XXXXXX";
    const size_t n = strlen(path);
    char *text = memory_allocate(n + sizeof suffix);
    if (text) {
        memcpy(text, path, n);
        memcpy(text + n, suffix, sizeof suffix);
    }
    return text;
}

/* Names the file that a rename shall replace, and the temporary one beside it. */
static Status name_target(FileWriter *writer, const char *path, bool exists)
{
    char resolved[PATH_MAX];
    if (exists && !realpath(path, resolved))
        return cannot("write", path, errno);
    const char *target = exists ? resolved : path;
    writer->target = memory_copy_text(target);
    writer->temporary = writer->target ? temporary_beside(target) : NULL;
    if (writer->temporary)
        return CS336_OK;
    return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
}

/* mkstemp() makes a file that only its owner reads; give it the permissions that any other new file would have. */
static FILE *open_temporary(char *template)
{
    const int descriptor = mkstemp(template);
    if (descriptor < 0)
        return NULL;
    const mode_t mask = umask(0);
    umask(mask);
    FILE *stream = fchmod(descriptor, 0666 & ~mask) == 0 ? fdopen(descriptor, "wb") : NULL;
    if (!stream) {
        const int reason = errno;
        close(descriptor);
        unlink(template);
        errno = reason;
    }
    return stream;
}

Status file_create(FileWriter *writer, const char *path)
{
    const bool standard_output = strcmp(path, "-") == 0;
    struct stat about;
    const bool exists = !standard_output && stat(path, &about) == 0;
    *writer = (FileWriter){0};
    if (exists && S_ISDIR(about.st_mode))
        return cannot("write", path, EISDIR);
    writer->path = memory_copy_text(standard_output ? "standard output" : path);
    if (!writer->path)
        return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
    /* A pipe or device is a place to write to; renaming over it would replace it by a file. */
    if (standard_output || (exists && !S_ISREG(about.st_mode))) {
        writer->stream = standard_output ? stdout : fopen(path, "wb");
    } else {
        const Status s = name_target(writer, path, exists);
        if (s) {
            file_abandon(writer);
            return s;
        }
        writer->stream = open_temporary(writer->temporary);
    }
    if (writer->stream)
        return CS336_OK;
    const Status s = cannot("write", path, errno);
    memory_release(writer->temporary);
    writer->temporary = NULL;
    file_abandon(writer);
    return s;
}

Status file_write(FileWriter *writer, const void *data, size_t bytes)
{
    size_t n = atomic_load(&fail_countdown);
    while (n && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
    }
    if (n == 1)
        errno = ENOSPC;
    if (n == 1 || fwrite(data, 1, bytes, writer->stream) != bytes)
        return cannot("write", writer->path, errno);
    return CS336_OK;
}

Status file_flush(FileWriter *writer)
{
    if (ferror(writer->stream)) /* an fprintf() of the caller failed, its errno is gone */
        return status_fail(CS336_EIO, "%s: cannot write: the disk is full or the stream broke", writer->path);
    if (fflush(writer->stream) != 0 || (writer->temporary && fsync(fileno(writer->stream)) != 0))
        return cannot("write", writer->path, errno);
    return CS336_OK;
}

Status file_commit(FileWriter *writer)
{
    Status s = file_flush(writer);
    FILE *stream = writer->stream;
    writer->stream = NULL;
    if (stream != stdout && fclose(stream) != 0 && !s)
        s = cannot("write", writer->path, errno);
    if (writer->temporary && !s) {
        if (rename(writer->temporary, writer->target) != 0) {
            s = cannot("write", writer->path, errno);
        } else {
            memory_release(writer->temporary);
            writer->temporary = NULL;
        }
    }
    file_abandon(writer);
    return s;
}

void file_abandon(FileWriter *writer)
{
    if (writer->stream && writer->stream != stdout)
        fclose(writer->stream);
    if (writer->temporary)
        unlink(writer->temporary);
    memory_release(writer->temporary);
    memory_release(writer->target);
    memory_release(writer->path);
    *writer = (FileWriter){0};
}

/* `verb` is what a file that is not regular cannot be asked for. */
static Status open_regular(FileReader *reader, const char *path, const char *verb)
{
    *reader = (FileReader){.descriptor = open(path, O_RDONLY | O_NONBLOCK), .path = path}; /* a pipe would wait */
    if (reader->descriptor < 0)
        return cannot("read", path, errno);
    struct stat about;
    Status s = CS336_OK;
    if (fstat(reader->descriptor, &about) != 0)
        s = cannot("read", path, errno);
    else if (S_ISDIR(about.st_mode))
        s = cannot("read", path, EISDIR);
    else if (!S_ISREG(about.st_mode))
        s = status_fail(CS336_EIO, "%s: cannot %s: not a regular file", path, verb);
    else
        reader->size = (size_t)about.st_size;
    if (s)
        close(reader->descriptor);
    return s;
}

Status file_map(MappedFile *file, const char *path)
{
    FileReader reader;
    *file = (MappedFile){0};
    Status s = open_regular(&reader, path, "map");
    if (s)
        return s;
    if (reader.size > 0) {
        void *data = mmap(NULL, reader.size, PROT_READ, MAP_PRIVATE, reader.descriptor, 0);
        if (data == MAP_FAILED)
            s = cannot("map", path, errno);
        else
            *file = (MappedFile){.data = data, .size = reader.size};
    }
    close(reader.descriptor);
    return s;
}

void file_unmap(MappedFile *file)
{
    if (file->data)
        munmap((void *)(uintptr_t)file->data, file->size);
    *file = (MappedFile){0};
}

Status file_open(FileReader *reader, const char *path)
{
    return open_regular(reader, path, "read in pieces");
}

Status file_read_at(const FileReader *reader, void *to, size_t bytes, size_t at)
{
    for (size_t have = 0; have < bytes;) {
        const ssize_t got = pread(reader->descriptor, (uint8_t *)to + have, bytes - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot("read", reader->path, errno);
        if (got == 0)
            return status_fail(CS336_EIO, "%s: cannot read: it ends before byte %zu", reader->path, at + bytes);
        have += (size_t)got;
    }
    return CS336_OK;
}

void file_close(FileReader *reader)
{
    close(reader->descriptor);
}

/* 0, or the reason why there is no directory of that name. */
static int make_one_directory(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return 0;
    const int reason = errno;
    struct stat about;
    if (stat(path, &about) != 0)
        return reason;
    return S_ISDIR(about.st_mode) ? 0 : ENOTDIR;
}

Status file_make_directory(const char *path)
{
    if (!*path)
        return status_fail(CS336_EIO, "file_make_directory: the path is empty");
    char *text = memory_copy_text(path);
    if (!text)
        return status_fail(CS336_ENOMEM, "file_make_directory: no memory for the path %s", path);
    int reason = 0;
    for (char *end = text + 1; !reason; end++) {
        const char after = *end;
        if (after != '/' && after != '\0')
            continue;
        *end = '\0';
        reason = make_one_directory(text);
        if (reason || after == '\0')
            break;
        *end = after;
    }
    const Status s = reason ? cannot("make directory", text, reason) : CS336_OK;
    memory_release(text);
    return s;
}

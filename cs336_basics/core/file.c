#define _POSIX_C_SOURCE 200809L
#include "core/file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
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

static char *concatenate(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    char *text = memory_allocate(n + m + 1);
    if (text) {
        memcpy(text, a, n);
        memcpy(text + n, b, m + 1);
    }
    return text;
}

Status file_create(FileWriter *writer, const char *path)
{
    *writer = (FileWriter){0};
    writer->path = concatenate(path, "");
    if (!writer->path)
        return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
    if (strcmp(path, "-") == 0) {
        writer->stream = stdout;
        return CS336_OK;
    }
    writer->temporary = concatenate(path, ".XXXXXX");
    if (!writer->temporary) {
        file_abandon(writer);
        return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
    }
    const int descriptor = mkstemp(writer->temporary);
    const mode_t mask = umask(0);
    umask(mask);
    if (descriptor >= 0 && fchmod(descriptor, 0666 & ~mask) == 0)
        writer->stream = fdopen(descriptor, "wb");
    if (writer->stream)
        return CS336_OK;
    const int reason = errno;
    if (descriptor >= 0) {
        close(descriptor);
    } else {
        memory_release(writer->temporary);
        writer->temporary = NULL;
    }
    file_abandon(writer);
    return status_fail(CS336_EIO, "%s: cannot write: %s", path, strerror(reason));
}

Status file_write(FileWriter *writer, const void *data, size_t bytes)
{
    size_t n = atomic_load(&fail_countdown);
    while (n && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
    }
    if (n == 1)
        errno = ENOSPC;
    if (n == 1 || fwrite(data, 1, bytes, writer->stream) != bytes)
        return status_fail(CS336_EIO, "%s: cannot write: %s", writer->path, strerror(errno));
    return CS336_OK;
}

Status file_commit(FileWriter *writer)
{
    int failed = fflush(writer->stream) != 0;
    if (writer->temporary) {
        failed = failed || fsync(fileno(writer->stream)) != 0;
        failed = fclose(writer->stream) != 0 || failed;
        writer->stream = NULL;
        failed = failed || rename(writer->temporary, writer->path) != 0;
    }
    Status s = CS336_OK;
    if (failed) {
        s = status_fail(CS336_EIO, "%s: cannot write: %s", writer->path, strerror(errno));
    } else {
        memory_release(writer->temporary);
        writer->temporary = NULL;
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
    memory_release(writer->path);
    *writer = (FileWriter){0};
}

Status file_map(MappedFile *file, const char *path)
{
    *file = (MappedFile){0};
    const int descriptor = open(path, O_RDONLY);
    if (descriptor < 0)
        return status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    struct stat about;
    Status s = CS336_OK;
    if (fstat(descriptor, &about) != 0)
        s = status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        s = status_fail(CS336_EIO, "%s: cannot map: not a regular file", path);
    else if (about.st_size > 0) {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED)
            s = status_fail(CS336_EIO, "%s: cannot map: %s", path, strerror(errno));
        else
            *file = (MappedFile){.data = data, .size = (size_t)about.st_size};
    }
    close(descriptor);
    return s;
}

void file_unmap(MappedFile *file)
{
    if (file->data)
        munmap((void *)(uintptr_t)file->data, file->size);
    *file = (MappedFile){0};
}

Status file_make_directory(const char *path)
{
    char *text = concatenate(path, "");
    if (!text)
        return status_fail(CS336_ENOMEM, "file_make_directory: no memory for the path %s", path);
    Status s = CS336_OK;
    for (char *p = text + 1; !s; p++) {
        const char end = *p;
        if (end != '/' && end != '\0')
            continue;
        *p = '\0';
        struct stat about;
        if (mkdir(text, 0777) != 0 && (errno != EEXIST || stat(text, &about) != 0 || !S_ISDIR(about.st_mode)))
            s = status_fail(CS336_EIO, "%s: cannot make directory: %s", text,
                            errno == EEXIST ? "a file of that name is there" : strerror(errno));
        *p = end;
        if (end == '\0')
            break;
    }
    memory_release(text);
    return s;
}

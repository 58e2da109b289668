#define _XOPEN_SOURCE 700 /* realpath() */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE /* flock() */
#endif
#include "core/file.h"

#include "core/directory.h"
#include "core/memory.h"
#include "core/plural.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_size_t fail_countdown; /* file_write() calls until the one that fails; 0: none fails */

size_t file_fail_at(size_t n)
{
    return atomic_exchange(&fail_countdown, n);
}

/* Reports "PATH: cannot VERB: REASON"; `reason` is a value of errno. */
static Status cannot(const char *verb, const char *path, int reason)
{
    return status_fail(CS336_EIO, "%s: cannot %s: %s", path, verb, strerror(reason));
}

/* ---- temporary files ---- */

/* Returns PATH.cs336-tmp-XXXXXX, the template for mkstemp(), or NULL if there is no memory. */
static char *temporary_template(const char *path)
{
    const size_t size = strlen(path) + strlen(DIRECTORY_TEMPORARY) + DIRECTORY_TEMPORARY_LETTERS + 1;
    char *text = memory_allocate(size);
    if (text)
        snprintf(text, size, "%s%sXXXXXX", path, DIRECTORY_TEMPORARY);
    return text;
}

/*
 * Finds the name of a file that does not exist yet: the path itself, or the end of a chain of symbolic links that point
 * to no file. A link's text is relative to the directory of the link. Returns 0, or a value of errno.
 */
static int follow_dangling_links(char target[PATH_MAX], const char *path)
{
    enum { MAX_LINKS = 40 }; /* as Linux allows */
    char link[PATH_MAX], directory[DIRECTORY_PATH_BYTES];
    if (strlen(path) >= PATH_MAX)
        return ENAMETOOLONG;
    memcpy(target, path, strlen(path) + 1);
    for (int i = 0; i < MAX_LINKS; i++) {
        const ssize_t length = readlink(target, link, sizeof link - 1);
        if (length < 0) /* not a link, or nothing at all: this is the name */
            return 0;
        link[length] = '\0';
        directory_split(directory, target);
        const bool absolute = *link == '/';
        const int written = snprintf(target, PATH_MAX, "%s%s%s", absolute ? "" : directory, absolute ? "" : "/", link);
        if (written >= PATH_MAX)
            return ENAMETOOLONG;
    }
    return ELOOP;
}

/* Sets writer->target and writer->temporary. Both ways below follow symbolic links, so that the links stay. */
static Status name_target(FileWriter *writer, const char *path, bool exists)
{
    char target[PATH_MAX];
    int reason = 0;
    if (!exists)
        reason = follow_dangling_links(target, path);
    else if (!realpath(path, target))
        reason = errno;
    if (reason)
        return cannot("write", path, reason);
    writer->target = memory_copy_text(target);
    writer->temporary = writer->target ? temporary_template(target) : NULL;
    if (writer->temporary)
        return CS336_OK;
    return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
}

/*
 * Creates a file from mkstemp()'s template, locks it and returns its descriptor, or -1. Between creation and lock
 * another process may take the file for a leftover and remove it. Then the file has no name any more (0 links), and the
 * loop tries again. If the file system has no locks, flock() fails, but then no other process removes leftovers either.
 */
static int make_locked_file(char *template)
{
    char *letters = template + strlen(template) - DIRECTORY_TEMPORARY_LETTERS;
    for (;;) {
        memset(letters, 'X', DIRECTORY_TEMPORARY_LETTERS);
        struct stat info;
        const int descriptor = mkstemp(template);
        if (descriptor < 0)
            return -1;
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        if (flock(descriptor, LOCK_EX) != 0 || fstat(descriptor, &info) != 0 || info.st_nlink > 0)
            return descriptor;
        close(descriptor);
    }
}

/* Opens the temporary file with the permissions that the target has, or that a new file would get. */
static FILE *open_temporary(FileWriter *writer)
{
    /* Remove what killed writers of the same target left behind. */
    char directory[DIRECTORY_PATH_BYTES];
    const char *name = directory_split(directory, writer->target);
    directory_remove_leftovers(directory, name);
    const int descriptor = make_locked_file(writer->temporary);
    if (descriptor < 0)
        return NULL;
    /* mkstemp() lets only the owner read and write. The umask can be read only by setting it. */
    struct stat info;
    const mode_t mask = umask(0);
    umask(mask);
    const mode_t mode = stat(writer->target, &info) == 0 ? info.st_mode & 0777 : 0666 & ~mask;
    FILE *stream = fchmod(descriptor, mode) == 0 ? fdopen(descriptor, "wb") : NULL;
    if (!stream) {
        const int reason = errno;
        close(descriptor);
        unlink(writer->temporary);
        errno = reason;
    }
    return stream;
}

bool file_is_standard_output(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0;
}

Status file_create(FileWriter *writer, const char *path)
{
    const bool standard_output = file_is_standard_output(path);
    struct stat info;
    const bool exists = !standard_output && stat(path, &info) == 0;
    *writer = (FileWriter){0};
    /* Refuse what must not be replaced, and paths that lead nowhere, such as links in a circle. */
    if (!standard_output && !exists && errno != ENOENT)
        return cannot("write", path, errno);
    if (exists && S_ISDIR(info.st_mode))
        return cannot("write", path, EISDIR);
    if (exists && S_ISREG(info.st_mode) && access(path, W_OK) != 0)
        return cannot("write", path, errno);
    writer->path = memory_copy_text(standard_output ? "standard output" : path);
    if (!writer->path)
        return status_fail(CS336_ENOMEM, "file_create: no memory for the path %s", path);
    /* Pipes and devices are opened directly: renaming over one would replace it by a file. */
    if (standard_output || (exists && !S_ISREG(info.st_mode))) {
        writer->stream = standard_output ? stdout : fopen(path, "wb");
    } else {
        const Status s = name_target(writer, path, exists);
        if (s) {
            file_abandon(writer);
            return s;
        }
        writer->stream = open_temporary(writer);
    }
    if (writer->stream)
        return CS336_OK;
    /* Not opened: there is no temporary file that file_abandon() could remove. */
    const Status s = cannot("write", path, errno);
    memory_release(writer->temporary);
    writer->temporary = NULL;
    file_abandon(writer);
    return s;
}

bool file_is_replaced(const FileWriter *writer)
{
    return writer->temporary != NULL;
}

Status file_write(FileWriter *writer, const void *data, size_t bytes)
{
    /* Count file_fail_at() down; the call that takes it from 1 to 0 fails. */
    size_t n = atomic_load(&fail_countdown);
    while (n && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
    }
    if (n == 1)
        errno = ENOSPC;
    if (n == 1 || (bytes > 0 && fwrite(data, 1, bytes, writer->stream) != bytes)) /* data may be NULL if bytes is 0 */
        return cannot("write", writer->path, errno);
    return CS336_OK;
}

Status file_rewrite_start(FileWriter *writer, const void *data, size_t bytes)
{
    if (fseek(writer->stream, 0, SEEK_SET) != 0)
        return cannot("write", writer->path, errno);
    const Status s = file_write(writer, data, bytes);
    if (!s && fseek(writer->stream, 0, SEEK_END) != 0)
        return cannot("write", writer->path, errno);
    return s;
}

Status file_flush(FileWriter *writer)
{
    if (ferror(writer->stream)) /* an earlier fprintf() of the caller failed, and its errno is lost */
        return status_fail(CS336_EIO, "%s: cannot write: an earlier write failed; the disk may be full", writer->path);
    if (fflush(writer->stream) != 0)
        return cannot("write", writer->path, errno);
    /* EINVAL and ENOSYS mean that this file system has no sync. */
    if (writer->temporary && fsync(fileno(writer->stream)) != 0 && errno != EINVAL && errno != ENOSYS)
        return cannot("write", writer->path, errno);
    return CS336_OK;
}

/*
 * Renames the temporary file over the target and syncs the directory. The stream must still be open: its lock ends when
 * it is closed, and another process may remove a temporary file without a lock.
 */
static Status rename_over_target(FileWriter *writer)
{
    if (rename(writer->temporary, writer->target) != 0)
        return cannot("write", writer->path, errno);
    memory_release(writer->temporary);
    writer->temporary = NULL;
    char directory[DIRECTORY_PATH_BYTES];
    directory_split(directory, writer->target);
    return directory_sync(directory);
}

Status file_commit(FileWriter *writer)
{
    Status s = file_flush(writer);
    if (writer->temporary && !s)
        s = rename_over_target(writer);
    FILE *stream = writer->stream;
    writer->stream = NULL;
    if (stream != stdout && fclose(stream) != 0 && !s)
        s = cannot("write", writer->path, errno);
    file_abandon(writer);
    return s;
}

Status file_remove_old(FileWriter *writer)
{
    return writer->temporary ? file_remove(writer->target) : CS336_OK;
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

Status file_remove(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return CS336_OK;
    return cannot("remove", path, errno);
}

static Status copy_file(const char *path, const char *second_path)
{
    enum { AT_ONCE = 1 << 16 }; /* bytes, on the stack */
    uint8_t bytes[AT_ONCE];
    FileReader reader = {0};
    FileWriter writer = {0};
    Status s = file_open(&reader, path);
    if (!s)
        s = file_create(&writer, second_path);
    for (size_t done = 0; !s && done < reader.size; done += AT_ONCE) {
        const size_t left = reader.size - done, length = left < AT_ONCE ? left : AT_ONCE;
        s = file_read_at(&reader, bytes, length, done);
        if (!s)
            s = file_write(&writer, bytes, length);
    }
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    file_close(&reader);
    return s;
}

Status file_link(const char *path, const char *second_path)
{
    /* link() does not replace a file, but rename() does. So link under the name of a temporary file, and rename that.
     */
    static const char suffix[] = DIRECTORY_TEMPORARY "linked";
    const size_t size = strlen(second_path) + sizeof suffix;
    char *temporary = memory_allocate(size);
    if (!temporary)
        return status_fail(CS336_ENOMEM, "file_link: no memory for the path %s", second_path);
    snprintf(temporary, size, "%s%s", second_path, suffix);
    Status s = file_remove(temporary);
    const bool linked = !s && linkat(AT_FDCWD, path, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0;
    if (linked && rename(temporary, second_path) != 0)
        s = cannot("write", second_path, errno);
    /* If both names were links to the same file, rename() has done nothing. */
    unlink(temporary);
    memory_release(temporary);
    return s || linked ? s : copy_file(path, second_path);
}

/* ---- reading ---- */

Status file_open(FileReader *reader, const char *path)
{
    *reader = (FileReader){0};
    /* Without O_NONBLOCK, opening a pipe waits until another process writes to it. */
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        return cannot("read", path, errno);
    struct stat info;
    Status s = CS336_OK;
    if (fstat(descriptor, &info) != 0)
        s = cannot("read", path, errno);
    else if (S_ISDIR(info.st_mode))
        s = cannot("read", path, EISDIR);
    else if (!S_ISREG(info.st_mode))
        s = status_fail(CS336_EIO, "%s: cannot read: expected a regular file", path);
    if (s)
        close(descriptor);
    else
        *reader = (FileReader){.descriptor = descriptor, .path = path, .size = (size_t)info.st_size};
    return s;
}

Status file_read_at(const FileReader *reader, void *destination, size_t bytes, size_t offset)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t got =
            pread(reader->descriptor, (uint8_t *)destination + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot("read", reader->path, errno);
        if (got == 0) {
            const size_t end = offset + bytes, expected = end > reader->size ? end : reader->size;
            struct stat info;
            const size_t found = fstat(reader->descriptor, &info) == 0 ? (size_t)info.st_size : offset + done;
            return status_fail(CS336_EIO, "%s: cannot read: expected %zu byte%s, there are %zu%s", reader->path,
                               expected, plural(expected), found,
                               found < reader->size ? "; another process has cut the file" : "");
        }
        done += (size_t)got;
    }
    return CS336_OK;
}

void file_close(FileReader *reader)
{
    if (reader->path)
        close(reader->descriptor);
    *reader = (FileReader){0};
}

Status file_load(LoadedFile *file, const char *path)
{
    FileReader reader;
    *file = (LoadedFile){0};
    Status s = file_open(&reader, path);
    if (s)
        return s;
    if (reader.size > 0) {
        file->data = memory_allocate(reader.size);
        file->size = reader.size;
        if (file->data)
            s = file_read_at(&reader, file->data, reader.size, 0);
        else
            s = status_fail(CS336_ENOMEM, "%s: no memory for its %zu bytes", path, reader.size);
    }
    file_close(&reader);
    if (s)
        file_unload(file);
    return s;
}

void file_unload(LoadedFile *file)
{
    memory_release(file->data);
    *file = (LoadedFile){0};
}

#define _XOPEN_SOURCE 700
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE /* flock(), F_GETPATH */
#endif
#include "core/directory.h"

#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Reports "PATH: cannot VERB: REASON"; `reason` is a value of errno. */
static Status cannot(const char *verb, const char *path, int reason)
{
    return status_fail(CS336_EIO, "%s: cannot %s: %s", path, verb, strerror(reason));
}

/* Makes one directory. Returns 0 if it exists afterwards, else a value of errno. */
static int make_one_directory(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return 0;
    const int reason = errno;
    struct stat info;
    if (stat(path, &info) != 0)
        return reason;
    return S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
}

Status directory_make(const char *path)
{
    if (!*path)
        return status_fail(CS336_EIO, "directory_make: the path is empty");
    char *text = memory_copy_text(path);
    if (!text)
        return status_fail(CS336_ENOMEM, "directory_make: no memory for the path %s", path);
    /* For "a/b/c" make "a", then "a/b", then "a/b/c": cut the text at each slash in turn, and at its end. */
    int reason = 0;
    for (char *end = text + 1; !reason; end++) {
        const char cut = *end;
        if (cut != '/' && cut != '\0')
            continue;
        *end = '\0';
        reason = make_one_directory(text);
        if (reason || cut == '\0')
            break;
        *end = cut;
    }
    const Status s = reason ? cannot("make directory", text, reason) : CS336_OK;
    memory_release(text);
    return s;
}

Status directory_sync(const char *path)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) /* writable but not readable: it cannot be opened for a sync, and the kernel syncs it later */
        return CS336_OK;
    /* Errors other than EIO mean that this file system cannot sync directories. */
    const bool failed = fsync(descriptor) != 0 && errno == EIO;
    close(descriptor);
    return failed ? cannot("sync", path, EIO) : CS336_OK;
}

const char *directory_split(char directory[DIRECTORY_PATH_BYTES], const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t length = !slash || slash == path ? 1 : (size_t)(slash - path);
    snprintf(directory, DIRECTORY_PATH_BYTES, "%.*s", (int)length, slash ? path : ".");
    return slash ? slash + 1 : path;
}

/* ---- locks ---- */

/*
 * Locks an open file. Returns 0; or a value of errno, after closing the file and setting the descriptor to -1. Another
 * process may hold the lock for a moment only, in run_directory_check(), so the attempts go on for a fifth of a second.
 */
static int take_lock(int *descriptor)
{
    enum { ATTEMPTS = 20 };                              /* 20 x 10 ms */
    const struct timespec pause = {.tv_nsec = 10000000}; /* 10 ms */
    int reason = EWOULDBLOCK;
    for (int i = 0; reason == EWOULDBLOCK && i < ATTEMPTS; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        reason = flock(*descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    }
    if (reason == 0)
        return 0;
    close(*descriptor);
    *descriptor = -1;
    return reason;
}

Status directory_lock(int *lock, const char *path)
{
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return cannot("read", path, errno);
    int reason = take_lock(lock);
    /* NFS implements flock() by a byte-range lock, which needs a file that is open for writing. */
    if (reason == EBADF || reason == EINVAL) {
        char file[DIRECTORY_PATH_BYTES];
        const int length = snprintf(file, sizeof file, "%s/.cs336-lock", path);
        *lock = length < (int)sizeof file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
        reason = *lock >= 0 ? take_lock(lock) : 0;
    }
    if (reason == EWOULDBLOCK)
        return status_fail(CS336_EIO, "%s: another process is writing to this directory", path);
    return CS336_OK;
}

void directory_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

/* True if the lock is on the directory itself rather than on a file in it (NFS). Then *info describes the directory. */
static bool locks_directory(int lock, struct stat *info)
{
    return lock >= 0 && fstat(lock, info) == 0 && S_ISDIR(info->st_mode);
}

bool directory_is_locked(int lock, const char *path)
{
    /* A device and inode number identify a directory, whatever its name. */
    struct stat locked, found;
    if (!locks_directory(lock, &locked))
        return true;
    return stat(path, &found) == 0 && found.st_dev == locked.st_dev && found.st_ino == locked.st_ino;
}

Status directory_path(char path[DIRECTORY_PATH_BYTES], int lock)
{
    struct stat locked;
    if (!locks_directory(lock, &locked))
        return status_fail(CS336_EIO, "the directory was moved, and this file system does not tell its new path");
#if defined(F_GETPATH)
    if (fcntl(lock, F_GETPATH, path) == 0 && directory_is_locked(lock, path))
        return CS336_OK;
#else
    /* Linux: a symbolic link in /proc names the path of each open descriptor. */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", lock);
    const ssize_t length = readlink(link, path, DIRECTORY_PATH_BYTES - 1);
    if (length > 0) {
        path[length] = '\0';
        if (directory_is_locked(lock, path))
            return CS336_OK;
    }
#endif
    return status_fail(CS336_EIO, "the directory was deleted, or its new path cannot be found");
}

/* ---- leftovers ---- */

bool directory_is_temporary(const char *file, const char *name)
{
    const size_t length = strlen(file), suffix = strlen(DIRECTORY_TEMPORARY) + DIRECTORY_TEMPORARY_LETTERS;
    if (length <= suffix || strncmp(file + length - suffix, DIRECTORY_TEMPORARY, strlen(DIRECTORY_TEMPORARY)) != 0)
        return false;
    return !name || (strlen(name) == length - suffix && strncmp(file, name, length - suffix) == 0);
}

/* Removes a temporary file if its writer is dead: a living writer would hold a lock on it. */
static void remove_if_unlocked(int directory, const char *file)
{
    const int descriptor = openat(directory, file, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;
    if (descriptor < 0)
        return;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        unlinkat(directory, file, 0);
    close(descriptor);
}

void directory_remove_leftovers(const char *path, const char *name)
{
    DIR *stream = opendir(path);
    if (!stream)
        return;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (directory_is_temporary(entry->d_name, name))
            remove_if_unlocked(dirfd(stream), entry->d_name);
    closedir(stream);
}

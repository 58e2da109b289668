/**
 * @file
 * @brief Writes files completely or not at all, and reads them.
 *
 * Writing:
 * - The bytes go to a temporary file beside the target, PATH.cs336-tmp-XXXXXX. file_commit() renames it over the
 *   target, which the kernel does in one step. After a full disk, an error or a kill, the old file is unchanged.
 * - The replaced file passes its permissions on. A new file gets those that the umask allows. A file without write
 * permission is not replaced.
 * - Pipes, devices, "-" and /dev/stdout are written directly, because a rename would turn them into files.
 * - A temporary file is locked (flock) while its writer lives, and the kernel releases the lock of a killed process.
 *   So the next file_create() of the same path can tell which temporary files are leftovers, and removes them.
 * - If the path is a symbolic link, the link stays, and the file that it points to is replaced, or made if the link
 *   points to no file. The temporary file is beside that file.
 *
 * Reading:
 * - file_load() reads a whole file into memory. file_open() and file_read_at() read a few bytes at a time, for large
 *   files.
 * - No file is mapped into memory (mmap): if another process cuts a mapped file, the kernel ends the reader with SIGBUS
 *   at its next look at the missing bytes. A read returns fewer bytes instead, which is an error with a message.
 *
 * Messages name the path and the operating system's reason.
 */
#ifndef CS336_CORE_FILE_H
#define CS336_CORE_FILE_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

CS336_API_BEGIN

/** @brief A file that is being written. It owns its stream and its strings until file_commit() or file_abandon(). */
typedef struct {
    FILE *stream; /**< open for writing. Callers may use fprintf(): file_commit() notices its failure. NULL: closed */
    char *path;   /**< as given to file_create(), for messages */
    char *temporary; /**< path of the temporary file; NULL if the bytes go to the target directly */
    char *target;    /**< the file to replace: the path after following symbolic links */
} FileWriter;

/** @brief True if file_create() writes this path to standard output: "-" or "/dev/stdout". */
bool file_is_standard_output(const char *path);

/**
 * @brief Opens a temporary file beside @p path, or standard output for "-".
 * @retval CS336_EIO     @p path is a directory, or its directory is missing or not writable
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status file_create(FileWriter *writer, const char *path);

/** @brief True if the bytes go to a temporary file, and false if they go to a pipe, a device or standard output. */
bool file_is_replaced(const FileWriter *writer);

/** @brief Writes @p bytes bytes of @p data. @retval CS336_EIO  such as a full disk or a closed pipe */
CS336_MUST_CHECK Status file_write(FileWriter *writer, const void *data, size_t bytes);

/**
 * @brief Writes the first @p bytes bytes of the file again, for a header that is known at the end only. The next
 * file_write() appends again. The file must be one that file_is_replaced().
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_rewrite_start(FileWriter *writer, const void *data, size_t bytes);

/**
 * @brief Flushes the stream and syncs the file to the disk. Call it on each of several files that belong together
 * before the first file_commit(): then a full disk is noticed before any of them is replaced.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_flush(FileWriter *writer);

/**
 * @brief Syncs the file, renames it over the target, and syncs the directory. The rename then survives a power cut. On
 * failure the temporary file is removed.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_commit(FileWriter *writer);

/**
 * @brief Removes the file that file_commit() will replace, if there is one. Call it when several files belong together,
 * just before the first file_commit(): a kill between two commits then leaves a file missing, which every reader
 * notices, and never an old file beside a new one.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_remove_old(FileWriter *writer);

/** @brief Closes the stream and removes the temporary file. Does nothing after file_commit() or on a zeroed writer. */
void file_abandon(FileWriter *writer);

/**
 * @brief Makes @p second_path a hard link to the file, or a copy if the file system has no hard links. A file that
 * exists at @p second_path is replaced in one step. If @p path is a symbolic link, the link is followed.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status file_link(const char *path, const char *second_path);

/** @brief Removes a file, if it exists. @retval CS336_EIO  such as for a directory */
CS336_MUST_CHECK Status file_remove(const char *path);

/** @brief The bytes of a whole file, which the struct owns until file_unload(). */
typedef struct {
    uint8_t *data; /**< NULL when the file is empty */
    size_t size;   /**< bytes */
} LoadedFile;

/**
 * @brief Reads a whole file into memory. An empty file gives size 0.
 * @retval CS336_EIO     it cannot be opened or read, or is not a regular file
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status file_load(LoadedFile *file, const char *path);

/** @brief Frees the bytes; a zeroed or unloaded file is fine. */
void file_unload(LoadedFile *file);

/** @brief A regular file that is open for reading at any offset. Several threads may read it at the same time. */
typedef struct {
    int descriptor;   /**< the kernel's number of the open file */
    const char *path; /**< for messages; the caller's string, which must outlive the reader. NULL: closed */
    size_t size;      /**< bytes of the file when it was opened */
} FileReader;

/** @brief Opens a file for reading. @retval CS336_EIO  it cannot be opened or is not a regular file */
CS336_MUST_CHECK Status file_open(FileReader *reader, const char *path);

/**
 * @brief Reads @p bytes bytes that start at byte @p offset.
 * @retval CS336_EIO  such as when the file ends earlier, because another process has cut it; the message says how many
 *                    bytes were expected and how many there are
 */
CS336_MUST_CHECK Status file_read_at(const FileReader *reader, void *destination, size_t bytes, size_t offset);

/** @brief Closes the file; a zeroed or closed reader is fine. */
void file_close(FileReader *reader);

/**
 * @brief For tests: lets the @p n -th file_write() from now fail once, as on a full disk. 1 is the next; 0 cancels.
 * @return what is left of the n that was set before: 0 if that call has failed
 */
size_t file_fail_at(size_t n);

CS336_API_END

#endif

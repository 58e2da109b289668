/**
 * @file
 * @brief Files that are either whole or not there.
 *
 * - Output goes to a temporary file beside the target, PATH.cs336-tmp-XXXXXX. file_commit() renames it over the target:
 *   a full disk, an error or a kill leaves the old file as it was, and the new one has its permissions. A file that may
 *   not be written is not replaced either. Only "-", /dev/stdout, pipes and devices are written directly.
 * - A temporary file is locked (flock) while its writer lives. The lock of a killed process is gone, so the next
 *   file_create() of the same path knows the leftover and removes it.
 * - A symbolic link stays: the file that it leads to is replaced. One that leads nowhere is replaced itself.
 * - A file is read through a memory map (an empty file maps to size 0), or in chunks if it is larger than the memory
 *   that it may take.
 * - Messages name the path and the operating system's reason.
 */
#ifndef CS336_CORE_FILE_H
#define CS336_CORE_FILE_H

#include "core/api.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

CS336_API_BEGIN

typedef struct {
    FILE *stream;    /**< for fprintf(), whose failure file_commit() notices; NULL when closed */
    char *path;      /**< target, for messages too */
    char *temporary; /**< where the bytes are until file_commit(); NULL when they are written at once */
    char *target;    /**< what the temporary file replaces: the path, links followed */
} FileWriter;

/**
 * @brief Opens a temporary file beside @p path; "-" is standard output.
 * @retval CS336_EIO     a directory, or in a directory that is missing or unwritable
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status file_create(FileWriter *writer, const char *path);

/** @brief Writes @p bytes from @p data. @retval CS336_EIO  the disk is full or the stream broke */
CS336_MUST_CHECK Status file_write(FileWriter *writer, const void *data, size_t bytes);

/**
 * @brief Brings the bytes to the disk, so that file_commit() finds no full disk: for files that belong together.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_flush(FileWriter *writer);

/**
 * @brief Syncs the file, renames it over the target, and syncs the directory, so that the new name survives a power
 * cut. On failure the temporary file is removed.
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status file_commit(FileWriter *writer);

/** @brief Removes the temporary file; after file_commit(), or on a zeroed writer, it does nothing. */
void file_abandon(FileWriter *writer);

/**
 * @brief Gives a file a second name, which is replaced if it exists: a hard link, or a copy where there are none.
 * A symbolic link is followed, so that the second name keeps what it leads to now.
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status file_link(const char *path, const char *second_path);

/** @brief Removes a file; a missing one is fine. @retval CS336_EIO  also for a directory */
CS336_MUST_CHECK Status file_remove(const char *path);

typedef struct {
    const uint8_t *data; /**< NULL when the file is empty */
    size_t size;         /**< bytes */
} MappedFile;

/** @brief Maps a file for reading. @retval CS336_EIO  it cannot be opened, is a directory, or cannot be mapped */
CS336_MUST_CHECK Status file_map(MappedFile *file, const char *path);
void file_unmap(MappedFile *file);

/** @brief A regular file, open for reading anywhere in it. */
typedef struct {
    int descriptor;
    const char *path; /**< the caller's, for messages */
    size_t size;      /**< bytes when it was opened */
} FileReader;

/** @brief Opens a file for reading. @retval CS336_EIO  it cannot be opened or is no regular file */
CS336_MUST_CHECK Status file_open(FileReader *reader, const char *path);

/** @brief Reads @p bytes from byte @p offset on. @retval CS336_EIO  also when the file ends before */
CS336_MUST_CHECK Status file_read_at(const FileReader *reader, void *destination, size_t bytes, size_t offset);
void file_close(FileReader *reader);

/** @brief The @p n -th file_write() from now on (1 is the next) fails as on a full disk, once; 0 cancels. For tests. */
void file_fail_at(size_t n);

CS336_API_END

#endif

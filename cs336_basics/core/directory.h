/**
 * @file
 * @brief Makes, syncs and locks directories, and removes temporary files that killed processes left in them.
 */
#ifndef CS336_CORE_DIRECTORY_H
#define CS336_CORE_DIRECTORY_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief The longest path in bytes, with its final zero byte: Linux's PATH_MAX. */
enum { DIRECTORY_PATH_BYTES = 4096 };

/** @brief Makes a directory and its missing parents. It may exist already. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status directory_make(const char *path);

/** @brief Syncs a directory, so that renames and removals in it survive a power cut. @retval CS336_EIO  disk error */
CS336_MUST_CHECK Status directory_sync(const char *path);

/**
 * @brief Splits a path at its last slash: "a/b/c" into "a/b" and "c", "c" into "." and "c".
 * @return the name, a pointer into @p path
 */
const char *directory_split(char directory[DIRECTORY_PATH_BYTES], const char *path);

/**
 * @brief Locks a directory exclusively until directory_unlock() or the end of the process. The kernel releases the lock
 * of a killed process too.
 *
 * The lock is flock() on the directory itself. NFS cannot lock directories; on NFS a file ".cs336-lock" in the
 * directory is locked instead.
 * @param[out] lock  a descriptor for directory_unlock(); -1 if the file system has no locks at all
 * @retval CS336_EIO  the lock is held by another process or by another call in this one, or there is no such directory
 */
CS336_MUST_CHECK Status directory_lock(int *lock, const char *path);

/** @brief Releases a lock; -1 is allowed. */
void directory_unlock(int lock);

/**
 * @brief True if @p path still names the locked directory, which was not renamed or replaced meanwhile. Also true if
 * @p lock is not on a directory, because then it cannot be compared.
 */
bool directory_is_locked(int lock, const char *path);

/**
 * @brief Finds the current path of a locked directory, which may have been renamed.
 * @retval CS336_EIO  it was deleted, or the operating system does not tell its path
 */
CS336_MUST_CHECK Status directory_path(char path[DIRECTORY_PATH_BYTES], int lock);

/** @brief core/file names a temporary file TARGET.cs336-tmp-XXXXXX, with six random letters at the end. */
#define DIRECTORY_TEMPORARY ".cs336-tmp-"
enum { DIRECTORY_TEMPORARY_LETTERS = 6 /**< random letters after DIRECTORY_TEMPORARY: mkstemp() chooses them */ };

/** @brief True if @p file is the name of a temporary file for the target @p name, or for any target if that is NULL. */
bool directory_is_temporary(const char *file, const char *name);

/**
 * @brief Removes temporary files that killed processes left in a directory. Files of living processes stay.
 * @param path  the directory; it need not exist
 * @param name  remove only temporary files for the target of this name; NULL: for every target
 */
void directory_remove_leftovers(const char *path, const char *name);

CS336_INTERNAL_END

#endif

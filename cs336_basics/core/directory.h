/**
 * @file
 * @brief Directories: making, syncing and locking them, and removing what killed writers left in them.
 */
#ifndef CS336_CORE_DIRECTORY_H
#define CS336_CORE_DIRECTORY_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief Bytes of a path with its final zero, at most: Linux's PATH_MAX. */
enum { DIRECTORY_PATH_BYTES = 4096 };

/** @brief Makes a directory and its parents; one that exists is fine. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status directory_make(const char *path);

/** @brief Syncs a directory: renames and removals in it survive a power cut. @retval CS336_EIO  the disk failed */
CS336_MUST_CHECK Status directory_sync(const char *path);

/**
 * @brief Splits a path into its directory, "." where it names none, and the name in it.
 * @return the name, inside @p path
 */
const char *directory_split(char directory[DIRECTORY_PATH_BYTES], const char *path);

/**
 * @brief Locks a directory for one holder, until directory_unlock() or the end of the process, however it ends.
 *
 * The lock is flock() on the directory itself. NFS has none for directories; there a file ".cs336-lock" in it is
 * locked.
 * @param[out] lock  for directory_unlock(); -1 where the file system has no locks at all
 * @retval CS336_EIO  another process (or another call in this one) holds the lock, or there is no such directory
 */
CS336_MUST_CHECK Status directory_lock(int *lock, const char *path);

/** @brief Gives a lock back; -1 is fine. */
void directory_unlock(int lock);

/** @brief True if the path leads to the locked directory: it was not renamed or replaced since. Without a lock: true.
 */
bool directory_is_locked(int lock, const char *path);

/**
 * @brief The path of a locked directory now, wherever it was moved.
 * @retval CS336_EIO  it was deleted, or this system does not say
 */
CS336_MUST_CHECK Status directory_path(char path[DIRECTORY_PATH_BYTES], int lock);

/** @brief What a temporary file of core/file has between its target's name and six random letters. */
#define DIRECTORY_TEMPORARY ".cs336-tmp-"

/** @brief True if this is the name of a temporary file: of the target @p name, or of any if that is NULL. */
bool directory_is_temporary(const char *file, const char *name);

/**
 * @brief Removes temporary files that killed processes left in a directory. Files of living processes stay.
 * @param path  a missing directory is fine
 * @param name  only those of the target with this name; NULL: of every target
 */
void directory_remove_leftovers(const char *path, const char *name);

CS336_INTERNAL_END

#endif

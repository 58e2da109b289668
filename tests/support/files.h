/**
 * @file
 * @brief Files of a test: a directory that disappears with the test's process.
 */
#ifndef CS336_TESTS_SUPPORT_FILES_H
#define CS336_TESTS_SUPPORT_FILES_H

#include <stddef.h>

/** @brief "DIRECTORY/name" in a directory of this process; one of eight buffers in turn. */
const char *temp_path(const char *name);

/** @brief temp_path() of a directory, which is there. */
const char *temp_directory(const char *name);

/** @brief Writes a file, whatever was there. */
void write_file(const char *path, const void *bytes, size_t count);

/** @brief Fails the test unless the file holds exactly these bytes; names the first that differs. */
void assert_file_holds(const char *path, const void *bytes, size_t count);

/** @brief Number of files and directories in a directory. */
size_t directory_entries(const char *path);

#endif

/**
 * @file
 * @brief Files of a test, in a temporary directory that is removed when the test's process ends.
 */
#ifndef CS336_TESTS_SUPPORT_FILES_H
#define CS336_TESTS_SUPPORT_FILES_H

#include <stddef.h>

/**
 * @brief Returns the path of @p name in this process's temporary directory.
 * @return one of eight static buffers in turn: at most eight results can be in use at a time
 */
const char *temp_path(const char *name);

/** @brief Makes a directory of that name in the temporary directory, and returns its path as temp_path(). */
const char *temp_directory(const char *name);

/** @brief Writes a file and replaces an existing one. */
void write_file(const char *path, const void *bytes, size_t count);

/** @brief Returns the contents of a file with a zero byte behind them, valid until the next call. */
const char *file_text(const char *path);

/** @brief Fails the test unless the file holds exactly these bytes. The message names the first that differs. */
void assert_file_holds(const char *path, const void *bytes, size_t count);

/** @brief Returns the number of files and directories in a directory. */
size_t directory_entries(const char *path);

#endif

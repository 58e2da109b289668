/**
 * @file
 * @brief Reads text fixtures: one case per line, with bytes in hexadecimal and numbers in decimal, separated by blanks.
 */
#ifndef CS336_TESTS_SUPPORT_LINES_H
#define CS336_TESTS_SUPPORT_LINES_H

#include "core/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_BYTES = 4096 };

typedef struct {
    LoadedFile file;
    const char *next, *end; /**< the rest of the file */
    size_t number;          /**< number of the current line, from 1 */
} Lines;

/** @brief Opens tests/fixtures/@p name. The test fails if the file is missing. */
Lines lines_open(const char *name);
void lines_close(Lines *lines);

/** @brief Moves to the next line. Returns false at the end of the file. */
bool lines_next(Lines *lines);

/** @brief Reads bytes that are written as hexadecimal digits, at most LINE_BYTES. @return number of bytes */
size_t line_bytes(Lines *lines, uint8_t *bytes);

/** @brief Reads the next decimal number. Returns false at the end of the line. */
bool line_number(Lines *lines, size_t *number);

#endif

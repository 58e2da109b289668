/**
 * @file
 * @brief Text fixtures: one case a line, bytes in hexadecimal, numbers in decimal, blanks between them.
 */
#ifndef CS336_TESTS_SUPPORT_LINES_H
#define CS336_TESTS_SUPPORT_LINES_H

#include "core/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_BYTES = 4096 };

typedef struct {
    MappedFile file;
    const char *at, *end; /**< what is left of the file */
    size_t number;        /**< of the current line, from 1 */
} Lines;

/** @brief Opens tests/fixtures/@p name; the test fails if it is not there. */
Lines lines_open(const char *name);
void lines_close(Lines *lines);

/** @brief Whether there is another line; the reader stands at its start. */
bool lines_next(Lines *lines);

/** @brief Bytes written as hexadecimal digits; at most LINE_BYTES. @return how many */
size_t line_bytes(Lines *lines, uint8_t *bytes);

/** @brief The next decimal number of the line; false at its end. */
bool line_number(Lines *lines, size_t *number);

#endif

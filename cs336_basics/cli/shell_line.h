/**
 * @file
 * @brief Writes a command as a line of sh that a person can copy.
 */
#ifndef CS336_CLI_SHELL_LINE_H
#define CS336_CLI_SHELL_LINE_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief A line that is being written. */
typedef struct {
    char *text;    /**< the line so far, with a final zero byte; the caller owns it */
    size_t length, /**< bytes of it */
        capacity;  /**< room of `text`, with the final zero byte */
    bool too_long; /**< something did not fit: the line is of no use */
} ShellLine;

/** @brief Begins the line with words that need no quotes, or with "". */
void shell_line_begin(ShellLine *line, const char *words);

/** @brief Adds a blank and a word, in quotes if it contains what sh would not take as it is. */
void shell_line_add(ShellLine *line, const char *word);

CS336_INTERNAL_END

#endif

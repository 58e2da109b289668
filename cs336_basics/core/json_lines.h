/**
 * @file
 * @brief Reads the texts of JSON Lines: each line of the input is an object, and one of its fields is a document.
 *
 * - The result is one text: document, ending, document, ending. The ending is usually `<|endoftext|>`, so that the text
 *   is what the course's files are.
 * - Lines of white space are skipped. A field that is missing or no string is an error, as is a line that is not one
 *   object. Messages begin with "path:line:".
 * - One line at a time is in memory, at most JSON_LINE_BYTES.
 * @see https://jsonlines.org
 */
#ifndef CS336_CORE_JSON_LINES_H
#define CS336_CORE_JSON_LINES_H

#include "core/api.h"
#include "core/input_stream.h"
#include "core/json.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum { JSON_LINE_BYTES = 1 << 28 /**< the longest line that is read: 256 MiB; a longer one is hardly a document */ };

/** @brief Documents that are being read. A zeroed one is empty. It owns its buffer and the object of the latest line.
 */
typedef struct {
    InputStream *input; /**< the caller's, open for text */
    const char *field;  /**< name of the field; the caller's string */
    const char *ending; /**< what follows each document; the caller's string, may be "" */
    size_t line;        /**< number of the latest line, from 1 */
    uint8_t *bytes;     /**< what was read of the input */
    size_t begin,       /**< where the next line begins in it */
        end,            /**< where it ends */
        capacity;       /**< bytes that there is room for */
    json_t *object;     /**< the latest line; NULL: none */
    const char *rest;   /**< what is not passed on of the document, and after it of the ending */
    size_t rest_length; /**< bytes of it */
    const char *then;   /**< the ending, while the document is passed on; else NULL */
} JsonLines;

/** @brief Prepares to read documents; nothing is read yet. */
void json_lines_begin(JsonLines *lines, InputStream *input, const char *field, const char *ending);

/**
 * @brief Reads the next bytes of the text.
 * @param[out] bytes  number of bytes read; 0 at the end only
 * @retval CS336_EFORMAT  a line is not an object with a text in the field; the message says which and why
 * @retval others         as input_read()
 */
CS336_MUST_CHECK Status json_lines_read(JsonLines *lines, void *buffer, size_t capacity, size_t *bytes);

/** @brief Frees what it owns. The input stays open. */
void json_lines_end(JsonLines *lines);

CS336_INTERNAL_END

#endif

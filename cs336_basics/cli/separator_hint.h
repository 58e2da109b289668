/**
 * @file
 * @brief Says that a text has the separator of documents, which the command treats like other text.
 *
 * One line on stderr says so when the first separator is found. Only the first megabyte of each text is searched: a
 * separator stands between all documents.
 */
#ifndef CS336_CLI_SEPARATOR_HINT_H
#define CS336_CLI_SEPARATOR_HINT_H

#include "core/api.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief What is looked for, and what the line says. */
typedef struct {
    const char *command, /**< name of the command */
        *separator,      /**< the text to look for; NULL: none, or found */
        *consequence;    /**< what becomes of it, and what --special-token would do: "is ...; to ..." */
} SeparatorHint;

/** @brief Looks at the start of a file of plain text. A file that cannot be read is passed over. */
void separator_hint_file(SeparatorHint *hint, const char *path);

/** @brief A stream that is searched while it is read. */
typedef struct {
    SeparatorHint *hint; /**< what is looked for */
    TextStream inner;    /**< the text */
    size_t searched;     /**< bytes searched so far */
} SearchedStream;

/** @brief The TextRead of a SearchedStream, which is the context. */
CS336_MUST_CHECK Status separator_hint_read(void *stream, uint8_t *bytes, size_t capacity, size_t *length);

CS336_INTERNAL_END

#endif

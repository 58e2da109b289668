/**
 * @file
 * @brief Reads and writes JSON with jansson. Messages name file, line and column.
 *
 * - jansson keeps its own allocator, malloc(). Replacing the allocator would change it for the whole process. A host
 *   program that also uses jansson would then free allocations with the wrong function.
 * - Callers build and inspect values with jansson's functions. A value is freed when json_decref() drops its last
 *   reference.
 * @see https://jansson.readthedocs.io
 */
#ifndef CS336_CORE_JSON_H
#define CS336_CORE_JSON_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <jansson.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Parses an object or array. A duplicate key in an object is an error, and so is U+0000 in a text, since callers
 * take texts as C strings.
 * @param[out] value  a new reference; NULL on failure
 * @param[in]  text   UTF-8 without a final zero byte; may be NULL if @p bytes is 0
 * @param[in]  bytes  length of text
 * @param[in]  path   the file that the text comes from, for messages
 * @retval CS336_EFORMAT  not JSON; the message is "path:line:column: what is wrong", or says that the bytes are
 *                        compressed
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status json_parse(json_t **value, const char *text, size_t bytes, const char *path);

/**
 * @brief Parses one line of JSON Lines like json_parse(), but texts other than keys may have U+0000.
 * @param path  the file and the number of the line, "x.jsonl:12", for messages: "x.jsonl:12:column: what is wrong"
 */
CS336_MUST_CHECK Status json_parse_line(json_t **value, const char *text, size_t bytes, const char *path);

/** @brief Parses a whole file like json_parse(). @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM */
CS336_MUST_CHECK Status json_read(json_t **value, const char *path);

/**
 * @brief Writes a value as text, with the keys of objects in the order in which they were set.
 * @param writer  destination; the caller commits or abandons it
 * @param value   the value to write
 * @param flags   jansson's: JSON_COMPACT, JSON_INDENT(2), JSON_REAL_PRECISION(17), ...
 * @retval CS336_EIO     as file_write()
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status json_write(FileWriter *writer, const json_t *value, size_t flags);

/**
 * @brief Writes a value and a line feed to a file of their own, completely or not at all.
 * @param path   the file; an existing one is replaced
 * @param value  NULL, which jansson's functions return when there is no memory, fails with CS336_ENOMEM
 * @param flags  as for json_write()
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status json_write_file(const char *path, const json_t *value, size_t flags);

enum { JSON_FLOAT_DIGITS = 9 /**< significant digits that identify every float32: for JSON_REAL_PRECISION() */ };

/**
 * @brief Returns a float32 as the number of fewest digits that is this float32 when it is read: 1e-5, not
 * 9.99999975e-6. NULL if there is no memory or the number is not finite.
 */
json_t *json_float(float number);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief JSON by jansson, with messages that say where.
 *
 * - jansson allocates with malloc(). A library that replaced its allocator would change it for the whole process, and a
 *   host program that uses jansson too would free memory with the wrong function.
 * - jansson's own functions build and take apart values; json_decref() gives one back.
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
 * @brief Parses an object or array. A key that comes twice in one object is an error.
 * @param[out] value  a new reference; NULL on failure
 * @param[in]  text   UTF-8, need not end in a zero byte; may be NULL when @p bytes is 0
 * @param[in]  bytes  length of text
 * @param[in]  path   where the text comes from, for messages
 * @retval CS336_EFORMAT  not JSON; the message is "path:line:column: what"
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status json_parse(json_t **value, const char *text, size_t bytes, const char *path);

/** @brief json_parse() of a whole file. @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM */
CS336_MUST_CHECK Status json_read(json_t **value, const char *path);

/**
 * @brief Writes a value in the order its keys were set.
 * @param writer  where to; the caller commits or abandons it
 * @param value   what
 * @param flags   jansson's: JSON_COMPACT, JSON_INDENT(2), JSON_REAL_PRECISION(17), ...
 * @retval CS336_EIO     as file_write()
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status json_write(FileWriter *writer, const json_t *value, size_t flags);

CS336_INTERNAL_END

#endif

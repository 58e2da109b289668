/**
 * @file
 * @brief Distinct texts, numbered from 0 in the order in which they were added, and a hash table that finds them.
 *
 * Adding a text and finding one take a time that does not depend on how many there are.
 */
#ifndef CS336_TOKENIZER_TEXT_TABLE_H
#define CS336_TOKENIZER_TEXT_TABLE_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief A zeroed table is empty and ready. It owns copies of its texts. */
typedef struct {
    ByteList bytes;    /**< of all texts, without gaps, by number */
    size_t *ends;      /**< (count) by number: where the text ends in bytes */
    size_t count,      /**< number of texts */
        capacity;      /**< texts that there is room for in ends */
    int32_t *slots;    /**< (slot_count) numbers, by open addressing; -1: a free slot; NULL before the first text */
    size_t slot_count; /**< a power of two, at least twice the number of texts; 0 before the first text */
} TextTable;

/** @brief Returns a text, valid until one is added; @p number must be below count. */
ByteString text_table_get(const TextTable *table, size_t number);

/** @brief Returns the number of a text, or -1 if the table does not have it. */
int64_t text_table_find(const TextTable *table, ByteString text);

/**
 * @brief Adds a text, unless the table has it. A function that fails leaves the table unchanged.
 * @retval CS336_ERANGE  the table has INT32_MAX texts
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status text_table_add(TextTable *table, ByteString text);

/** @brief Copies a table; the copy shares no memory with the original. It is empty on failure. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status text_table_copy(TextTable *copy, const TextTable *table);

/** @brief Frees the memory and leaves an empty table, which may be used again. */
void text_table_deinit(TextTable *table);

CS336_INTERNAL_END

#endif

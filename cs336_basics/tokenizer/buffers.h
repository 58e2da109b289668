/**
 * @file
 * @brief Strings of bytes, and lists of bytes and token ids that grow.
 *
 * - A ByteString borrows: it may hold NUL bytes, need not end in one and need not be UTF-8.
 * - A zeroed list is empty and ready. On failure it is what it was before.
 */
#ifndef CS336_TOKENIZER_BUFFERS_H
#define CS336_TOKENIZER_BUFFERS_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes; /**< may be NULL when length is 0 */
    size_t length;
} ByteString;

/** @brief A view of a C string, without its NUL. */
static inline ByteString byte_string(const char *text)
{
    return (ByteString){.bytes = (const uint8_t *)text, .length = strlen(text)};
}

static inline bool byte_string_equal(ByteString a, ByteString b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/** @brief Negative, zero or positive as @p a comes before, is, or comes after @p b in Python's order of bytes. */
int byte_string_compare(ByteString a, ByteString b);

/** @brief A hash of all bytes, the same on every machine of one byte order. */
uint64_t byte_string_hash(ByteString text);

typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
} ByteList;

typedef struct {
    int32_t *ids; /**< as in a TokenTensor */
    size_t count, capacity;
} TokenList;

/** @brief Adds bytes at the end. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status byte_list_append(ByteList *list, const uint8_t *bytes, size_t length);
void byte_list_deinit(ByteList *list);

/** @brief Adds ids at the end. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_list_append(TokenList *list, const int32_t *ids, size_t count);
void token_list_deinit(TokenList *list);

/**
 * @brief Makes room for @p needed elements in an array that grows by halves; what the lists here are made of.
 * @param[in,out] array     pointer to the pointer to the first element, which may be NULL
 * @param[in,out] capacity  elements that there is room for
 * @param         size      bytes of an element
 * @retval CS336_ENOMEM  the message says how many elements were asked for; array and capacity are as before
 */
CS336_MUST_CHECK Status array_reserve(void *array, size_t *capacity, size_t needed, size_t size);

#endif

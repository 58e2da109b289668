/**
 * @file
 * @brief Strings of bytes, and lists of bytes and token ids that grow.
 *
 * - A ByteString is a view: somebody else owns the bytes. They may be any bytes, zeros and malformed UTF-8 included,
 * and no zero byte marks the end.
 * - A zeroed list is empty and ready. A function that fails leaves its list unchanged.
 */
#ifndef CS336_TOKENIZER_BUFFERS_H
#define CS336_TOKENIZER_BUFFERS_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

CS336_API_BEGIN

/** @brief A view of bytes that somebody else owns, as Python's memoryview. */
typedef struct {
    const uint8_t *bytes; /**< may be NULL when length is 0 */
    size_t length;        /**< number of bytes */
} ByteString;

/** @brief Returns a view of a C string, without its final zero byte. */
static inline ByteString byte_string(const char *text)
{
    return (ByteString){.bytes = (const uint8_t *)text, .length = strlen(text)};
}

/** @brief True if two strings have the same bytes. */
static inline bool byte_string_equal(ByteString a, ByteString b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/** @brief Returns a negative number, zero or a positive one if @p a < @p b, a == b or a > b, as Python compares bytes.
 */
int byte_string_compare(ByteString a, ByteString b);

/** @brief Returns a hash of all bytes. It is the same on every machine of one byte order. */
uint64_t byte_string_hash(ByteString text);

/**
 * @brief Returns the number of slots of a hash table for @p entries entries: a power of two, at least 512, of which at
 * most half are used. Open addressing then looks at few slots until it finds a key or a free one.
 */
size_t hash_table_slots(size_t entries);

/* ---- lists ---- */

/** @brief A list of bytes that grows. It owns them. */
typedef struct {
    uint8_t *bytes; /**< (length); moves when the list grows; NULL at first */
    size_t length,  /**< bytes in use */
        capacity;   /**< bytes allocated */
} ByteList;

/** @brief A list of token ids that grows. It owns them. */
typedef struct {
    int32_t *ids; /**< (count), as in a TokenTensor; moves when the list grows; NULL at first */
    size_t count, /**< ids in use */
        capacity; /**< ids that there is room for */
} TokenList;

/** @brief Returns a view of a list, valid until the list changes. */
static inline ByteString byte_list_view(const ByteList *list)
{
    return (ByteString){.bytes = list->bytes, .length = list->length};
}

/** @brief Appends bytes. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status byte_list_append(ByteList *list, const uint8_t *bytes, size_t length);

/** @brief Appends a C string, without its final zero byte. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status byte_list_append_text(ByteList *list, const char *text);

/** @brief Frees the bytes and leaves an empty list, which may be used again. */
void byte_list_deinit(ByteList *list);

/** @brief Appends ids. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_list_append(TokenList *list, const int32_t *ids, size_t count);

/** @brief Receives ids in the order of the text. If it does not return CS336_OK, the encoding ends with its status. */
typedef Status TokenSink(void *context, const int32_t *ids, size_t count);

/**
 * @brief Reads the next bytes of a text.
 * @param      context   of the TextStream
 * @param[out] bytes     room for @p capacity bytes
 * @param[out] length    how many were read; 0 at the end only
 */
typedef Status TextRead(void *context, uint8_t *bytes, size_t capacity, size_t *length);

/**
 * @brief A text that is read once, from beginning to end, by one thread at a time; which thread it is may change. A
 * file that is decompressed while it is read is one, or a socket.
 */
typedef struct {
    TextRead *read; /**< NULL: no stream */
    void *context;  /**< passed to read */
} TextStream;

/** @brief Frees the ids and leaves an empty list, which may be used again. */
void token_list_deinit(TokenList *list);

/**
 * @brief Makes room for @p needed elements in an array of any type. The array grows by half each time, so appending n
 * elements copies O(n) of them.
 * @param[in,out] array     pointer to the pointer to the first element, which may be NULL
 * @param[in,out] capacity  how many elements there is room for
 * @param         size      bytes of an element
 * @retval CS336_ENOMEM  the message says how many elements were asked for; array and capacity are unchanged
 */
CS336_MUST_CHECK Status array_reserve(void *array, size_t *capacity, size_t needed, size_t size);

CS336_API_END

#endif

/**
 * @file
 * @brief How functions report failure.
 *
 * - Anything that depends on data, files or memory returns a Status; CS336_OK is zero.
 * - The message of the latest failure in a thread is kept for status_message().
 * - Calls chain without hidden control flow: `Status s = f(); if (!s) s = g(); return s;`
 * - A programmer's error (an index beyond an array, a NULL where none is allowed) asserts instead.
 */
#ifndef CS336_CORE_STATUS_H
#define CS336_CORE_STATUS_H

#include "core/api.h"

CS336_API_BEGIN

#if defined(__GNUC__)
#define CS336_MUST_CHECK __attribute__((warn_unused_result))
#define CS336_PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define CS336_MUST_CHECK
#define CS336_PRINTF_LIKE(text, first)
#endif

typedef enum {
    CS336_OK = 0,
    CS336_ESHAPE,       /**< a tensor's rank, extent or stride does not fit the operation */
    CS336_ERANGE,       /**< a number, position or token id lies outside its range */
    CS336_ENOMEM,       /**< an allocation failed */
    CS336_EIO,          /**< the operating system refused a read, write or mapping */
    CS336_EFORMAT,      /**< a file is not what its name or header promises */
    CS336_EINTERRUPTED, /**< the caller asked a long computation to stop */
} Status;

/**
 * @brief Records a message for this thread and returns @p code.
 * @param code    any value but CS336_OK
 * @param ...     printf format and arguments: "function: what is wrong, what was expected"; status_message() may be one
 *
 * A macro, so that compilers and analysers see which code comes back.
 */
#define status_fail(code, ...) (status_record(__VA_ARGS__), (code))
void status_record(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief The latest failure's message in this thread; "" before the first. Valid until the next failure. */
const char *status_message(void);

CS336_API_END

#endif

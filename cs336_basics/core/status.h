/**
 * @file
 * @brief How functions report failure.
 *
 * - A function that can fail because of data, files or memory returns a Status. CS336_OK is zero.
 * - status_message() returns the message of the latest failure in the calling thread.
 * - Callers write `Status s = f(); if (!s) s = g(); return s;`: after a failure the later calls are skipped.
 * - An error of the programmer (an index beyond an array, a NULL where none is allowed) fails an assert() instead.
 */
#ifndef CS336_CORE_STATUS_H
#define CS336_CORE_STATUS_H

#include "core/api.h"

#include <stdarg.h>

CS336_API_BEGIN

/**
 * @def CS336_MUST_CHECK
 * @brief Makes the compiler warn where a caller ignores the Status that a function returns.
 */
/**
 * @def CS336_PRINTF_LIKE
 * @brief Makes the compiler check arguments against a printf format: argument number @p text is the format, the values
 * begin at number @p first. Both count from 1.
 */
/**
 * @def CS336_NO_RETURN
 * @brief Stands before a function that ends the process instead of returning.
 */
#if defined(__cplusplus)
#define CS336_NO_RETURN [[noreturn]]
#else
#define CS336_NO_RETURN _Noreturn
#endif
#if defined(__GNUC__)
#define CS336_MUST_CHECK __attribute__((warn_unused_result))
#define CS336_PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define CS336_MUST_CHECK
#define CS336_PRINTF_LIKE(text, first)
#endif

/** @brief Whether a function succeeded, and if not, why. Each function documents which values it returns. */
typedef enum {
    CS336_OK = 0,       /**< success; zero, so that `if (s)` asks for failure */
    CS336_ESHAPE,       /**< a tensor's rank, extent or stride does not fit the operation */
    CS336_ERANGE,       /**< a number, position or token id lies outside its range */
    CS336_ENOMEM,       /**< an allocation failed */
    CS336_EIO,          /**< the operating system reported an error of a file */
    CS336_EFORMAT,      /**< the contents of a file are not in the expected format */
    CS336_EINTERRUPTED, /**< the caller asked a long computation to stop */
} Status;

/**
 * @brief Records a message for this thread and returns @p code.
 * @param code    any value except CS336_OK
 * @param ...     printf format and arguments: "function: what is wrong, what was expected". status_message() may be
 *                one of the arguments
 *
 * This is a macro so that compilers and static analysers see the returned code.
 */
#define status_fail(code, ...) (status_record(__VA_ARGS__), (code))

/**
 * @brief Records a message of up to 511 bytes for this thread. status_fail() calls it.
 *
 * The message is safe to print whatever the arguments contain, because core/printable.h replaces what a terminal would
 * obey. A longer one loses its middle, so that the reason at its end stays.
 */
void status_record(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief status_record() with the arguments as a va_list, as vprintf() has them. */
void status_record_list(const char *format, va_list arguments) CS336_PRINTF_LIKE(1, 0);

/** @brief Returns the message of this thread's latest failure, or "". It is valid until the next failure. */
const char *status_message(void);

CS336_API_END

#endif

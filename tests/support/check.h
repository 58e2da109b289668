/**
 * @file
 * @brief The Check framework, with messages that say which line of the test failed, and in which round of a loop.
 *
 * Include this file instead of `<check.h>`.
 *
 * - Check prints the file and the line of the assertion. For an assertion in tests/support this would be a line of the
 *   helper, the same one for every test that calls the helper. A failure in tests/support is therefore reported at the
 *   line of the test that called the helper. The macros in from_here.h note this line with test_here().
 * - In a loop, test_label() says what is being tested: `test_label("n = %zu on %s", n, isa_name(isa))`. The messages of
 *   all failures then begin with this label.
 */
#ifndef CS336_TESTS_SUPPORT_CHECK_H
#define CS336_TESTS_SUPPORT_CHECK_H

#include "core/status.h"

#include <check.h>

/** @brief Notes where a test calls a helper. NULL forgets the place that was noted last. */
void test_here(const char *file, int line);

/** @brief Sets the label that begins the message of every later failure of this test. */
void test_label(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief Removes the label, after a loop whose test goes on. The runner calls it before each test. */
void test_label_end(void);

/**
 * @brief Ends the test as failed, at the noted place if @p file is in tests/support, and else at @p file and @p line.
 *
 * All assertions of Check call this function instead of Check's own, which has the same parameters.
 * @param expression  the message if @p format is NULL
 */
_Noreturn void test_failed(const char *file, int line, const char *expression, const char *format, ...)
#if CHECK_MAJOR_VERSION > 0 || CHECK_MINOR_VERSION >= 15 /* older macros pass a NULL after the last argument */
    CS336_PRINTF_LIKE(4, 5)
#endif
        ;
#define _ck_assert_failed test_failed

#endif

/**
 * @file
 * @brief Tables of tests: one table per file, one line per test.
 */
#ifndef CS336_TESTS_SUPPORT_SUITE_H
#define CS336_TESTS_SUPPORT_SUITE_H

#include "tests/support/from_here.h"

#include <stddef.h>

typedef struct {
    const char *name;             /**< the test's name, as in the course where it is one of the course's */
    const char *problem;          /**< the course's problem id, or the module's name */
    const TTest **test;           /**< address of the variable that START_TEST() defines; NULL ends the table */
    const char *(*why_not)(void); /**< returns why the test cannot run here, or NULL if it can; may be NULL itself */
} TestCase;

typedef struct {
    const char *name;
    const TestCase *cases;
} TestSuite;

/** @brief `TEST(test_linear, "linear")` names a line of the table after its function. */
#define TEST(function, problem)             \
    {                                       \
#function, problem, &function, NULL \
    }

/** A test that cannot run everywhere. Where it cannot, the runner prints why and does not count the test. */
#define TEST_UNLESS(function, problem, why_not) \
    {                                           \
#function, problem, &function, why_not  \
    }

/** @name Reasons for TEST_UNLESS(); each returns NULL if the test can run
 * @{
 */
const char *timing_means_nothing(void);
const char *too_long_to_emulate(void); /**< for tests that train several models or run the program often */
const char *no_full_device(void);
const char *no_file_size_limit(void);
/** @} */

/** @brief True if a sanitizer, valgrind or an emulator slows this build down. */
int test_is_instrumented(void);

/** @brief True under `make arm`, where QEMU emulates another CPU and Linux's system calls. */
int test_is_emulated(void);

#endif

/**
 * @file
 * @brief Walks a function's failing exits one after the other.
 */
#ifndef CS336_TESTS_SUPPORT_FAILURES_H
#define CS336_TESTS_SUPPORT_FAILURES_H

#include "core/status.h"

/** @brief Does the work once; where it succeeds, it also gives back what it made. */
typedef Status (*Attempt)(void *context);

/**
 * @brief Lets the first allocation of an attempt fail, then only the second, and so on until it succeeds.
 * Each failure must be CS336_ENOMEM with a message and leave memory_in_use() as it was; there must be at least one.
 */
void assert_allocation_failures_are_clean(Attempt attempt, void *context);

/**
 * @brief The same, and every failure's message is one of those listed, each of which comes at least once:
 * `assert_allocation_failures_say(load, path, "load: no memory", "*: no memory for [0-9] arrays")`. They are patterns
 * of fnmatch(), for paths that only the test run knows and sizes that depend on the machine.
 */
#define assert_allocation_failures_say(attempt, context, ...) \
    assert_allocation_failures_say_these((attempt), (context), (const char *const[]){__VA_ARGS__, NULL})
void assert_allocation_failures_say_these(Attempt attempt, void *context, const char *const *messages);

/**
 * @brief The same with file_write(), as on a full disk: CS336_EIO, no memory lost, and no file more or less in
 * @p directory.
 */
void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory);

#endif

/**
 * @file
 * @brief Fault injection: makes every allocation, or every write, of a function fail once.
 *
 * All our memory comes from core/memory.h, which can be told to let the n-th allocation from now on return NULL
 * (memory_fail_at). The assertions below run an attempt with n = 1, 2, 3, ... until it succeeds. So every error path
 * that a missing allocation can take is run, and none of them may leak. file_fail_at() does the same for writes.
 */
#ifndef CS336_TESTS_SUPPORT_FAILURES_H
#define CS336_TESTS_SUPPORT_FAILURES_H

#include "core/status.h"

/** @brief Does the work once. If it succeeds, it also releases what it made. */
typedef Status (*Attempt)(void *context);

/**
 * @brief Lets the first allocation of an attempt fail, then only the second, and so on until the attempt succeeds.
 *
 * Each failed attempt must return CS336_ENOMEM with a message and leave memory_in_use() as it was. At least one attempt
 * must fail.
 */
void assert_allocation_failures_are_clean(Attempt attempt, void *context);

/**
 * @brief The same. In addition, every message must match one of the patterns, and every pattern must match a message.
 *
 * `assert_allocation_failures_say(load, path, "load: no memory", "*: no memory for [0-9] arrays")`. The patterns are
 * shell patterns, see fnmatch(): paths are known in the test run only, and some sizes depend on the machine.
 */
#define assert_allocation_failures_say(attempt, context, ...) \
    assert_allocation_failures_say_these((attempt), (context), (const char *const[]){__VA_ARGS__, NULL})
void assert_allocation_failures_say_these(Attempt attempt, void *context, const char *const *messages);

/**
 * @brief Lets each file_write() of an attempt fail in turn, as on a full disk.
 *
 * Each failed attempt must return CS336_EIO with a message, leak no memory, and leave the number of files in
 * @p directory unchanged.
 */
void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory);

#endif

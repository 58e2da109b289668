/* For fnmatch(). */
#define _POSIX_C_SOURCE 200809L

#include "tests/support/failures.h"

#include "core/file.h"
#include "core/memory.h"
#include "tests/support/files.h"

#include <check.h>
#include <fnmatch.h>
#include <stdint.h>

enum { MAX_ATTEMPTS = 100000 /* an attempt that still fails then never succeeds */ };

/* So that a message of an earlier failure cannot pass for one of the next. */
static void clear_message(void)
{
    ck_assert_int_eq(status_fail(CS336_EIO, "%s", ""), CS336_EIO);
}

/* Sets the bit of each pattern that matches the latest message. Fails if none does; without patterns, none is needed.
 */
static void check_message(const char *const *messages, uint64_t *matched)
{
    uint64_t matches = 0;
    for (size_t i = 0; messages && messages[i]; i++)
        if (fnmatch(messages[i], status_message(), 0) == 0)
            matches |= (uint64_t)1 << i;
    ck_assert_msg(!messages || matches, "unexpected message \"%s\"", status_message());
    *matched |= matches;
}

static void fail_each_allocation(Attempt attempt, void *context, const char *const *messages)
{
    uint64_t matched = 0;
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, MAX_ATTEMPTS);
        const size_t before = memory_in_use();
        clear_message();
        memory_fail_at(n);
        const Status s = attempt(context);
        memory_fail_at(0);
        ck_assert_msg(memory_in_use() == before, "failed allocation %zu: %zu bytes in use before, %zu after", n, before,
                      memory_in_use());
        if (!s) {
            ck_assert_msg(n > 1, "no allocation was made that could fail");
            break;
        }
        ck_assert_msg(s == CS336_ENOMEM && *status_message(), "failed allocation %zu: status %d, \"%s\"", n, (int)s,
                      status_message());
        check_message(messages, &matched);
    }
    for (size_t i = 0; messages && messages[i]; i++)
        ck_assert_msg(matched >> i & 1, "no failed attempt gave the message \"%s\"", messages[i]);
}

void assert_allocation_failures_are_clean(Attempt attempt, void *context)
{
    fail_each_allocation(attempt, context, NULL);
}

void assert_allocation_failures_say_these(Attempt attempt, void *context, const char *const *messages)
{
    fail_each_allocation(attempt, context, messages);
}

void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory)
{
    const size_t files = directory_entries(directory);
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, MAX_ATTEMPTS);
        const size_t before = memory_in_use();
        clear_message();
        file_fail_at(n);
        const Status s = attempt(context);
        file_fail_at(0);
        ck_assert_msg(memory_in_use() == before, "failed write %zu: %zu bytes in use before, %zu after", n, before,
                      memory_in_use());
        if (!s) {
            ck_assert_msg(n > 1, "nothing was written that could fail");
            return;
        }
        ck_assert_msg(s == CS336_EIO && *status_message(), "failed write %zu: status %d, \"%s\"", n, (int)s,
                      status_message());
        ck_assert_uint_eq(directory_entries(directory), files);
    }
}

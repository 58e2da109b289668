/* fnmatch() */
#define _POSIX_C_SOURCE 200809L

#include "tests/support/failures.h"

#include "core/file.h"
#include "core/memory.h"
#include "tests/support/files.h"

#include <check.h>
#include <fnmatch.h>
#include <stdint.h>

enum { ENDLESS = 100000 };

static void clear_message(void)
{
    ck_assert_int_eq(status_fail(CS336_EIO, "%s", ""), CS336_EIO);
}

/* Marks the patterns that the latest message fits; with no list any message is good. */
static void check_message(const char *const *messages, uint64_t *met)
{
    uint64_t fits = 0;
    for (size_t i = 0; messages && messages[i]; i++)
        if (fnmatch(messages[i], status_message(), 0) == 0)
            fits |= (uint64_t)1 << i;
    ck_assert_msg(!messages || fits, "nobody expected \"%s\"", status_message());
    *met |= fits;
}

static void walk_allocations(Attempt attempt, void *context, const char *const *messages)
{
    uint64_t met = 0;
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, ENDLESS);
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
        check_message(messages, &met);
    }
    for (size_t i = 0; messages && messages[i]; i++)
        ck_assert_msg(met >> i & 1, "no failure said \"%s\"", messages[i]);
}

void assert_allocation_failures_are_clean(Attempt attempt, void *context)
{
    walk_allocations(attempt, context, NULL);
}

void assert_allocation_failures_say_these(Attempt attempt, void *context, const char *const *messages)
{
    walk_allocations(attempt, context, messages);
}

void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory)
{
    const size_t files = directory_entries(directory);
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, ENDLESS);
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

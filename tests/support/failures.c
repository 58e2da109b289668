#include "tests/support/failures.h"

#include "core/file.h"
#include "core/memory.h"
#include "tests/support/files.h"

#include <check.h>

enum { ENDLESS = 100000 };

static void clear_message(void)
{
    ck_assert_int_eq(status_fail(CS336_EIO, "%s", ""), CS336_EIO);
}

void assert_allocation_failures_are_clean(Attempt attempt, void *context)
{
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
            return;
        }
        ck_assert_msg(s == CS336_ENOMEM && *status_message(), "failed allocation %zu: status %d, \"%s\"", n, (int)s,
                      status_message());
    }
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

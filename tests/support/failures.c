/* For fnmatch(). */
#define _POSIX_C_SOURCE 200809L

#include "tests/support/failures.h"

#include "core/file.h"
#include "core/memory.h"
#include "tests/support/check.h"
#include "tests/support/files.h"

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

typedef struct {
    const char *name;
    size_t (*fail_at)(size_t n); /* the n-th one from now on fails; 0: none */
    Status status;               /* of an attempt in which one failed */
} Fault;

static const Fault allocation_fault = {"allocation", memory_fail_at, CS336_ENOMEM},
                   write_fault = {"write", file_fail_at, CS336_EIO};

/* Lets the n-th fault happen for n = 1, 2, 3, ... until an attempt succeeds. messages and directory may be NULL. */
static void fail_each(const Fault *fault, Attempt attempt, void *context, const char *const *messages,
                      const char *directory)
{
    const size_t files = directory ? directory_entries(directory) : 0;
    uint64_t matched = 0;
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, MAX_ATTEMPTS);
        /* One attempt. Whether it fails or succeeds, it leaks nothing. */
        const size_t bytes = memory_in_use();
        clear_message();
        fault->fail_at(n);
        const Status s = attempt(context);
        fault->fail_at(0);
        ck_assert_msg(memory_in_use() == bytes, "failed %s %zu: %zu bytes in use before, %zu after", fault->name, n,
                      bytes, memory_in_use());
        if (!s) {
            ck_assert_msg(n > 1, "the attempt made no %s that could fail", fault->name);
            break;
        }
        /* It failed: with the right status and message, and without a temporary file. */
        ck_assert_msg(s == fault->status && *status_message(), "failed %s %zu: status %d, \"%s\"", fault->name, n,
                      (int)s, status_message());
        check_message(messages, &matched);
        if (directory)
            ck_assert_uint_eq(directory_entries(directory), files);
    }
    for (size_t i = 0; messages && messages[i]; i++)
        ck_assert_msg(matched >> i & 1, "no failed attempt gave the message \"%s\"", messages[i]);
}

void assert_allocation_failures_are_clean(Attempt attempt, void *context)
{
    fail_each(&allocation_fault, attempt, context, NULL, NULL);
}

void assert_allocation_failures_say_these(Attempt attempt, void *context, const char *const *messages)
{
    fail_each(&allocation_fault, attempt, context, messages, NULL);
}

void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory)
{
    fail_each(&write_fault, attempt, context, NULL, directory);
}

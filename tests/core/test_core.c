#include "core/memory.h"
#include "core/parallel.h"
#include "core/printable.h"
#include "core/rng.h"
#include "core/status.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- status ---- */

START_TEST(test_status_message_may_hold_the_previous_one)
{
    assert_fails(status_fail(CS336_EIO, "%d bytes", 3), CS336_EIO, "3 bytes");
    assert_fails(status_fail(CS336_EFORMAT, "file: %s", status_message()), CS336_EFORMAT, "file: 3 bytes");
    assert_fails(status_fail(CS336_EFORMAT, "%s", status_message()), CS336_EFORMAT, "file: 3 bytes");
}
END_TEST

START_TEST(test_status_message_is_cut_where_its_buffer_ends)
{
    ck_assert_int_eq(status_fail(CS336_EIO, "%2000d", 1), CS336_EIO);
    ck_assert_uint_eq(strlen(status_message()), 511);
}
END_TEST

/* Messages end with their reason: "PATH: cannot write: No space left on device". */
START_TEST(test_status_message_keeps_its_beginning_and_its_end)
{
    char path[5001], expected[512];
    for (size_t i = 0; i < sizeof path - 1; i += 2)
        memcpy(path + i, "\xC3\xA9", 2);
    path[sizeof path - 1] = '\0';
    ck_assert_int_eq(status_fail(CS336_EIO, "%s: cannot write: no space", path), CS336_EIO);
    ck_assert_uint_le(strlen(status_message()), 511);
    snprintf(expected, sizeof expected, "%.160s ... ", path);
    ck_assert_int_eq(strncmp(status_message(), expected, strlen(expected)), 0);
    ck_assert_str_eq(strstr(status_message(), "...") + 4 + strlen("\xC3\xA9") * 161, ": cannot write: no space");
}
END_TEST

START_TEST(test_status_message_is_safe_to_print)
{
    assert_fails(status_fail(CS336_EIO, "%s", "\x1B[2J\r\n\t\x7F"), CS336_EIO, "\\x1B[2J\\x0D\\x0A\\x09\\x7F");
    /* U+00E9, U+4E2D and U+1F600 stay. U+0085, U+202E, U+2066, U+FEFF and bytes that are no UTF-8 do not. */
    assert_fails(status_fail(CS336_EIO, "\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"), CS336_EIO,
                 "\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80");
    assert_fails(status_fail(CS336_EIO, "\xC2\x85|\xE2\x80\xAE|\xE2\x81\xA6|\xEF\xBB\xBF|\xFF|\xE4\xB8"), CS336_EIO,
                 "\\xC2\\x85|\\xE2\\x80\\xAE|\\xE2\\x81\\xA6|\\xEF\\xBB\\xBF|\\xFF|\\xE4\\xB8");
}
END_TEST

/* Random bytes, of every length around the buffer's size: the text is safe, ends in time, and is its own safe form. */
START_TEST(test_printable_text_of_random_bytes)
{
    Rng rng = rng_seeded(3);
    for (size_t length = 0; length < 1200; length++) {
        char bytes[1200];
        const uint64_t range = length % 3 ? 256 : 16; /* a third are control characters alone */
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)rng_below(&rng, (uint32_t)range);
        const PrintableText safe = printable_bytes(bytes, length), again = printable(safe.text);
        ck_assert_uint_lt(strlen(safe.text), sizeof safe.text);
        ck_assert_str_eq(again.text, safe.text);
        for (const char *c = safe.text; *c; c++)
            ck_assert((unsigned char)*c >= ' ' && *c != 0x7F);
    }
}
END_TEST

START_TEST(test_status_message_belongs_to_its_thread)
{
    int foreign = 0;
    ck_assert_int_eq(status_fail(CS336_EIO, "outside"), CS336_EIO);
#pragma omp parallel num_threads(3) reduction(+ : foreign)
    {
        char mine[32];
        snprintf(mine, sizeof mine, "thread %d", parallel_thread());
        const Status s = parallel_thread() ? status_fail(CS336_ERANGE, "%s", mine) : CS336_OK;
#pragma omp barrier
        foreign += strcmp(status_message(), s ? mine : "outside") != 0;
    }
    ck_assert_int_eq(foreign, 0);
}
END_TEST

/* ---- memory ---- */

START_TEST(test_memory_of_the_process_has_a_peak)
{
    enum { MUCH = 64 << 20 };
    const size_t before = memory_process_peak();
    ck_assert_uint_gt(before, 1 << 16);
    uint8_t *allocation = memory_allocate(MUCH);
    ck_assert_ptr_nonnull(allocation);
    memset(allocation, 1, MUCH);
    const size_t with = memory_process_peak();
    memory_release(allocation);
    ck_assert_uint_ge(with, MUCH);
    ck_assert_uint_ge(memory_process_peak(), MUCH); /* the system counts some pages too many or too few */
    ck_assert_uint_lt(before, with);
}
END_TEST

START_TEST(test_memory_counts_the_bytes_asked_for)
{
    const size_t before = memory_in_use();
    memory_reset_peak();
    void *first = memory_allocate(100), *second = memory_allocate_zeroed(3, 50);
    ck_assert_uint_eq(memory_in_use(), before + 250);
    first = memory_resize(first, 10);
    ck_assert_uint_eq(memory_in_use(), before + 160);
    memory_release(second);
    ck_assert_uint_eq(memory_in_use(), before + 10);
    ck_assert_uint_eq(memory_peak(), before + 260);
    memory_reset_peak();
    ck_assert_uint_eq(memory_peak(), before + 10);
    memory_release(first);
    memory_release(NULL);
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

START_TEST(test_allocations_are_aligned_and_do_not_overlap)
{
    enum { ALLOCATIONS = 300 };
    unsigned char *allocations[ALLOCATIONS];
    for (size_t i = 0; i < ALLOCATIONS; i++) {
        test_label("allocation %zu", i);
        allocations[i] = memory_allocate(i);
        ck_assert_uint_eq((uintptr_t)allocations[i] % MEMORY_ALIGNMENT, 0);
        memset(allocations[i], (int)i % 251, i);
    }
    for (size_t i = 0; i < ALLOCATIONS; i++) {
        test_label("allocation %zu", i);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_eq(allocations[i][j], i % 251);
        memory_release(allocations[i]);
    }
}
END_TEST

START_TEST(test_memory_is_zeroed_on_demand)
{
    for (int round = 0; round < 20; round++) {
        test_label("round %d", round);
        unsigned char *dirty = memory_allocate(3000);
        memset(dirty, 0xa5, 3000);
        memory_release(dirty);
        unsigned char *clean = memory_allocate_zeroed(1000, 3);
        for (size_t i = 0; i < 3000; i++)
            ck_assert_uint_eq(clean[i], 0);
        memory_release(clean);
    }
}
END_TEST

START_TEST(test_memory_resize_keeps_the_contents)
{
    char *text = memory_resize(NULL, 8);
    memcpy(text, "1234567", 8);
    text = memory_resize(text, 100000);
    ck_assert_str_eq(text, "1234567");
    text = memory_resize(text, 4);
    ck_assert_mem_eq(text, "1234", 4);
    memory_fail_at(1);
    ck_assert_ptr_null(memory_resize(text, 5));
    ck_assert_mem_eq(text, "1234", 4);
    memory_release(text);
}
END_TEST

START_TEST(test_memory_limit_refuses_what_exceeds_it)
{
    const size_t before = memory_in_use();
    memory_reset_peak();
    memory_set_limit(before + 100);
    ck_assert_ptr_null(memory_allocate(101));
    void *allocation = memory_allocate(100);
    ck_assert_ptr_nonnull(allocation);
    ck_assert_ptr_null(memory_allocate(1));
    ck_assert_uint_eq(memory_in_use(), before + 100);
    memory_set_limit(0);
    void *more = memory_allocate(1);
    ck_assert_ptr_nonnull(more);
    memory_release(more);
    memory_release(allocation);
    ck_assert_uint_eq(memory_in_use(), before);
    ck_assert_uint_eq(memory_peak(), before + 101);
}
END_TEST

START_TEST(test_memory_that_was_refused_does_not_count)
{
    const size_t before = memory_in_use();
    memory_reset_peak();
    ck_assert_ptr_null(memory_allocate(SIZE_MAX));
    ck_assert_ptr_null(memory_allocate_zeroed(SIZE_MAX / 2, 3));
    if (!test_is_instrumented()) /* sanitizers end the process here */
        ck_assert_ptr_null(memory_allocate(SIZE_MAX / 4));
    ck_assert_uint_eq(memory_in_use(), before);
    ck_assert_uint_eq(memory_peak(), before);
}
END_TEST

START_TEST(test_memory_fails_once_at_the_chosen_allocation)
{
    memory_fail_at(3);
    for (int i = 1; i <= 5; i++) {
        test_label("allocation %d", i);
        void *allocation = memory_allocate(1);
        ck_assert_int_eq(allocation == NULL, i == 3);
        memory_release(allocation);
    }
    test_label_end();
    memory_fail_at(1);
    memory_fail_at(0);
    void *allocation = memory_allocate(1);
    ck_assert_ptr_nonnull(allocation);
    memory_release(allocation);
}
END_TEST

START_TEST(test_memory_counts_across_threads)
{
    const size_t before = memory_in_use();
    memory_reset_peak();
    memory_set_limit(before + 4000);
#pragma omp parallel for num_threads(3)
    for (int i = 0; i < 3000; i++) {
        void *allocation = memory_allocate((size_t)i % 2000), *larger = memory_resize(allocation, 2100);
        memory_release(larger ? larger : allocation);
        memory_release(memory_allocate_zeroed((size_t)i % 100, 3));
    }
    memory_set_limit(0);
    ck_assert_uint_eq(memory_in_use(), before);
    ck_assert_uint_le(memory_peak(), before + 4000);
}
END_TEST

START_TEST(test_memory_sizes_saturate_instead_of_wrapping)
{
    ck_assert_uint_eq(memory_product(7, 6), 42);
    ck_assert_uint_eq(memory_product(SIZE_MAX, 0), 0);
    ck_assert_uint_eq(memory_product(SIZE_MAX, 1), SIZE_MAX);
    ck_assert_uint_eq(memory_product(SIZE_MAX / 2 + 1, 2), SIZE_MAX);
    ck_assert_uint_eq(memory_aligned(0), 0);
    ck_assert_uint_eq(memory_aligned(1), 64);
    ck_assert_uint_eq(memory_aligned(128), 128);
    ck_assert_uint_eq(memory_aligned(SIZE_MAX - 63), SIZE_MAX - 63);
    ck_assert_uint_eq(memory_aligned(SIZE_MAX - 62), SIZE_MAX);
}
END_TEST

START_TEST(test_memory_copies_text)
{
    const char *text = "copied";
    char *copy = memory_copy_text(text);
    ck_assert_str_eq(copy, text);
    ck_assert_ptr_ne(copy, text);
    memory_release(copy);
    memory_fail_at(1);
    ck_assert_ptr_null(memory_copy_text(text));
}
END_TEST

/* ---- parallel ---- */

START_TEST(test_parallel_failure_is_the_first_one_with_its_message)
{
    ParallelFailure failure = {0};
    ck_assert(!parallel_failed(&failure));
    assert_ok(parallel_result(&failure));
    parallel_set_threads(3);
    const int last = parallel_threads() - 1;
    char expected[32];
    snprintf(expected, sizeof expected, "on thread %d", last);
#pragma omp parallel num_threads(parallel_threads())
    if (parallel_thread() == last)
        parallel_fail(&failure, status_fail(CS336_EIO, "on thread %d", parallel_thread()));
    parallel_fail(&failure, status_fail(CS336_ERANGE, "too late"));
    ck_assert(parallel_failed(&failure));
    assert_fails(parallel_result(&failure), CS336_EIO, expected);
}
END_TEST

START_TEST(test_parallel_reserves_a_workspace_for_each_thread)
{
    parallel_set_threads(3);
    const int threads = parallel_threads();
    assert_ok(parallel_reserve(1000, 500));
    memset(parallel_shared(parallel_workspace()), 9, 1000);
    unsigned char *of_thread[64] = {0};
    const ParallelWorkspace *workspace = parallel_workspace();
#pragma omp parallel num_threads(threads)
    {
        unsigned char *own = parallel_private(workspace);
        memset(own, parallel_thread() + 1, 500);
        of_thread[parallel_thread()] = own;
    }
    for (int t = 0; t < threads && of_thread[t]; t++) {
        test_label("thread %d", t);
        ck_assert_uint_eq((uintptr_t)of_thread[t] % MEMORY_ALIGNMENT, 0);
        for (size_t i = 0; i < 500; i++)
            ck_assert_int_eq(of_thread[t][i], t + 1);
    }
    test_label_end();
    ck_assert_ptr_eq(parallel_private(parallel_workspace()), of_thread[0]);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_eq(((unsigned char *)parallel_shared(parallel_workspace()))[i], 9);
    parallel_release();
}
END_TEST

START_TEST(test_parallel_workspace_only_grows)
{
    const size_t before = memory_in_use();
    parallel_set_threads(1);
    assert_ok(parallel_reserve(1000, 0));
    const size_t after = memory_in_use();
    const void *shared = parallel_shared(parallel_workspace());
    assert_ok(parallel_reserve(10, 0));
    ck_assert_ptr_eq(parallel_shared(parallel_workspace()), shared);
    ck_assert_uint_eq(memory_in_use(), after);
    assert_ok(parallel_reserve(0, 100));
    ck_assert_ptr_eq(parallel_shared(parallel_workspace()), shared);
    assert_ok(parallel_reserve(5000, 0));
    memset(parallel_shared(parallel_workspace()), 1, 5000);
    memset(parallel_private(parallel_workspace()), 1, 100);
    parallel_set_threads(2);
    assert_ok(parallel_reserve(0, 0));
    const ParallelWorkspace *workspace = parallel_workspace();
#pragma omp parallel num_threads(2)
    memset(parallel_private(workspace), 1, 100);
    parallel_release();
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

START_TEST(test_parallel_reserve_recovers_from_a_want_of_memory)
{
    const size_t before = memory_in_use();
    parallel_set_threads(1);
    memory_fail_at(1);
    ck_assert_int_eq(parallel_reserve(0, 0), CS336_ENOMEM);
    ck_assert_ptr_null(parallel_workspace());
    memory_fail_at(2);
    assert_fails(parallel_reserve(100, 100), CS336_ENOMEM, "parallel_reserve: no memory for 128 bytes");
    memory_fail_at(2);
    assert_fails(parallel_reserve(100, 200), CS336_ENOMEM, "parallel_reserve: no memory for 256 bytes");
    assert_fails(parallel_reserve(0, SIZE_MAX - 1), CS336_ENOMEM,
                 "parallel_reserve: no memory for 18446744073709551615 bytes");
    assert_ok(parallel_reserve(100, 200));
    memset(parallel_shared(parallel_workspace()), 1, 100);
    memset(parallel_private(parallel_workspace()), 1, 200);
    parallel_release();
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

START_TEST(test_parallel_threads_follow_the_choice)
{
    parallel_set_threads(0);
    const int at_first = parallel_threads();
    ck_assert_int_ge(at_first, 1);
    ck_assert_int_eq(parallel_thread(), 0);
    parallel_set_threads(3);
#ifdef _OPENMP
    ck_assert_int_eq(parallel_threads(), 3);
#else
    ck_assert_int_eq(parallel_threads(), 1);
#endif
    parallel_set_threads(0);
    ck_assert_int_eq(parallel_threads(), at_first);
}
END_TEST

const TestCase core_tests[] = {
    TEST(test_status_message_may_hold_the_previous_one, "status"),
    TEST(test_status_message_is_cut_where_its_buffer_ends, "status"),
    TEST(test_status_message_keeps_its_beginning_and_its_end, "core"),
    TEST(test_status_message_is_safe_to_print, "core"),
    TEST(test_printable_text_of_random_bytes, "core"),
    TEST(test_status_message_belongs_to_its_thread, "status"),
    TEST(test_memory_of_the_process_has_a_peak, "memory"),
    TEST(test_memory_counts_the_bytes_asked_for, "memory"),
    TEST(test_allocations_are_aligned_and_do_not_overlap, "memory"),
    TEST(test_memory_is_zeroed_on_demand, "memory"),
    TEST(test_memory_resize_keeps_the_contents, "memory"),
    TEST(test_memory_limit_refuses_what_exceeds_it, "memory"),
    TEST(test_memory_that_was_refused_does_not_count, "memory"),
    TEST(test_memory_fails_once_at_the_chosen_allocation, "memory"),
    TEST(test_memory_counts_across_threads, "memory"),
    TEST(test_memory_sizes_saturate_instead_of_wrapping, "memory"),
    TEST(test_memory_copies_text, "memory"),
    TEST(test_parallel_failure_is_the_first_one_with_its_message, "parallel"),
    TEST(test_parallel_reserves_a_workspace_for_each_thread, "parallel"),
    TEST(test_parallel_workspace_only_grows, "parallel"),
    TEST(test_parallel_reserve_recovers_from_a_want_of_memory, "parallel"),
    TEST(test_parallel_threads_follow_the_choice, "parallel"),
    {0},
};

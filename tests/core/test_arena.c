#include "core/arena.h"
#include "core/memory.h"
#include "core/tensor.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <stdint.h>

typedef struct {
    Tensor hidden;
    float *number;
} Views;

static Status bind_views(Views *views, Arena *arena)
{
    const size_t start = arena_mark(arena);
    views->hidden = arena_tensor(arena, 3, 5);
    const size_t mark = arena_mark(arena);
    arena_tensor(arena, 1000);
    arena_release(arena, mark);
    views->number = arena_take(arena, sizeof *views->number);
    return arena_keep(arena, start);
}

START_TEST(test_arena_measures_then_binds_with_the_same_calls)
{
    Views views;
    Arena measure = {0}, arena;
    const size_t before = memory_in_use();
    assert_ok(bind_views(&views, &measure));
    ck_assert_ptr_null(views.hidden.data);
    ck_assert_ptr_null(views.number);
    ck_assert_uint_eq(measure.peak, 64 + 4032); /* 60 bytes and 4000 bytes, each rounded up */
    ck_assert_uint_eq(measure.used, 64 + 64);
    assert_ok(arena_init(&arena, measure.peak));
    assert_ok(bind_views(&views, &arena));
    ck_assert_str_eq(tensor_shape_text(views.hidden), "(3, 5)");
    ck_assert_ptr_eq(views.hidden.data, arena.base);
    ck_assert_ptr_eq(views.number, arena.base + 64);
    for (size_t i = 0; i < 15; i++)
        ck_assert(views.hidden.data[i] == 0);
    arena_deinit(&arena);
    arena_deinit(&arena);
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

START_TEST(test_arena_says_when_it_is_full)
{
    Arena arena;
    assert_ok(arena_init(&arena, 100));
    ck_assert_ptr_eq(arena_take(&arena, 1), arena.base);
    const size_t mark = arena_mark(&arena);
    ck_assert_ptr_null(arena_take(&arena, 65));
    assert_fails(arena_keep(&arena, mark), CS336_ENOMEM, "arena_take: 65 bytes asked for, 64 of 128 left");
    const Tensor view = arena_tensor(&arena, 17);
    assert_fails(arena_keep(&arena, mark), CS336_ENOMEM, "arena_take: 68 bytes asked for, 64 of 128 left");
    ck_assert_ptr_null(view.data);
    ck_assert_str_eq(tensor_shape_text(view), "(17)");
    ck_assert_ptr_eq(arena_take(&arena, 64), arena.base + 64);
    assert_ok(arena_status(&arena));
    ck_assert_ptr_null(arena_take(&arena, SIZE_MAX - 3));
    assert_fails(arena_status(&arena), CS336_ENOMEM, "arena_take: 18446744073709551612 bytes asked for, 0 of 128 left");
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_arena_has_two_ends)
{
    Arena measure = {0}, arena;
    arena_take(&measure, 65);
    ck_assert_ptr_null(arena_tensor_at_end(&measure, 1, (size_t[]){1}).data);
    arena_release(&measure, 0);
    ck_assert_ptr_null(arena_tensor_at_end(&measure, 1, (size_t[]){17}).data);
    ck_assert_uint_eq(measure.peak, 192); /* 128 + 64 together; later 64 + 128 at the end alone */
    arena_expect(&measure, 128);
    ck_assert_uint_eq(measure.peak, 320);

    /* From the end towards the front. What is released at the front leaves the end alone. */
    assert_ok(arena_init(&arena, 320));
    const Tensor last = arena_tensor_at_end(&arena, 1, (size_t[]){1}),
                 before = arena_tensor_at_end(&arena, 2, (size_t[]){1, 17});
    ck_assert_ptr_eq(last.data, arena.base + 256);
    ck_assert_ptr_eq(before.data, arena.base + 128);
    ck_assert_ptr_eq(arena_take(&arena, 128), arena.base);
    ck_assert_uint_eq(arena.peak, 320);

    /* Neither side reaches into the other. */
    ck_assert_ptr_null(arena_take(&arena, 1));
    assert_fails(arena_status(&arena), CS336_ENOMEM, "arena_take: 1 bytes asked for, 0 of 320 left");
    arena_release(&arena, 64);
    ck_assert_ptr_null(arena_tensor_at_end(&arena, 1, (size_t[]){17}).data);
    assert_fails(arena_status(&arena), CS336_ENOMEM, "arena_take: 68 bytes asked for, 64 of 320 left");
    arena_release(&arena, 64);
    ck_assert_ptr_eq(arena_tensor_at_end(&arena, 1, (size_t[]){16}).data, arena.base + 64);

    /* The same calls give the same addresses again. */
    arena_release_end(&arena);
    ck_assert_ptr_eq(arena_tensor_at_end(&arena, 1, (size_t[]){1}).data, last.data);
    ck_assert_uint_eq(arena.used, 64);
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_arena_remembers_what_did_not_fit)
{
    Arena arena;
    assert_ok(arena_init(&arena, 192));
    const size_t mark = arena_mark(&arena);
    arena_take(&arena, 64);
    ck_assert_ptr_null(arena_take(&arena, 129));
    ck_assert_ptr_null(arena_take(&arena, 1)); /* would fit */
    const size_t late = arena_mark(&arena);
    arena_release(&arena, late); /* as a callee does that took nothing */
    const char *first = "arena_take: 129 bytes asked for, 128 of 192 left";
    assert_fails(arena_status(&arena), CS336_ENOMEM, first);
    assert_fails(arena_keep(&arena, late), CS336_ENOMEM, first);
    ck_assert_uint_eq(arena.used, 64);
    assert_fails(arena_keep(&arena, mark), CS336_ENOMEM, first);
    ck_assert_uint_eq(arena.used, 0);
    assert_ok(arena_status(&arena));
    ck_assert_ptr_eq(arena_take(&arena, 192), arena.base);
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_arena_expects_what_a_callee_takes)
{
    Arena measure = {0};
    arena_take(&measure, 64);
    arena_expect(&measure, 200);
    arena_expect(&measure, 100);
    ck_assert_uint_eq(measure.used, 64);
    ck_assert_uint_eq(measure.peak, 264);
    arena_expect(&measure, SIZE_MAX);
    ck_assert_uint_eq(measure.peak, SIZE_MAX);
}
END_TEST

START_TEST(test_arena_refuses_to_measure_what_no_memory_holds)
{
    Arena measure = {0};
    arena_tensor(&measure, (size_t)1 << 40, (size_t)1 << 40);
    assert_fails(arena_keep(&measure, 0), CS336_ENOMEM,
                 "arena_take: the sizes need more than the 18446744073709551615 bytes that a program can address");
    ck_assert_uint_eq(measure.peak, SIZE_MAX);
    measure = (Arena){0};
    arena_tensor(&measure, (size_t)1 << 40, (size_t)1 << 21); /* 2^63 bytes */
    ck_assert_uint_eq(measure.peak, (size_t)1 << 63);
    arena_tensor(&measure, (size_t)1 << 40, (size_t)1 << 21);
    assert_fails(arena_status(&measure), CS336_ENOMEM,
                 "arena_take: the sizes need more than the 18446744073709551615 bytes that a program can address");
    ck_assert_uint_eq(measure.peak, SIZE_MAX);
}
END_TEST

START_TEST(test_arena_init_reports_a_want_of_memory)
{
    Arena arena;
    memory_fail_at(1);
    assert_fails(arena_init(&arena, 5), CS336_ENOMEM, "arena_init: no memory for 5 bytes");
    ck_assert_ptr_null(arena.base);
    assert_fails(arena_init(&arena, SIZE_MAX), CS336_ENOMEM, "arena_init: no memory for 18446744073709551615 bytes");
    arena_deinit(&arena);
}
END_TEST

const TestCase arena_tests[] = {
    TEST(test_arena_measures_then_binds_with_the_same_calls, "arena"),
    TEST(test_arena_has_two_ends, "arena"),
    TEST(test_arena_says_when_it_is_full, "arena"),
    TEST(test_arena_remembers_what_did_not_fit, "arena"),
    TEST(test_arena_expects_what_a_callee_takes, "arena"),
    TEST(test_arena_refuses_to_measure_what_no_memory_holds, "arena"),
    TEST(test_arena_init_reports_a_want_of_memory, "arena"),
    {0},
};

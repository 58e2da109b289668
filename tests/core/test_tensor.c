#include "core/tensor.h"

#include "core/parameter.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <stdint.h>
#include <string.h>

enum { BATCH = 2, SEQ = 3, D = 8, N = BATCH * SEQ * D };

/* Returns a (BATCH, SEQ, D) tensor in which each element is its own row-major index. */
static Tensor counted(float *numbers)
{
    for (int i = 0; i < N; i++)
        numbers[i] = (float)i;
    return tensor(numbers, BATCH, SEQ, D);
}

static float at(Tensor t, size_t i, size_t j, size_t k)
{
    ck_assert_int_eq(t.rank, 3);
    return t.data[(ptrdiff_t)i * t.stride[0] + (ptrdiff_t)j * t.stride[1] + (ptrdiff_t)k * t.stride[2]];
}

START_TEST(test_tensor_is_row_major)
{
    float numbers[N];
    const Tensor x = counted(numbers);
    for (size_t i = 0; i < BATCH; i++)
        for (size_t j = 0; j < SEQ; j++)
            for (size_t k = 0; k < D; k++) {
                test_label("[%zu, %zu, %zu]", i, j, k);
                ck_assert(at(x, i, j, k) == numbers[(i * SEQ + j) * D + k]);
            }
    test_label_end();
    ck_assert_uint_eq(tensor_extent(x, 0), BATCH);
    ck_assert_uint_eq(tensor_extent(x, -1), D);
    ck_assert_uint_eq(tensor_extent(x, -3), BATCH);
    ck_assert_uint_eq(tensor_count(x), N);
    ck_assert_uint_eq(tensor_rows(x), BATCH * SEQ);
    ck_assert_uint_eq(tensor_rows(tensor(numbers, 5)), 1);
    ck_assert_ptr_eq(tensor_row(tensor(numbers, 5), 0), numbers);
}
END_TEST

START_TEST(test_tensor_split_makes_heads_without_copying)
{
    float numbers[N];
    const Tensor heads = tensor_transpose(tensor_split(counted(numbers), -1, 4), 1, 2);
    ck_assert_str_eq(tensor_shape_text(heads), "(2, 4, 3, 2)");
    for (size_t b = 0; b < BATCH; b++)
        for (size_t head = 0; head < 4; head++)
            for (size_t s = 0; s < SEQ; s++) {
                test_label("batch %zu, head %zu, position %zu", b, head, s);
                ck_assert_ptr_eq(tensor_row(heads, (b * 4 + head) * SEQ + s), &numbers[(b * SEQ + s) * D + head * 2]);
            }
}
END_TEST

START_TEST(test_tensor_transpose_exchanges_two_dimensions)
{
    float numbers[N];
    const Tensor x = counted(numbers), y = tensor_transpose(x, 0, -1);
    ck_assert_str_eq(tensor_shape_text(y), "(8, 3, 2)");
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < SEQ; j++)
            for (size_t k = 0; k < BATCH; k++) {
                test_label("[%zu, %zu, %zu]", i, j, k);
                ck_assert(at(y, i, j, k) == at(x, k, j, i));
            }
}
END_TEST

START_TEST(test_tensor_slice_and_select_are_views)
{
    float numbers[N];
    const Tensor x = counted(numbers), slice = tensor_slice(x, -1, 2, 3), row = tensor_select(x, 1, 2);
    ck_assert_str_eq(tensor_shape_text(slice), "(2, 3, 3)");
    ck_assert(at(slice, 1, 2, 0) == at(x, 1, 2, 2));
    ck_assert(at(slice, 0, 1, 2) == at(x, 0, 1, 4));
    ck_assert_str_eq(tensor_shape_text(row), "(2, 8)");
    for (size_t b = 0; b < BATCH; b++)
        for (size_t i = 0; i < D; i++)
            ck_assert(tensor_row(row, b)[i] == at(x, b, 2, i));
    ck_assert_ptr_null(tensor_slice(tensor(NULL, 4), 0, 2, 2).data);
}
END_TEST

START_TEST(test_tensor_with_last_undoes_a_slice_of_the_last_dimension)
{
    float numbers[N];
    const Tensor x = counted(numbers), wide = tensor_with_last(tensor_slice(x, -1, 2, 3), 6);
    ck_assert_str_eq(tensor_shape_text(wide), "(2, 3, 6)");
    ck_assert(at(wide, 1, 2, 5) == at(x, 1, 2, 7));
}
END_TEST

START_TEST(test_tensor_insert_adds_an_extent_of_one)
{
    float numbers[N];
    const Tensor x = tensor_select(counted(numbers), 0, 1);
    const Tensor front = tensor_insert(x, 0), middle = tensor_insert(x, -1), back = tensor_insert(x, 2);
    ck_assert_str_eq(tensor_shape_text(front), "(1, 3, 8)");
    ck_assert_str_eq(tensor_shape_text(middle), "(3, 1, 8)");
    ck_assert_str_eq(tensor_shape_text(back), "(3, 8, 1)");
    ck_assert(at(front, 0, 2, 5) == at(middle, 2, 0, 5));
    ck_assert(at(back, 2, 5, 0) == at(middle, 2, 0, 5));
    ck_assert(tensor_contiguous(front) && tensor_contiguous(middle) && tensor_contiguous(back));
}
END_TEST

START_TEST(test_tensor_contiguity_ignores_extents_of_one)
{
    float numbers[N];
    const Tensor x = counted(numbers), slice = tensor_slice(x, -1, 0, 4), column = tensor_slice(x, -1, 3, 1);
    ck_assert(tensor_contiguous(x) && tensor_rows_contiguous(x));
    ck_assert(!tensor_contiguous(slice) && tensor_rows_contiguous(slice));
    ck_assert(!tensor_contiguous(tensor_transpose(x, 1, 2)) && !tensor_rows_contiguous(tensor_transpose(x, 1, 2)));
    ck_assert(!tensor_contiguous(column) && tensor_rows_contiguous(column));
    ck_assert(tensor_contiguous(tensor_slice(x, 0, 1, 1)));
    ck_assert(tensor_contiguous(tensor_transpose(tensor(numbers, 1, 7), 0, 1)));
}
END_TEST

START_TEST(test_tensor_reshape_keeps_the_order)
{
    float numbers[N];
    const Tensor x = tensor_reshape(counted(numbers), 4, 12);
    ck_assert_str_eq(tensor_shape_text(x), "(4, 12)");
    ck_assert_ptr_eq(tensor_row(x, 3), numbers + 36);
}
END_TEST

START_TEST(test_tensor_shapes_are_compared_by_extents)
{
    float numbers[N];
    const Tensor x = counted(numbers), y = tensor(numbers, BATCH, SEQ, 1);
    ck_assert(tensor_same_shape(x, tensor_transpose(tensor(numbers, D, SEQ, BATCH), 0, 2)));
    ck_assert(!tensor_same_shape(x, y));
    ck_assert(tensor_same_leading(x, y, 1));
    ck_assert(!tensor_same_leading(x, tensor(numbers, BATCH, 1, 1), 1));
    ck_assert(!tensor_same_leading(x, tensor(numbers, BATCH, SEQ), 1));
}
END_TEST

START_TEST(test_tensor_copy_between_any_strides)
{
    float numbers[N], straight[N], back[N];
    const Tensor x = counted(numbers), y = tensor(straight, D, SEQ, BATCH), z = tensor(back, BATCH, SEQ, D);
    tensor_copy(y, tensor_transpose(x, 0, 2));
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < SEQ; j++)
            for (size_t k = 0; k < BATCH; k++) {
                test_label("[%zu, %zu, %zu]", i, j, k);
                ck_assert(at(y, i, j, k) == at(x, k, j, i));
            }
    test_label_end();
    tensor_copy(tensor_transpose(z, 0, 2), y);
    assert_allclose(z, x, 0, 0);
}
END_TEST

START_TEST(test_tensor_fill_leaves_what_is_outside_the_view)
{
    float numbers[N], transposed[N];
    const Tensor x = counted(numbers);
    tensor_fill(tensor_slice(tensor_slice(x, -1, 2, 3), 1, 1, 1), -1);
    for (size_t i = 0; i < N; i++)
        ck_assert_float_eq(numbers[i], i / D % SEQ == 1 && i % D >= 2 && i % D < 5 ? -1 : (float)i);
    tensor_fill(tensor_slice(tensor_transpose(counted(transposed), 1, 2), -1, 0, 2), -1);
    for (size_t i = 0; i < N; i++)
        ck_assert_float_eq(transposed[i], i / D % SEQ < 2 ? -1 : (float)i);
}
END_TEST

/* Powers of two and their squares are exact, and 1e30 squared is beyond float. */
START_TEST(test_tensor_sum_of_squares_is_in_double)
{
    static float numbers[100000];
    double expected = 0;
    for (size_t i = 0; i < 100000; i++) {
        numbers[i] = i % 3 ? 0.5F : -1024;
        expected += (double)numbers[i] * (double)numbers[i];
    }
    static const size_t counts[] = {0, 1, 63, 64, 65, 4096, 99999};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double sum = 0;
        for (size_t j = 0; j < counts[i]; j++)
            sum += (double)numbers[j] * (double)numbers[j];
        test_label("%zu numbers", counts[i]);
        ck_assert_double_eq(tensor_sum_of_squares(tensor(numbers, counts[i])), sum);
    }
    test_label_end();
    ck_assert_double_eq(tensor_sum_of_squares(tensor(numbers, 10, 10000)), expected);
    float huge[2] = {1e30F, 0};
    ck_assert_double_eq_tol(tensor_sum_of_squares(tensor(huge, 2)) / 1e60, 1, 1e-6);
}
END_TEST

START_TEST(test_tensor_extents_beyond_memory_are_no_overflow)
{
    const Tensor x = tensor(NULL, SIZE_MAX, SIZE_MAX);
    ck_assert_str_eq(tensor_shape_text(x), "(18446744073709551615, 18446744073709551615)");
}
END_TEST

START_TEST(test_tokens_broadcast_repeats_by_a_stride_of_zero)
{
    const int32_t ids[6] = {10, 11, 12, 13, 14, 15};
    TokenTensor positions = tokens(ids, 3);
    ck_assert(tokens_broadcast(&positions, 3, (size_t[]){2, 4, 3}));
    ck_assert_uint_eq(tokens_count(positions), 24);
    for (size_t i = 0; i < 24; i++)
        ck_assert_int_eq(tokens_at(positions, i), ids[i % 3]);
    TokenTensor column = tokens(ids, 2, 1, 3);
    ck_assert(tokens_broadcast(&column, 3, (size_t[]){2, 4, 3}));
    for (size_t i = 0; i < 24; i++)
        ck_assert_int_eq(tokens_at(column, i), ids[i / 12 * 3 + i % 3]);
    TokenTensor same = tokens(ids, 2, 3);
    ck_assert(tokens_broadcast(&same, 2, (size_t[]){2, 3}));
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(tokens_at(same, i), ids[i]);
}
END_TEST

START_TEST(test_tokens_check_names_the_first_id_outside)
{
    int32_t ids[24] = {0};
    assert_ok(tokens_check("f", "id", tokens(ids, 2, 3, 4), 1));
    ids[9] = 1;
    ids[23] = -1;
    assert_fails(tokens_check("f", "id", tokens(ids, 2, 3, 4), 1), CS336_ERANGE,
                 "f: id 1 at (0, 2, 1) is not in [0, 1)");
    assert_fails(tokens_check("f", "id", tokens(ids, 2, 3, 4), 2), CS336_ERANGE,
                 "f: id -1 at (1, 2, 3) is not in [0, 2)");
    assert_fails(tokens_check("f", "target", tokens(ids, 24), 1), CS336_ERANGE, "f: target 1 at (9) is not in [0, 1)");
}
END_TEST

START_TEST(test_broadcast_that_does_not_fit_changes_nothing)
{
    const int32_t ids[6] = {0};
    TokenTensor t = tokens(ids, 2, 3);
    const TokenTensor before = t;
    ck_assert(!tokens_broadcast(&t, 2, (size_t[]){2, 4}));
    ck_assert(!tokens_broadcast(&t, 2, (size_t[]){3, 3}));
    ck_assert(!tokens_broadcast(&t, 1, (size_t[]){3}));
    ck_assert_int_eq(t.rank, before.rank);
    ck_assert_mem_eq(t.shape, before.shape, sizeof t.shape);
    ck_assert_mem_eq(t.stride, before.stride, sizeof t.stride);
}
END_TEST

START_TEST(test_mask_broadcast_adds_dimensions_in_front)
{
    const bool where[6] = {true, false, true, true, false, false};
    MaskTensor m = mask(where, 2, 3);
    ck_assert(mask_broadcast(&m, 4, (size_t[]){5, 7, 2, 3}));
    ck_assert(m.stride[0] == 0 && m.stride[1] == 0 && m.stride[2] == 3 && m.stride[3] == 1);
    ck_assert_str_eq(shape_text(m.rank, m.shape), "(5, 7, 2, 3)");
    ck_assert(!mask_broadcast(&m, 4, (size_t[]){5, 7, 2, 4}));
}
END_TEST

START_TEST(test_shape_text_rotates_four_buffers)
{
    const char *a = shape_text(0, NULL), *b = shape_text(1, (size_t[]){1}), *c = shape_text(2, (size_t[]){1, 2});
    const char *d = shape_text(8, (size_t[]){SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, 7});
    ck_assert_str_eq(a, "()");
    ck_assert_str_eq(b, "(1)");
    ck_assert_str_eq(c, "(1, 2)");
    ck_assert_str_eq(d + strlen(d) - strlen(" 18446744073709551615, 7)"), " 18446744073709551615, 7)");
}
END_TEST

START_TEST(test_zero_grad_skips_what_is_frozen)
{
    float value[4] = {1, 2, 3, 4}, grad[4] = {5, 6, 7, 8};
    Parameter items[] = {
        {.name = "frozen", .value = tensor(value, 2)},
        {.name = "trained", .value = tensor(value, 2, 2), .grad = tensor(grad, 2, 2)},
    };
    parameters_zero_grad((ParameterList){.items = items, .count = 2});
    for (int i = 0; i < 4; i++)
        ck_assert(grad[i] == 0 && value[i] == (float)(i + 1));
}
END_TEST

const TestCase tensor_tests[] = {
    TEST(test_tensor_is_row_major, "tensor"),
    TEST(test_tensor_split_makes_heads_without_copying, "tensor"),
    TEST(test_tensor_transpose_exchanges_two_dimensions, "tensor"),
    TEST(test_tensor_slice_and_select_are_views, "tensor"),
    TEST(test_tensor_with_last_undoes_a_slice_of_the_last_dimension, "tensor"),
    TEST(test_tensor_insert_adds_an_extent_of_one, "tensor"),
    TEST(test_tensor_contiguity_ignores_extents_of_one, "tensor"),
    TEST(test_tensor_reshape_keeps_the_order, "tensor"),
    TEST(test_tensor_shapes_are_compared_by_extents, "tensor"),
    TEST(test_tensor_copy_between_any_strides, "tensor"),
    TEST(test_tensor_fill_leaves_what_is_outside_the_view, "tensor"),
    TEST(test_tensor_sum_of_squares_is_in_double, "tensor"),
    TEST(test_tensor_extents_beyond_memory_are_no_overflow, "tensor"),
    TEST(test_tokens_broadcast_repeats_by_a_stride_of_zero, "tensor"),
    TEST(test_tokens_check_names_the_first_id_outside, "tensor"),
    TEST(test_broadcast_that_does_not_fit_changes_nothing, "tensor"),
    TEST(test_mask_broadcast_adds_dimensions_in_front, "tensor"),
    TEST(test_shape_text_rotates_four_buffers, "tensor"),
    TEST(test_zero_grad_skips_what_is_frozen, "parameter"),
    {0},
};

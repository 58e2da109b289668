#include "core/tensor.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

START_TEST(test_tensor_split_makes_heads_without_copying)
{
    float numbers[2 * 3 * 8];
    for (size_t i = 0; i < 48; i++)
        numbers[i] = (float)i;
    const Tensor x = tensor(numbers, 2, 3, 8), heads = tensor_transpose(tensor_split(x, -1, 4), 1, 2);
    ck_assert_str_eq(tensor_shape_text(heads), "(2, 4, 3, 2)");
    ck_assert_ptr_eq(tensor_row(heads, 1 * 12 + 2 * 3 + 1), &numbers[24 + 8 + 4]);
}
END_TEST

const TestCase core_tests[] = {
    TEST(test_tensor_split_makes_heads_without_copying, "core"),
    {0},
};

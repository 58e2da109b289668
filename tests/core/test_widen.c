/* Arrays of other floating-point types are read as float32. */
#include "core/safetensors.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALL = 1 << 16 /* numbers of 16 bits */ };

/* Fails unless two floats have the same bits, so that 0 and -0 differ; any NaN equals any NaN. */
static void assert_same_float(size_t index, float actual, float expected)
{
    if (isnan(actual) && isnan(expected))
        return;
    ck_assert_msg(memcmp(&actual, &expected, sizeof actual) == 0, "number %zu is %a, expected %a", index,
                  (double)actual, (double)expected);
}

START_TEST(test_safetensors_widens_as_pytorch)
{
    static const struct {
        const char *name;
        SafetensorsType type;
    } cases[] = {{"f16", SAFETENSORS_F16}, {"bf16", SAFETENSORS_BF16}, {"f64", SAFETENSORS_F64}};
    static float numbers[4096], expected[4096];
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, "tests/fixtures/interchange/widening.safetensors"));
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        const SafetensorsEntry *entry = safetensors_find(&file, cases[i].name);
        const size_t count = entry->shape[0];
        test_label("%s", cases[i].name);
        ck_assert_int_eq(entry->type, cases[i].type);
        ck_assert_uint_gt(count, 500);
        ck_assert_uint_le(count, sizeof numbers / sizeof *numbers);
        snprintf(name, sizeof name, "%s.expected", cases[i].name);
        assert_ok(safetensors_read(tensor(expected, count), &file, name));
        assert_ok(safetensors_read_as_float(tensor(numbers, count), &file, entry));
        for (size_t k = 0; k < count; k++)
            assert_same_float(k, numbers[k], expected[k]);
    }
    safetensors_close(&file);
}
END_TEST

/* Returns the value of a number of 16 bits by its definition; `fraction_bits` of them are its fraction. */
static float value_of(unsigned bits, int fraction_bits)
{
    const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (int)(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    const double fraction = (double)(bits & ((1U << fraction_bits) - 1)) / (1 << fraction_bits);
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction > 0 ? NAN : (float)sign * INFINITY;
    return (float)(sign * (exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias)));
}

START_TEST(test_every_half_and_bfloat_is_exact)
{
    static uint16_t bits[ALL];
    static float numbers[ALL];
    for (size_t i = 0; i < ALL; i++)
        bits[i] = (uint16_t)i;
    const SafetensorsEntry entries[] = {
        {.name = "half", .type = SAFETENSORS_F16, .rank = 1, .shape = {ALL}, .data = bits},
        {.name = "bfloat", .type = SAFETENSORS_BF16, .rank = 2, .shape = {ALL / 8, 8}, .data = bits}};
    const char *path = temp_path("all.safetensors");
    SafetensorsFile file;
    assert_ok(safetensors_write(path, entries, 2, NULL, 0));
    assert_ok(safetensors_open(&file, path));
    assert_ok(safetensors_read_as_float(tensor(numbers, ALL), &file, safetensors_find(&file, "half")));
    for (unsigned i = 0; i < ALL; i++)
        assert_same_float(i, numbers[i], value_of(i, 10));
    assert_ok(safetensors_read_as_float(tensor(numbers, ALL / 8, 8), &file, safetensors_find(&file, "bfloat")));
    for (unsigned i = 0; i < ALL; i++)
        assert_same_float(i, numbers[i], value_of(i, 7));
    safetensors_close(&file);
}
END_TEST

/* A view whose dimensions are split and exchanged gets the numbers in its own row-major order. */
START_TEST(test_any_view_is_read_in_its_own_order)
{
    const double stored[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}; /* (6, 2): rows of two halves of three */
    const float expected[12] = {0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11};
    const SafetensorsEntry entries[] = {
        {.name = "x", .type = SAFETENSORS_F64, .rank = 2, .shape = {6, 2}, .data = stored},
        {.name = "ids", .type = SAFETENSORS_I64, .rank = 2, .shape = {6, 2}, .data = stored}};
    const char *path = temp_path("view.safetensors");
    float numbers[12];
    SafetensorsFile file;
    assert_ok(safetensors_write(path, entries, 2, NULL, 0));
    assert_ok(safetensors_open(&file, path));
    const SafetensorsEntry *x = safetensors_find(&file, "x");
    const Tensor halves = tensor_transpose(tensor_split(tensor(numbers, 6, 2), 0, 3), 0, 1);
    assert_ok(safetensors_read_as_float(halves, &file, x));
    assert_allclose_array("numbers", numbers, expected, 12, 0, 0);
    assert_path_fails(safetensors_read_as_float(tensor(numbers, 6), &file, x), CS336_ESHAPE, path,
                      ": array \"x\" is (6, 2), expected as many numbers as (6)");
    assert_path_fails(safetensors_read_as_float(tensor(numbers, 6, 2), &file, safetensors_find(&file, "ids")),
                      CS336_EFORMAT, path, ": array \"ids\" is I64, expected F32, BF16, F16 or F64");
    safetensors_close(&file);
}
END_TEST

const TestCase widen_tests[] = {
    TEST(test_safetensors_widens_as_pytorch, "safetensors"),
    TEST(test_every_half_and_bfloat_is_exact, "safetensors"),
    TEST(test_any_view_is_read_in_its_own_order, "safetensors"),
    {0},
};

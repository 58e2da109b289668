#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"

#include <stdio.h>

enum { SEED = 336 };

START_TEST(test_softmax_matches_pytorch)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "small_inputs"), expected = fixture_tensor(&fixture, "softmax");
    const Tensor y = fixture_output_like(&fixture, x), columns = fixture_output_like(&fixture, x);
    assert_ok(run_softmax(y, x, -1));
    assert_allclose(y, expected, 1e-7, 1e-6);
    assert_ok(run_softmax(columns, x, 0));
    assert_allclose(columns, fixture_tensor(&fixture, "softmax.columns"), 1e-7, 1e-6);

    /* e^100 is beyond float32. */
    for (size_t i = 0; i < tensor_count(x); i++)
        x.data[i] += 100;
    test_label("x + 100");
    tensor_fill(y, 0);
    assert_ok(run_softmax(y, x, -1));
    assert_allclose(y, expected, 1e-7, 1e-6);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_cross_entropy)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor inputs = tensor_reshape(fixture_tensor(&fixture, "class_logits"), 8, 5);
    const TokenTensor targets = tokens(fixture_tokens(&fixture, "class_targets").data, 8);
    float loss = 0;
    assert_ok(run_cross_entropy(&loss, inputs, targets));
    assert_allclose_array("loss", &loss, fixture_tensor(&fixture, "cross_entropy").data, 1, 1e-7, 1e-4);

    for (size_t i = 0; i < tensor_count(inputs); i++)
        inputs.data[i] *= 1000;
    assert_ok(run_cross_entropy(&loss, inputs, targets));
    assert_allclose_array("loss of large inputs", &loss, fixture_tensor(&fixture, "cross_entropy.large").data, 1, 1e-7,
                          1e-4);
    fixture_close(&fixture);
}
END_TEST

enum { CLIPPED = 5, SIDE = 5, ELEMENTS = SIDE * SIDE };

/* Six (5, 5) parameters, the last one frozen; @p gradients holds those of the first five and is clipped. */
static void clip_and_compare(float (*gradients)[ELEMENTS], Tensor expected)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "frozen"};
    float values[CLIPPED + 1][ELEMENTS], before[CLIPPED + 1][ELEMENTS];
    Parameter parameters[CLIPPED + 1] = {0};
    for (size_t i = 0; i <= CLIPPED; i++) {
        hash_normal(values[i], ELEMENTS, names[i], SEED, 0, 1);
        hash_normal(before[i], ELEMENTS, names[i], SEED, 0, 1);
        parameters[i].name = names[i];
        parameters[i].value = tensor(values[i], SIDE, SIDE);
        parameters[i].grad = tensor(i < CLIPPED ? gradients[i] : NULL, SIDE, SIDE);
    }
    assert_ok(run_gradient_clipping((ParameterList){parameters, CLIPPED + 1}, 1e-2));
    assert_allclose(tensor(gradients[0], CLIPPED, SIDE, SIDE), expected, 1e-7, 1e-6);
    ck_assert_mem_eq(values, before, sizeof values);
    ck_assert_ptr_null(parameters[CLIPPED].grad.data);
}

START_TEST(test_gradient_clipping)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    float gradients[CLIPPED][ELEMENTS];
    for (size_t i = 0; i < CLIPPED; i++)
        for (size_t j = 0; j < ELEMENTS; j++)
            gradients[i][j] = 1;
    test_label("gradients of 1");
    clip_and_compare(gradients, fixture_tensor(&fixture, "clip.ones"));

    for (size_t i = 0; i < CLIPPED; i++) {
        char name[16];
        snprintf(name, sizeof name, "gradient.%zu", i);
        hash_normal(gradients[i], ELEMENTS, name, SEED, 0, 1);
    }
    test_label("varied gradients");
    clip_and_compare(gradients, fixture_tensor(&fixture, "clip.varied"));

    /* Now the norm is below the limit: nothing changes. */
    float before[CLIPPED][ELEMENTS];
    for (size_t i = 0; i < CLIPPED; i++)
        for (size_t j = 0; j < ELEMENTS; j++)
            before[i][j] = gradients[i][j] *= 0.5F;
    test_label("gradients below the limit");
    clip_and_compare(gradients, tensor(before[0], CLIPPED, SIDE, SIDE));
    ck_assert_mem_eq(gradients, before, sizeof before);
    fixture_close(&fixture);
}
END_TEST

const TestCase nn_utils_tests[] = {
    TEST(test_softmax_matches_pytorch, "softmax"),
    TEST(test_cross_entropy, "cross_entropy"),
    TEST(test_gradient_clipping, "gradient_clipping"),
    {0},
};

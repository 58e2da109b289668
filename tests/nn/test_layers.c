/* Forward and backward of every layer against PyTorch and against central differences of a double-precision forward. */
#include "core/parallel.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/rmsnorm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const Tensor NOT_WANTED = {0};

/* ---- linear ---- */

typedef struct {
    Sample x, weight, grad_y;
} LinearProblem;

static LinearProblem linear_problem(void)
{
    return (LinearProblem){sample("linear.x", 0, 1, 2, 3, 5), sample("linear.weight", 0, 1, 4, 5),
                           sample("linear.grad_y", 0, 1, 2, 3, 4)};
}

static double linear_loss(void *context)
{
    const LinearProblem *p = context;
    double y[24];
    reference_linear(y, p->x.wide, p->weight.wide, 6, 5, 4);
    return reference_dot(y, p->grad_y.wide, 24);
}

START_TEST(test_linear_gradients)
{
    LinearProblem p = linear_problem();
    const Linear linear = {.weight = p.weight.value};
    Linear grad = {.weight = filled_like(0, linear.weight)};
    const Tensor y = filled_like(NAN, p.grad_y.value), grad_x = filled_like(NAN, p.x.value);
    assert_ok(linear_forward(y, p.x.value, &linear));
    assert_ok(linear_backward(grad_x, &grad, p.grad_y.value, p.x.value, &linear));
    assert_pytorch(y, "linear", "y");
    assert_pytorch(grad_x, "linear", "grad_x");
    assert_pytorch(grad.weight, "linear", "grad_weight");
    assert_differences("grad_x", grad_x, p.x, linear_loss, &p);
    assert_differences("grad_weight", grad.weight, p.weight, linear_loss, &p);
}
END_TEST

START_TEST(test_linear_adds_to_the_weight_gradient)
{
    const LinearProblem p = linear_problem();
    const Linear linear = {.weight = p.weight.value};
    Linear once = {.weight = filled_like(0, linear.weight)}, onto = {.weight = filled_like(3, linear.weight)};
    const Tensor grad_x = filled_like(NAN, p.x.value), added = filled_like(3, p.x.value);
    assert_ok(linear_backward(grad_x, &once, p.grad_y.value, p.x.value, &linear));
    assert_ok(linear_backward_add(added, &onto, p.grad_y.value, p.x.value, &linear));
    for (size_t i = 0; i < tensor_count(grad_x); i++)
        grad_x.data[i] += 3;
    for (size_t i = 0; i < tensor_count(once.weight); i++)
        once.weight.data[i] += 3;
    assert_allclose(added, grad_x, 1e-6, 1e-6);
    assert_allclose(onto.weight, once.weight, 1e-6, 1e-6);
}
END_TEST

START_TEST(test_linear_skips_what_is_not_wanted)
{
    const LinearProblem p = linear_problem();
    const Linear linear = {.weight = p.weight.value};
    Linear grad = {.weight = filled_like(0, linear.weight)}, frozen = {.weight = NOT_WANTED};
    const Tensor grad_x = filled_like(NAN, p.x.value);
    assert_ok(linear_backward(NOT_WANTED, &grad, p.grad_y.value, p.x.value, &linear));
    assert_ok(linear_backward(grad_x, &frozen, p.grad_y.value, p.x.value, &linear));
    assert_pytorch(grad_x, "linear", "grad_x");
    assert_pytorch(grad.weight, "linear", "grad_weight");
}
END_TEST

/* Tests views with other strides: columns of a wider buffer, exchanged leading dimensions, a transposed weight. */
static Tensor spread(Tensor t, int variant)
{
    const size_t a = t.shape[0], b = t.shape[1], c = t.shape[2];
    Tensor view;
    if (variant == 0)
        view = tensor_slice(filled(NAN, a, b, c + 3), -1, 2, c);
    else if (variant == 1)
        view = tensor_transpose(filled(NAN, b, a, c), 0, 1);
    else
        view = tensor_transpose(filled(NAN, a, c, b), 1, 2);
    tensor_copy(view, t);
    return view;
}

START_TEST(test_linear_reads_and_writes_strided_views)
{
    const LinearProblem p = linear_problem();
    const Tensor weight = tensor_transpose(filled(NAN, 5, 4), 0, 1);
    tensor_copy(weight, p.weight.value);
    const Linear linear = {.weight = weight};
    for (int variant = 0; variant < 3; variant++)
        for (int other = 0; other < 3; other++) {
            test_label("strides %d in, %d out", variant, other);
            const Tensor x = spread(p.x.value, variant), y = spread(p.grad_y.value, other);
            const Tensor grad_y = spread(p.grad_y.value, variant), grad_x = spread(p.x.value, other);
            const Tensor whole_y = filled_like(NAN, y), whole_x = filled_like(NAN, x);
            Linear grad = {.weight = filled_like(0, weight)};
            assert_ok(linear_forward(y, x, &linear));
            assert_ok(linear_backward(grad_x, &grad, grad_y, x, &linear));
            tensor_copy(whole_y, y);
            tensor_copy(whole_x, grad_x);
            assert_pytorch(whole_y, "linear", "y");
            assert_pytorch(whole_x, "linear", "grad_x");
            assert_pytorch(grad.weight, "linear", "grad_weight");
        }
}
END_TEST

START_TEST(test_linear_writes_only_its_columns)
{
    const LinearProblem p = linear_problem();
    const Tensor wide = filled(9, 2, 3, 10);
    assert_ok(linear_forward(tensor_slice(wide, -1, 3, 4), p.x.value, &(Linear){.weight = p.weight.value}));
    for (size_t row = 0; row < 6; row++)
        for (size_t i = 0; i < 10; i++)
            ck_assert((i >= 3 && i < 7) == (wide.data[row * 10 + i] != 9));
}
END_TEST

START_TEST(test_linear_of_one_row_and_of_none)
{
    const LinearProblem p = linear_problem();
    const Linear linear = {.weight = p.weight.value};
    Linear grad = {.weight = filled(0, 4, 5)};
    const Tensor one = tensor(p.x.value.data, 5), y = filled(NAN, 4), batch = filled(NAN, 2, 3, 4);
    assert_ok(linear_forward(batch, p.x.value, &linear));
    assert_ok(linear_forward(y, one, &linear));
    assert_allclose_array("one row", y.data, batch.data, 4, 1e-6, 1e-6);
    assert_ok(linear_forward(tensor(y.data, 0, 4), tensor(one.data, 0, 5), &linear));
    assert_ok(linear_backward(tensor(one.data, 0, 5), &grad, tensor(y.data, 0, 4), tensor(one.data, 0, 5), &linear));
    assert_allclose(grad.weight, filled(0, 4, 5), 0, 0);
}
END_TEST

START_TEST(test_linear_join_needs_neighbours)
{
    float memory[24] = {0};
    const Linear a = {.weight = tensor(memory, 2, 4)}, b = {.weight = tensor(memory + 8, 1, 4)},
                 c = {.weight = tensor(memory + 12, 3, 4)};
    const Linear narrow = {.weight = tensor(memory + 8, 2, 2)}, none = {.weight = NOT_WANTED};
    Linear joined;
    ck_assert(linear_join(&joined, (const Linear *[]){&a, &b, &c}, 3));
    ck_assert_ptr_eq(joined.weight.data, memory);
    ck_assert_uint_eq(joined.weight.shape[0], 6);
    ck_assert_uint_eq(joined.weight.shape[1], 4);
    ck_assert(!linear_join(&joined, (const Linear *[]){&a, &c, &b}, 3));
    ck_assert(!linear_join(&joined, (const Linear *[]){&a, &narrow}, 2));
    ck_assert(!linear_join(&joined, (const Linear *[]){&a, &none}, 2));
    ck_assert(!linear_join(&joined, (const Linear *[]){&none, &a}, 2));
    ck_assert(linear_join(&joined, (const Linear *[]){&none, &none}, 2));
    ck_assert_ptr_null(joined.weight.data);
}
END_TEST

START_TEST(test_linear_maps_of_one_input_are_those_of_each)
{
    const Tensor x = sample("linear.x", 0, 1, 2, 3, 5).value, weights = sample("weights", 0, 1, 7, 5).value;
    const Tensor grad_y = sample("grad", 0, 1, 2, 3, 7).value, other = filled_like(0, weights);
    tensor_copy(other, weights);
    for (int layout = 0; layout < 4; layout++) {
        test_label("%s weights, %s outputs", layout & 1 ? "separate" : "adjacent",
                   layout & 2 ? "separate" : "adjacent");
        /* The weights, and the outputs, are adjacent in one tensor, or in two tensors. */
        const Tensor rows = layout & 1 ? other : weights, y = filled(NAN, 2, 3, 7), y2 = filled(NAN, 2, 3, 7);
        const Linear a = {.weight = tensor_slice(weights, 0, 0, 4)}, b = {.weight = tensor_slice(rows, 0, 4, 3)};
        const Tensor grads = filled(1, 7, 5), grads2 = filled(1, 7, 5);
        Linear grad_a = {.weight = tensor_slice(grads, 0, 0, 4)};
        Linear grad_b = {.weight = tensor_slice(layout & 1 ? grads2 : grads, 0, 4, 3)};
        const Tensor ys[] = {tensor_slice(y, -1, 0, 4), tensor_slice(layout & 2 ? y2 : y, -1, 4, 3)};
        const Tensor grad_ys[] = {tensor_slice(grad_y, -1, 0, 4), tensor_slice(grad_y, -1, 4, 3)};
        const Tensor grad_x = filled_like(NAN, x), expected_x = filled_like(NAN, x), expected_y = filled(NAN, 2, 3, 7);
        Linear expected = {.weight = filled(1, 7, 5)};
        assert_ok(linear_forward(expected_y, x, &(Linear){.weight = weights}));
        assert_ok(linear_backward(expected_x, &expected, grad_y, x, &(Linear){.weight = weights}));
        assert_ok(linear_forward_all(ys, x, (const Linear *[]){&a, &b}, 2));
        assert_ok(
            linear_backward_all(grad_x, (Linear *[]){&grad_a, &grad_b}, grad_ys, x, (const Linear *[]){&a, &b}, 2));
        assert_allclose(ys[0], tensor_slice(expected_y, -1, 0, 4), 1e-5, 1e-6);
        assert_allclose(ys[1], tensor_slice(expected_y, -1, 4, 3), 1e-5, 1e-6);
        assert_allclose(grad_x, expected_x, 1e-5, 1e-6);
        assert_allclose(grad_a.weight, tensor_slice(expected.weight, 0, 0, 4), 1e-5, 1e-6);
        assert_allclose(grad_b.weight, tensor_slice(expected.weight, 0, 4, 3), 1e-5, 1e-6);
    }
}
END_TEST

START_TEST(test_linear_names_the_shapes_that_differ)
{
    const Linear linear = {.weight = filled(0, 4, 6)};
    Linear grad = {.weight = filled(0, 4, 6)}, other = {.weight = filled(0, 6, 4)};
    const Tensor x = filled(0, 2, 3, 6), y = filled(0, 2, 3, 4);
    assert_fails(linear_forward(y, filled(0, 2, 3, 5), &linear), CS336_ESHAPE,
                 "linear_forward: x is (2, 3, 5), weight is (4, 6)");
    assert_fails(linear_forward(filled(0, 3, 2, 4), x, &linear), CS336_ESHAPE,
                 "linear_forward: y is (3, 2, 4), x is (2, 3, 6), weight is (4, 6)");
    assert_fails(linear_forward(y, x, &(Linear){.weight = filled(0, 6)}), CS336_ESHAPE,
                 "linear_forward: x is (2, 3, 6), weight is (6)");
    assert_fails(linear_backward(x, &grad, x, x, &linear), CS336_ESHAPE,
                 "linear_backward: grad_y is (2, 3, 6), x is (2, 3, 6), weight is (4, 6)");
    assert_fails(linear_backward(filled(0, 6, 6), &grad, y, x, &linear), CS336_ESHAPE,
                 "linear_backward: grad_y is (2, 3, 4), grad_x is (6, 6), weight is (4, 6)");
    assert_fails(linear_backward_add(x, &other, y, x, &linear), CS336_ESHAPE,
                 "linear_backward_add: gradient of the weight is (6, 4), weight is (4, 6)");
    assert_fails(linear_backward(x, &other, y, x, &linear), CS336_ESHAPE,
                 "linear_backward: gradient of the weight is (6, 4), weight is (4, 6)");
    assert_fails(linear_backward(x, &grad, y, filled(0, 2, 3, 5), &linear), CS336_ESHAPE,
                 "linear_backward: x is (2, 3, 5), weight is (4, 6)");
    assert_fails(linear_backward_add(x, &grad, y, filled(0, 2, 3, 5), &linear), CS336_ESHAPE,
                 "linear_backward_add: x is (2, 3, 5), weight is (4, 6)");
    assert_fails(linear_backward_add(filled(0, 6, 6), &grad, y, x, &linear), CS336_ESHAPE,
                 "linear_backward_add: grad_y is (2, 3, 4), grad_x is (6, 6), weight is (4, 6)");
    assert_allclose(grad.weight, filled(0, 4, 6), 0, 0);
}
END_TEST

/* ---- embedding ---- */

typedef struct {
    Sample weight, grad_y;
    TokenTensor ids;
} EmbeddingProblem;

static EmbeddingProblem embedding_problem(void)
{
    return (EmbeddingProblem){sample("embedding.weight", 0, 1, 11, 6), sample("embedding.grad_y", 0, 1, 3, 7, 6),
                              sample_ids("embedding.ids", 11, 3, 7)};
}

static double embedding_loss(void *context)
{
    const EmbeddingProblem *p = context;
    double sum = 0;
    for (size_t row = 0; row < 21; row++)
        sum += reference_dot(p->weight.wide + p->ids.data[row] * 6, p->grad_y.wide + row * 6, 6);
    return sum;
}

START_TEST(test_embedding_gradients)
{
    EmbeddingProblem p = embedding_problem();
    const Embedding embedding = {p.weight.value};
    Embedding grad = {filled_like(0, embedding.weight)};
    const Tensor y = filled_like(NAN, p.grad_y.value);
    assert_ok(embedding_forward(y, p.ids, &embedding));
    assert_ok(embedding_backward(&grad, p.grad_y.value, p.ids));
    assert_pytorch(y, "embedding", "y");
    assert_pytorch(grad.weight, "embedding", "grad_weight");
    assert_differences("grad_weight", grad.weight, p.weight, embedding_loss, &p);
    /* What the gradient held before is added to. */
    Embedding onto = {filled_like(3, embedding.weight)};
    assert_ok(embedding_backward(&onto, p.grad_y.value, p.ids));
    for (size_t i = 0; i < tensor_count(grad.weight); i++)
        grad.weight.data[i] += 3;
    assert_allclose(onto.weight, grad.weight, 1e-6, 1e-6);
    assert_ok(embedding_backward(&(Embedding){NOT_WANTED}, p.grad_y.value, p.ids));
}
END_TEST

START_TEST(test_embedding_gradient_is_the_same_for_any_threads)
{
    const Sample grad_y = sample("grad_y", 0, 1, 500, 150);
    const TokenTensor ids = sample_ids("ids", 3, 500);
    Embedding one = {filled(0.5F, 3, 150)};
    parallel_set_threads(1);
    assert_ok(embedding_backward(&one, grad_y.value, ids));
    static const int threads[] = {2, 3, 8};
    for (int i = 0; i < 3; i++) {
        Embedding many = {filled(0.5F, 3, 150)};
        parallel_set_threads(threads[i]);
        test_label("%d threads", threads[i]);
        assert_ok(embedding_backward(&many, grad_y.value, ids));
        ck_assert_mem_eq(one.weight.data, many.weight.data, 450 * sizeof(float));
    }
}
END_TEST

START_TEST(test_embedding_names_what_does_not_fit)
{
    const Embedding embedding = {filled(0, 11, 6)};
    Embedding grad = {filled(0, 11, 6)};
    const int32_t ids[] = {0, 1, 2, 3, 11, 5, -1, 0};
    const Tensor y = filled(0, 2, 3, 6);
    assert_fails(embedding_forward(y, tokens(ids, 2, 3), &embedding), CS336_ERANGE,
                 "embedding_forward: id 11 at (1, 1) is not in [0, 11)");
    assert_fails(embedding_backward(&grad, filled(0, 2, 6), tokens(ids + 6, 2)), CS336_ERANGE,
                 "embedding_backward: id -1 at (0) is not in [0, 11)");
    assert_fails(embedding_forward(y, tokens(ids, 3, 2), &embedding), CS336_ESHAPE,
                 "embedding_forward: y is (2, 3, 6), ids are (3, 2), weight is (11, 6)");
    assert_fails(embedding_forward(y, tokens(ids, 6), &embedding), CS336_ESHAPE,
                 "embedding_forward: y is (2, 3, 6), ids are (6), weight is (11, 6)");
    assert_fails(embedding_backward(&grad, filled(0, 4, 5), tokens(ids, 4)), CS336_ESHAPE,
                 "embedding_backward: grad_y is (4, 5), ids are (4), weight is (11, 6)");
    assert_fails(embedding_forward(tensor_transpose(filled(0, 6, 4), 0, 1), tokens(ids, 4), &embedding), CS336_ESHAPE,
                 "embedding_forward: rows of y are not contiguous");
    assert_fails(embedding_backward(&grad, tensor_transpose(filled(0, 6, 4), 0, 1), tokens(ids, 4)), CS336_ESHAPE,
                 "embedding_backward: rows of grad_y are not contiguous");
}
END_TEST

/* ---- rmsnorm ---- */

typedef struct {
    Sample x, weight, grad_y;
} NormProblem;

static const float EPS = 1e-5F;

static NormProblem norm_problem(void)
{
    return (NormProblem){sample("rmsnorm.x", 0, 1, 2, 3, 10), sample("rmsnorm.weight", 1, 0.3, 10),
                         sample("rmsnorm.grad_y", 0, 1, 2, 3, 10)};
}

static double norm_loss(void *context)
{
    const NormProblem *p = context;
    double y[60];
    reference_rmsnorm(y, p->x.wide, p->weight.wide, 6, 10, (double)EPS);
    return reference_dot(y, p->grad_y.wide, 60);
}

START_TEST(test_rmsnorm_gradients)
{
    NormProblem p = norm_problem();
    const RMSNorm norm = {p.weight.value, EPS};
    RMSNorm grad = {filled(0, 10), EPS};
    const Tensor y = filled_like(NAN, p.x.value), inverse_rms = filled(NAN, 2, 3, 1);
    const Tensor grad_x = filled_like(NAN, p.x.value);
    assert_ok(rmsnorm_forward(y, inverse_rms, p.x.value, &norm));
    assert_ok(rmsnorm_backward(grad_x, &grad, p.grad_y.value, inverse_rms, p.x.value, &norm));
    assert_pytorch(y, "rmsnorm", "y");
    assert_pytorch(grad_x, "rmsnorm", "grad_x");
    assert_pytorch(grad.weight, "rmsnorm", "grad_weight");
    assert_differences("grad_x", grad_x, p.x, norm_loss, &p);
    assert_differences("grad_weight", grad.weight, p.weight, norm_loss, &p);
}
END_TEST

START_TEST(test_rmsnorm_of_another_eps)
{
    const NormProblem p = norm_problem();
    const RMSNorm norm = {p.weight.value, 0.5F};
    const Tensor y = filled_like(NAN, p.x.value);
    double expected[60];
    assert_ok(rmsnorm_forward(y, NOT_WANTED, p.x.value, &norm));
    reference_rmsnorm(expected, p.x.wide, p.weight.wide, 6, 10, 0.5);
    assert_allclose_double("y", y.data, expected, 60, 1e-5, 1e-6);
}
END_TEST

START_TEST(test_rmsnorm_in_place_and_frozen)
{
    const NormProblem p = norm_problem();
    const RMSNorm norm = {p.weight.value, EPS};
    const Tensor y = filled_like(NAN, p.x.value), inverse_rms = filled(NAN, 2, 3, 1);
    tensor_copy(y, p.x.value);
    assert_ok(rmsnorm_forward(y, inverse_rms, y, &norm));
    assert_pytorch(y, "rmsnorm", "y");
    tensor_copy(y, p.grad_y.value);
    assert_ok(rmsnorm_backward(y, &(RMSNorm){NOT_WANTED, EPS}, y, inverse_rms, p.x.value, &norm));
    assert_pytorch(y, "rmsnorm", "grad_x");
    RMSNorm both = {filled(0, 10), EPS}, grad = {filled(0, 10), EPS};
    tensor_copy(y, p.grad_y.value);
    assert_ok(rmsnorm_backward(y, &both, y, inverse_rms, p.x.value, &norm));
    assert_pytorch(both.weight, "rmsnorm", "grad_weight");
    assert_ok(rmsnorm_backward(NOT_WANTED, &grad, p.grad_y.value, inverse_rms, p.x.value, &norm));
    assert_pytorch(grad.weight, "rmsnorm", "grad_weight");
}
END_TEST

START_TEST(test_rmsnorm_names_the_shapes_that_differ)
{
    const RMSNorm norm = {filled(1, 10), EPS}, short_norm = {filled(1, 9), EPS};
    RMSNorm grad = {filled(0, 10), EPS};
    const Tensor x = filled(1, 2, 3, 10), y = filled(1, 2, 3, 10), inverse_rms = filled(1, 2, 3, 1);
    assert_fails(rmsnorm_forward(y, inverse_rms, x, &short_norm), CS336_ESHAPE,
                 "rmsnorm_forward: weight is (9), x is (2, 3, 10)");
    assert_fails(rmsnorm_forward(filled(0, 6, 10), inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_forward: y is (6, 10), x is (2, 3, 10)");
    assert_fails(rmsnorm_forward(y, filled(0, 3, 2, 1), x, &norm), CS336_ESHAPE,
                 "rmsnorm_forward: inverse_rms is (3, 2, 1), expected (2, 3, 1)");
    assert_fails(rmsnorm_forward(y, inverse_rms, tensor_transpose(filled(1, 2, 10, 3), 1, 2), &norm), CS336_ESHAPE,
                 "rmsnorm_forward: rows of x are not contiguous");
    assert_fails(rmsnorm_backward(filled(0, 2, 10), &grad, y, inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: grad_x is (2, 10), x is (2, 3, 10)");
    assert_fails(rmsnorm_backward(x, &grad, filled(0, 2, 10), inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: grad_y is (2, 10), x is (2, 3, 10)");
    assert_fails(rmsnorm_backward(x, &grad, y, NOT_WANTED, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: inverse_rms is (), expected (2, 3, 1)");
    assert_fails(rmsnorm_backward(x, &(RMSNorm){filled(0, 9), EPS}, y, inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: gradient of the weight is (9), weight is (10)");
    assert_fails(rmsnorm_backward(x, &grad, y, inverse_rms, x, &short_norm), CS336_ESHAPE,
                 "rmsnorm_backward: weight is (9), x is (2, 3, 10)");
    const Tensor turned = tensor_transpose(filled(1, 2, 10, 3), 1, 2);
    assert_fails(rmsnorm_backward(x, &grad, turned, inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: rows of grad_y are not contiguous");
    assert_fails(rmsnorm_backward(turned, &grad, y, inverse_rms, x, &norm), CS336_ESHAPE,
                 "rmsnorm_backward: rows of grad_x are not contiguous");
}
END_TEST

const TestCase layers_tests[] = {
    TEST(test_linear_gradients, "linear"),
    TEST(test_linear_adds_to_the_weight_gradient, "linear"),
    TEST(test_linear_skips_what_is_not_wanted, "linear"),
    TEST(test_linear_reads_and_writes_strided_views, "linear"),
    TEST(test_linear_writes_only_its_columns, "linear"),
    TEST(test_linear_of_one_row_and_of_none, "linear"),
    TEST(test_linear_join_needs_neighbours, "linear"),
    TEST(test_linear_maps_of_one_input_are_those_of_each, "linear"),
    TEST(test_linear_names_the_shapes_that_differ, "linear"),
    TEST(test_embedding_gradients, "embedding"),
    TEST(test_embedding_gradient_is_the_same_for_any_threads, "embedding"),
    TEST(test_embedding_names_what_does_not_fit, "embedding"),
    TEST(test_rmsnorm_gradients, "rmsnorm"),
    TEST(test_rmsnorm_of_another_eps, "rmsnorm"),
    TEST(test_rmsnorm_in_place_and_frozen, "rmsnorm"),
    TEST(test_rmsnorm_names_the_shapes_that_differ, "rmsnorm"),
    {0},
};

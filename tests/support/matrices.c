#include "tests/support/matrices.h"

#include "core/parallel.h"
#include "kernels/isa.h"
#include "tests/support/allclose.h"
#include "tests/support/bfloat16.h"
#include "tests/support/check.h"
#include "tests/support/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

TestMatrix test_matrix(Layout layout, size_t rows, size_t columns)
{
    const ptrdiff_t m = (ptrdiff_t)rows, n = (ptrdiff_t)columns;
    const ptrdiff_t strides[INPUT_LAYOUTS][2] = {
        [ROW_MAJOR] = {n, 1},
        [COLUMN_MAJOR] = {1, m},
        [PADDED_ROWS] = {n + 3, 1},
        [STRIDED_BOTH_WAYS] = {2 * n + 1, 2},
        [ROWS_BACKWARD] = {-n, 1},
        [COLUMNS_BACKWARD] = {n, -1},
        [COLUMN_MAJOR_BACKWARD] = {-1, m},
        [ROWS_REPEATED] = {0, 1},
        [COLUMNS_REPEATED] = {1, 0},
    };
    TestMatrix p = {.rows = rows, .columns = columns, .count = rows * (2 * columns + 3) + 1};
    p.storage = malloc(p.count * sizeof *p.storage);
    ck_assert_ptr_nonnull(p.storage);
    random_fill(p.storage, p.count);
    p.view = (Matrix){p.storage, strides[layout][0], strides[layout][1]};
    if (p.view.row_stride < 0)
        p.view.data -= (m - 1) * p.view.row_stride;
    if (p.view.column_stride < 0)
        p.view.data -= (n - 1) * p.view.column_stride;
    return p;
}

float *test_matrix_element(const TestMatrix *p, size_t i, size_t j)
{
    return &p->view.data[(ptrdiff_t)i * p->view.row_stride + (ptrdiff_t)j * p->view.column_stride];
}

ConstMatrix test_matrix_input(const TestMatrix *p)
{
    return (ConstMatrix){p->view.data, p->view.row_stride, p->view.column_stride};
}

void reserve_for(int threads)
{
    parallel_set_threads(threads);
    spoil_workspace();
    assert_ok(matmul_reserve());
}

static double as_it_is(float x)
{
    return (double)x;
}

/* Two bfloat16 numbers of 8 bits leave a rest of at most 2^-16 of a number. Both factors have one, and the product of
 * the second parts, which is left out, is at most 2^-16 of the product, too. */
const MatrixProduct IN_FLOAT32 = {"matmul", matmul, as_it_is, 0},
                    IN_BFLOAT16 = {"matmul_bf16", matmul_bf16, bfloat16_of, 0},
                    IN_BF16X3 = {"matmul_bf16x3", matmul_bf16x3, as_it_is, 3 * 0x1p-16};

/* Returns the numbers of a matrix, row after row, rounded as the product rounds them. */
static double *operands(const MatrixProduct *product, const TestMatrix *p)
{
    double *x = malloc((p->rows * p->columns + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->columns; j++)
            x[i * p->columns + j] = product->operand(*test_matrix_element(p, i, j));
    return x;
}

void product_by_definition(double *c, double *magnitude, const MatrixProduct *product, const TestMatrix *a,
                           const TestMatrix *b, float alpha)
{
    const size_t m = a->rows, n = b->columns, k = a->columns;
    double *x = operands(product, a), *y = operands(product, b);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (size_t l = 0; l < k; l++) {
                const double term = (double)alpha * x[i * k + l] * y[l * n + j];
                sum += term;
                size += fabs(term);
            }
            c[i * n + j] = sum;
            magnitude[i * n + j] = size;
        }
    free(x);
    free(y);
}

void assert_product(const MatrixProduct *product, Layout c_layout, Layout a_layout, Layout b_layout, size_t m, size_t n,
                    size_t k, float alpha, float beta)
{
    const TestMatrix a = test_matrix(a_layout, m, k), b = test_matrix(b_layout, k, n), c = test_matrix(c_layout, m, n);
    double *expected = malloc((m * n + 1) * sizeof *expected), *magnitude = malloc((m * n + 1) * sizeof *magnitude);
    float *before = malloc(c.count * sizeof *before);
    ck_assert(expected && magnitude && before);
    product_by_definition(expected, magnitude, product, &a, &b, alpha);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            if (beta == 0) {
                *test_matrix_element(&c, i, j) = NAN;
            } else {
                expected[i * n + j] += (double)beta * (double)*test_matrix_element(&c, i, j);
                magnitude[i * n + j] += fabs((double)beta * (double)*test_matrix_element(&c, i, j));
            }
        }
    memcpy(before, c.storage, c.count * sizeof *before);
    product->multiply(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, alpha, beta);

    /* The product rounds k + 3 times, each time by at most half a unit in the last place of the sum of magnitudes. */
    const double tolerance = (double)(k + 3) * 0x1p-24 + product->loss;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const float actual = *test_matrix_element(&c, i, j);
            ck_assert_msg(fabs((double)actual - expected[i * n + j]) <= tolerance * magnitude[i * n + j],
                          "%s, %s, %zu x %zu x %zu, layouts %d %d %d, beta %g: [%zu, %zu] is %.9g, expected %.9g",
                          product->name, isa_name(isa_in_use()), m, n, k, c_layout, a_layout, b_layout, (double)beta, i,
                          j, (double)actual, expected[i * n + j]);
            before[test_matrix_element(&c, i, j) - c.storage] = actual;
        }
    ck_assert_msg(memcmp(before, c.storage, c.count * sizeof *before) == 0,
                  "%s, %s, %zu x %zu x %zu, layout %d: wrote beside C", product->name, isa_name(isa_in_use()), m, n, k,
                  c_layout);
    free(a.storage);
    free(b.storage);
    free(c.storage);
    free(before);
    free(expected);
    free(magnitude);
}

void assert_layouts(const MatrixProduct *product, const ProductShape *shapes, size_t count, int step)
{
    int turn = 0;
    FOR_EACH_ISA (isa)
        for (const ProductShape *shape = shapes; shape < shapes + count; shape++)
            for (int c = 0; c < OUTPUT_LAYOUTS; c++)
                for (int a = 0; a < INPUT_LAYOUTS; a++)
                    for (int b = 0; b < INPUT_LAYOUTS; b++) {
                        if (turn++ % step)
                            continue;
                        const float beta = turn % 3 == 0 ? 0 : turn % 3 == 1 ? 1 : -1.5f;
                        assert_product(product, (Layout)c, (Layout)a, (Layout)b, shape->m, shape->n, shape->k,
                                       turn % 2 ? 1 : 0.5f, beta);
                    }
}

void assert_random_shapes(const MatrixProduct *product, int rounds)
{
    FOR_EACH_ISA_AND_TWIN (isa)
        for (int round = 0; round < rounds; round++)
            assert_product(product, (Layout)random_below(OUTPUT_LAYOUTS), (Layout)random_below(INPUT_LAYOUTS),
                           (Layout)random_below(INPUT_LAYOUTS), 1 + random_below(90), 1 + random_below(90),
                           random_below(90), 1, round % 2 ? 0 : 1);
}

void assert_forms(const MatrixProduct *product, const ProductShape *shapes, size_t count, int forms)
{
    FOR_EACH_ISA (isa)
        for (const ProductShape *shape = shapes; shape < shapes + count; shape++)
            for (int form = 0; form < forms; form++)
                assert_product(product, form == 3 ? COLUMN_MAJOR : ROW_MAJOR, form & 1 ? COLUMN_MAJOR : ROW_MAJOR,
                               form & 2 ? COLUMN_MAJOR : ROW_MAJOR, shape->m, shape->n, shape->k, 1, form == 1 ? 1 : 0);
}

static void assert_special(const MatrixProduct *product, ProductShape shape, int form, const volatile float *special,
                           size_t count)
{
    const size_t m = shape.m, n = shape.n, k = shape.k;
    const TestMatrix a = test_matrix(form & 1 ? COLUMN_MAJOR : ROW_MAJOR, m, k),
                     b = test_matrix(form & 2 ? COLUMN_MAJOR : ROW_MAJOR, k, n), c = test_matrix(ROW_MAJOR, m, n);
    for (size_t i = 0; i < count; i++) {
        *test_matrix_element(&a, random_below(m), random_below(k)) = special[i];
        *test_matrix_element(&b, random_below(k), random_below(n)) = special[count - 1 - i];
    }
    double *expected = malloc(m * n * sizeof *expected), *magnitude = malloc(m * n * sizeof *magnitude);
    ck_assert(expected && magnitude);
    product_by_definition(expected, magnitude, product, &a, &b, 1);
    product->multiply(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, 1, 0);
    for (size_t i = 0; i < m * n; i++) {
        const double actual = (double)c.storage[i], wanted = expected[i];
        const bool right = isnan(wanted)   ? isnan(actual)
                           : isinf(wanted) ? actual == wanted
                                           : fabs(actual - wanted) < 1e-5 + product->loss * magnitude[i];
        ck_assert_msg(right, "%s, %s, %zu x %zu x %zu, form %d: [%zu, %zu] is %.9g, expected %.9g", product->name,
                      isa_name(isa_in_use()), m, n, k, form, i / n, i % n, actual, wanted);
    }
    free(a.storage);
    free(b.storage);
    free(c.storage);
    free(expected);
    free(magnitude);
}

void assert_special_numbers(const MatrixProduct *product, const ProductShape *shapes, size_t shape_count,
                            const volatile float *special, size_t count)
{
    FOR_EACH_ISA (isa)
        for (size_t s = 0; s < shape_count; s++)
            for (int form = 0; form < 4; form++)
                assert_special(product, shapes[s], form, special, count);
}

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/matmul.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/kernels.h"
#include "tests/support/matrices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_matmul_every_layout_agrees_with_the_triple_loop)
{
    static const ProductShape shapes[] = {{1, 1, 1},   {2, 3, 5},   {7, 31, 17}, {14, 32, 16}, {15, 33, 1},
                                          {13, 37, 0}, {1, 67, 71}, {61, 1, 73}, {29, 65, 47}};
    reserve_for(2);
    /* Every fifth combination of shape and layouts. The next shapes have other combinations, so all layouts are tested.
     */
    assert_layouts(&IN_FLOAT32, shapes, sizeof shapes / sizeof *shapes, test_is_instrumented() ? 35 : 5);
}
END_TEST

START_TEST(test_matmul_random_shapes_agree_with_the_triple_loop)
{
    reserve_for(2);
    assert_random_shapes(&IN_FLOAT32, test_is_instrumented() ? 10 : 60);
}
END_TEST

START_TEST(test_matmul_sizes_beyond_every_block_agree_with_the_triple_loop)
{
    static const ProductShape shapes[] = {
        {397, 61, 53}, {23, 4139, 31}, {17, 67, 1567}, {347, 131, 521}, {1, 4999, 600}, {2311, 1, 1031},
    };
    const bool slow = test_is_instrumented();
    reserve_for(2);
    assert_forms(&IN_FLOAT32, shapes, slow ? 3 : sizeof shapes / sizeof *shapes, slow ? 1 : 4);
}
END_TEST

START_TEST(test_matmul_without_rows_or_columns_touches_nothing)
{
    reserve_for(2);
    FOR_EACH_ISA (isa) {
        float c = 5, a = 1, b = 1;
        test_label("%s", isa_name(isa));
        matmul((Matrix){&c, 1, 1}, (ConstMatrix){&a, 1, 1}, (ConstMatrix){&b, 1, 1}, 0, 1, 1, 1, 0);
        matmul((Matrix){&c, 1, 1}, (ConstMatrix){&a, 1, 1}, (ConstMatrix){&b, 1, 1}, 1, 0, 1, 1, 0);
        ck_assert_float_eq(c, 5);
    }
}
END_TEST

/* ---- what does not change a byte ---- */

START_TEST(test_matmul_is_the_same_for_any_number_of_threads)
{
    static const size_t shapes[][3] = {{96, 512, 64},  {3, 50, 20},     {300, 70, 130}, {5, 4099, 300},
                                       {1, 3001, 700}, {700, 33, 1100}, {3001, 1, 700}, {43, 257, 2048},
                                       {16, 1031, 70}, {2050, 7, 33},   {17, 512, 128}};
    static const int threads[] = {2, 3, 8};
    const size_t count = test_is_instrumented() ? 2 : sizeof shapes / sizeof *shapes;
    FOR_EACH_ISA (isa) /* the emulation is slow: without the largest shapes */
        for (size_t s = 0; s < count && (s < 4 || isa != ISA_AMX_EMULATED); s++)
            for (int form = 0; form < 4; form++) {
                const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
                const TestMatrix a = test_matrix(form & 1 ? COLUMN_MAJOR : ROW_MAJOR, m, k);
                const TestMatrix b = test_matrix(form & 2 ? COLUMN_MAJOR : ROW_MAJOR, k, n),
                                 c = test_matrix(ROW_MAJOR, m, n);
                float *start = malloc(m * n * sizeof *start), *one = malloc(m * n * sizeof *one);
                ck_assert(start && one);
                memcpy(start, c.storage, m * n * sizeof *start);
                reserve_for(1);
                matmul(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, 0.7f, -0.3f);
                memcpy(one, c.storage, m * n * sizeof *one);
                for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
                    memcpy(c.storage, start, m * n * sizeof *start);
                    reserve_for(threads[t]);
                    matmul(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, 0.7f, -0.3f);
                    ck_assert_msg(memcmp(one, c.storage, m * n * sizeof *one) == 0,
                                  "%s: %zu x %zu x %zu differs with %d threads", isa_name(isa), m, n, k, threads[t]);
                }
                free(a.storage);
                free(b.storage);
                free(c.storage);
                free(start);
                free(one);
            }
}
END_TEST

START_TEST(test_matmul_equal_rows_and_columns_give_equal_elements)
{
    /* Shapes of the packed product, and of those with few rows and with few columns. */
    static const size_t shapes[][3] = {{47, 101, 83}, {13, 101, 83}, {101, 8, 83}, {1, 101, 83}};
    reserve_for(2);
    FOR_EACH_ISA (isa)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int layout = 0; layout < OUTPUT_LAYOUTS; layout++) {
                const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
                const TestMatrix a = test_matrix(ROWS_REPEATED, m, k), b = test_matrix(COLUMNS_REPEATED, k, n),
                                 c = test_matrix((Layout)layout, m, n);
                for (size_t i = 0; i < c.count; i++)
                    c.storage[i] = 0.3f;
                matmul(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, 0.7f, -0.3f);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n; j++)
                        ck_assert_msg(
                            memcmp(test_matrix_element(&c, i, j), test_matrix_element(&c, 0, 0), sizeof(float)) == 0,
                            "%s, %zu x %zu: (%zu, %zu) differs from (0, 0)", isa_name(isa), m, n, i, j);
                free(a.storage);
                free(b.storage);
                free(c.storage);
            }
}
END_TEST

/* ---- NaN and infinities ---- */

START_TEST(test_matmul_infinities_and_nan_go_where_they_belong)
{
    static const ProductShape shapes[] = {{9, 35, 21}, {1, 35, 21}, {35, 1, 21}};
    const volatile float special[] = {NAN, INFINITY, -INFINITY, 0};
    reserve_for(2);
    assert_special_numbers(&IN_FLOAT32, shapes, 3, special, 4);
}
END_TEST

/* ---- the workspace ---- */

static Status reserve_afresh(void *context)
{
    (void)context;
    const Status s = matmul_reserve();
    parallel_release();
    return s;
}

START_TEST(test_matmul_reserve_fails_cleanly)
{
    parallel_release();
    assert_allocation_failures_say(reserve_afresh, NULL, "parallel_reserve: no memory for *[0-9] bytes");
}
END_TEST

/* Returns the bytes up to the last one that differs from the mark. */
static size_t written_bytes(const unsigned char *memory, size_t size, unsigned char mark)
{
    while (size && memory[size - 1] == mark)
        size--;
    return size;
}

/* Marks the whole workspace, multiplies, and looks how far the marks are overwritten. */
START_TEST(test_matmul_writes_the_workspace_that_it_says)
{
    static const size_t shapes[][3] = {{17, 96, 64}, {17, 67, 1567}, {17, 4139, 31}, {20, 2100, 600}};
    enum { MARK = 0xa5, ROUNDING = 128 * sizeof(float) }; /* the last vector of a panel may not be written */
    reserve_for(2);
    FOR_EACH_ISA (isa)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
            const size_t most = matmul_workspace_bytes(SIZE_MAX / 2, 100000), said = matmul_workspace_bytes(n, k);
            const TestMatrix a = test_matrix(ROW_MAJOR, m, k), b = test_matrix(COLUMN_MAJOR, k, n),
                             c = test_matrix(ROW_MAJOR, m, n);
            unsigned char *memory = parallel_shared(parallel_workspace());
            memset(memory, MARK, most);
            matmul(c.view, test_matrix_input(&a), test_matrix_input(&b), m, n, k, 1, 0);
            const size_t written = written_bytes(memory, most, MARK);
            ck_assert_msg(written <= said && written + ROUNDING >= said,
                          "%s, %zu x %zu x %zu: wrote %zu bytes, says %zu", isa_name(isa), m, n, k, written, said);
            free(a.storage);
            free(b.storage);
            free(c.storage);
        }
}
END_TEST

const TestCase matmul_tests[] = {
    TEST(test_matmul_every_layout_agrees_with_the_triple_loop, "kernels"),
    TEST(test_matmul_random_shapes_agree_with_the_triple_loop, "kernels"),
    TEST(test_matmul_sizes_beyond_every_block_agree_with_the_triple_loop, "kernels"),
    TEST(test_matmul_without_rows_or_columns_touches_nothing, "kernels"),
    TEST(test_matmul_is_the_same_for_any_number_of_threads, "kernels"),
    TEST(test_matmul_equal_rows_and_columns_give_equal_elements, "kernels"),
    TEST(test_matmul_infinities_and_nan_go_where_they_belong, "kernels"),
    TEST(test_matmul_reserve_fails_cleanly, "kernels"),
    TEST(test_matmul_writes_the_workspace_that_it_says, "kernels"),
    {0},
};

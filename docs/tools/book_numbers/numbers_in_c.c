/*
 * The examples of the chapter "Numbers in C". numbers_in_c.py compiles this program, and writes what each example
 * prints into the chapter.
 *
 * usage: numbers_in_c EXAMPLE
 */
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "tests/exercises/learn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- pointers ---- */

static void add_one(float x)
{
    x = x + 1;
    printf("add_one: its own x is %g\n", (double)x);
}

static void add_one_to(float *x)
{
    *x = *x + 1;
}

static void pointers(void)
{
    float loss = 4;
    add_one(loss);
    printf("after add_one(loss):     loss = %g\n", (double)loss);
    add_one_to(&loss);
    printf("after add_one_to(&loss): loss = %g\n", (double)loss);

    float numbers[3] = {10, 20, 30};
    float *p = numbers; /* points to the first number */
    printf("*p = %g, p[2] = %g, *(p + 2) = %g\n", (double)*p, (double)p[2], (double)*(p + 2));
}

/* ---- rows in memory ---- */

static void row_major(void)
{
    const float x[6] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 3; j++)
            printf("x[%zu, %zu] is number %zu in memory: %g\n", i, j, i * 3 + j, (double)x[i * 3 + j]);
}

/* ---- views ---- */

static void print_view(const char *name, Tensor t)
{
    printf("%-26s shape %-10s stride (", name, tensor_shape_text(t));
    for (int d = 0; d < t.rank; d++)
        printf(d == 0 ? "%td" : ", %td", t.stride[d]);
    printf(")   ");
    for (size_t i = 0; i < rows(t); i++) {
        printf(i == 0 ? "[" : ", [");
        for (size_t j = 0; j < columns(t); j++)
            printf(j == 0 ? "%g" : " %g", (double)*at(t, i, j));
        printf("]");
    }
    printf("\n");
}

static void views(void)
{
    float memory[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const Tensor x = tensor(memory, 2, 4);
    print_view("x", x);
    print_view("tensor_transpose(x, 0, 1)", tensor_transpose(x, 0, 1));
    print_view("tensor_slice(x, 1, 1, 2)", tensor_slice(x, 1, 1, 2));
    print_view("tensor_select(x, 0, 1)", tensor_select(x, 0, 1));
    print_view("tensor_split(x, -1, 2)", tensor_split(x, -1, 2));

    *at(tensor_transpose(x, 0, 1), 3, 1) = 70; /* row 3, column 1 of the transpose is row 1, column 3 of x */
    printf("memory[7] = %g\n", (double)memory[7]);
}

/* ---- loops over rows ---- */

static void mean_of_rows(Tensor mean, Tensor x)
{
    for (size_t i = 0; i < rows(x); i++) {
        float sum = 0;
        for (size_t j = 0; j < columns(x); j++)
            sum += *at(x, i, j);
        *at(mean, i, 0) = sum / (float)columns(x);
    }
}

static void loops(void)
{
    float memory[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, results[4];
    const Tensor x = tensor(memory, 2, 2, 3), mean = tensor(results, 2, 2, 1);
    mean_of_rows(mean, x);
    print_view("x", x);
    print_view("mean", mean);
}

/* ---- float32 ---- */

static void rounding(void)
{
    const float tenth = 0.1f;
    printf("0.1f            is %.12f\n", (double)tenth);
    printf("16777216f + 1f  is %.0f\n", (double)(16777216.0f + 1.0f));
    float sum = 0;
    for (int i = 0; i < 10000000; i++)
        sum += tenth;
    printf("10 million times 0.1f: %.0f in float32", (double)sum);
    double exact = 0;
    for (int i = 0; i < 10000000; i++)
        exact += (double)tenth;
    printf(", %.0f in double\n", exact);
    const float a = 1e8f, b = -1e8f, c = 1;
    printf("(a + b) + c = %g, a + (b + c) = %g\n", (double)((a + b) + c), (double)(a + (b + c)));
}

static void special_numbers(void)
{
    const float infinity = expf(89), nan = infinity - infinity;
    printf("expf(88) = %g, expf(89) = %g, expf(-INFINITY) = %g\n", (double)expf(88), (double)infinity,
           (double)expf(-INFINITY));
    printf("inf - inf = %s, 0 * inf is NaN: %d, inf / inf is NaN: %d\n", isnan(nan) ? "nan" : "a number",
           isnan(0 * infinity), isnan(infinity / infinity));
    printf("nan == nan: %d, nan < 1: %d, 1 < nan: %d, isnan(nan): %d\n", nan == nan, nan < 1, 1 < nan, isnan(nan) != 0);
    printf("fmaxf(nan, 1) = %g\n", (double)fmaxf(nan, 1));
}

/* ---- sizes ---- */

static void sizes(void)
{
    const size_t queries = 2, keys = 3;
    printf("queries - keys = %zu\n", queries - keys);
    printf("queries < keys: %d\n", queries < keys);
    printf("1 / 2 = %d, 1 / 2.0f = %g\n", 1 / 2, (double)(1 / 2.0f));
    printf("backwards:");
    for (size_t i = keys; i-- > 0;)
        printf(" %zu", i);
    printf("\n");
}

/* ---- failing ---- */

static Status halve(Tensor y, Tensor x)
{
    if (nn_check_same_shape(y, x))
        return CS336_ESHAPE;
    if (columns(x) % 2 != 0)
        return status_fail(CS336_ESHAPE, "halve: x has %zu columns, expected an even number", columns(x));
    for (size_t i = 0; i < rows(x); i++)
        for (size_t j = 0; j < columns(x); j++)
            *at(y, i, j) = *at(x, i, j) / 2;
    return CS336_OK;
}

static Status quarter(Tensor y, Tensor x)
{
    Status s = halve(y, x);
    if (!s)
        s = halve(y, y);
    return s;
}

static void failing(void)
{
    float memory[6] = {4, 8, 12, 16, 20, 24}, results[6];
    const Tensor x = tensor(memory, 3, 2), y = tensor(results, 3, 2);
    Status s = quarter(y, x);
    printf("quarter: status %d, y begins with %g\n", (int)s, (double)*at(y, 0, 0));
    s = quarter(tensor(results, 2, 3), x);
    printf("quarter: status %d, \"%s\"\n", (int)s, status_message());
    s = quarter(tensor(results, 2, 3), tensor(memory, 2, 3));
    printf("quarter: status %d, \"%s\"\n", (int)s, status_message());
}

/* ---- scratch ---- */

static Status square_of_half(Tensor y, Tensor x, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    const Tensor half = arena_tensor_like(scratch, x); /* its numbers are undefined */
    Status s = arena_status(scratch);                  /* fails if scratch was too small */
    if (!s)
        s = halve(half, x);
    for (size_t i = 0; !s && i < rows(x); i++)
        for (size_t j = 0; j < columns(x); j++)
            *at(y, i, j) = *at(half, i, j) * *at(half, i, j);
    arena_release(scratch, mark); /* gives half back, also after a failure */
    return s;
}

static void scratch(void)
{
    float memory[40] = {2, 4, 6, 8}, results[40]; /* the other numbers are 0 */
    const Tensor x = tensor(memory, 10, 4), y = tensor(results, 10, 4);
    Arena large = {0}, small = {0};
    Status s = arena_init(&large, 1024);
    if (!s)
        s = square_of_half(y, x, &large);
    printf("status %d, y begins with %g; used %zu bytes, at most %zu\n", (int)s, (double)*at(y, 0, 0), large.used,
           large.peak);
    arena_deinit(&large);

    s = arena_init(&small, 100);
    if (!s)
        s = square_of_half(y, x, &small);
    printf("status %d, \"%s\"\n", (int)s, status_message());
    arena_deinit(&small);
}

/* ---- */

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } examples[] = {
        {"pointers", pointers}, {"row-major", row_major}, {"views", views},
        {"loops", loops},       {"rounding", rounding},   {"special", special_numbers},
        {"sizes", sizes},       {"failing", failing},     {"scratch", scratch},
    };
    for (size_t i = 0; argc == 2 && i < sizeof examples / sizeof *examples; i++)
        if (strcmp(argv[1], examples[i].name) == 0) {
            examples[i].run();
            return 0;
        }
    fprintf(stderr, "usage: numbers_in_c EXAMPLE\n");
    return 1;
}

#define _POSIX_C_SOURCE 200809L
#include "tests/distributed/exchange_ranks.h"

#include "core/memory.h"
#include "distributed/gradient_exchange.h"
#include "distributed/ranks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSORS = 6 };

/* Lengths of tensors. Together they end inside a bucket, at its end, or are fewer than the ranks. */
static const size_t lengths[][TENSORS] = {
    {3, BUCKET_NUMBERS + 5, 7, 2 * BUCKET_NUMBERS - 11, 1, 64},
    {1, 1, 1, 1, 1, 5 * BUCKET_NUMBERS - 5},
    {50, 1, 9, 4, 200, 1},
    {1, 1, 0, 0, 0, 0},
};

/* The tensors of a rank, one after the other in `values` and in `gradients`. */
typedef struct {
    Parameter parameters[TENSORS];
    size_t count, numbers;
    float *values, *gradients;
} Numbers;

/* A number that depends on its rank, its index and the step, with all 24 bits of float32 in use. */
static float number_of(int rank, size_t index, unsigned step)
{
    const unsigned hash = ((unsigned)index * 2654435761U) ^ ((unsigned)rank * 40503U) ^ (step * 69069U);
    return ((float)(hash >> 8) / 8388608.0F - 1.0F) * (rank == 1 ? 1e3F : 1.0F);
}

static void init(Numbers *n, const size_t *length)
{
    *n = (Numbers){0};
    while (n->count < TENSORS && length[n->count])
        n->numbers += length[n->count++];
    n->values = memory_allocate_zeroed(n->numbers, sizeof(float));
    n->gradients = memory_allocate_zeroed(n->numbers, sizeof(float));
    for (size_t i = 0, first = 0; i < n->count; first += length[i++])
        n->parameters[i] = (Parameter){.value = tensor(n->values + first, length[i])};
}

static void deinit(Numbers *n)
{
    memory_release(n->values);
    memory_release(n->gradients);
}

/* Returns the sum of the ranks' numbers in float32, in the order of the ranks. */
static float sum_of(size_t index, unsigned step)
{
    float sum = number_of(0, index, step);
    for (int rank = 1; rank < ranks_count(); rank++)
        sum += number_of(rank, index, step);
    return sum;
}

static bool is_own(const Numbers *n, size_t index)
{
    const NumberRange bucket = bucket_range(n->numbers, (n->numbers - 1 - index) / BUCKET_NUMBERS);
    const NumberRange part = bucket_part(bucket, ranks_own(), ranks_count());
    return index >= part.first && index < part.first + part.count;
}

static int complain(const char *what, size_t index, double got, double expected)
{
    dprintf(ranks_stderr(), "rank %d of %d: %s: number %zu is %.9g, expected %.9g\n", ranks_own(), ranks_count(), what,
            index, got, expected);
    return 1;
}

/* Reports the gradients from the last tensor to tensor `last`, and waits for the sums. */
static ExchangeResult step(GradientExchange *exchange, Numbers *n, unsigned number, size_t last)
{
    gradient_exchange_begin(exchange);
    for (size_t i = n->count; i-- > last;) {
        const Tensor value = n->parameters[i].value;
        const size_t first = (size_t)(value.data - n->values);
        for (size_t k = first; k < first + tensor_count(value); k++)
            n->gradients[k] = number_of(ranks_own(), k, number);
        gradient_exchange_ready(exchange, tensor(n->gradients + first, tensor_count(value)));
    }
    return gradient_exchange_finish(exchange, last > 0);
}

/* Compares the numbers bit by bit: the order of the additions is fixed. Against double, they may differ by rounding. */
static int check_sums(const Numbers *n, const ExchangeResult *result, unsigned number, bool share)
{
    double squares = result->sum_of_squares, expected_squares = 0;
    for (size_t i = 0; i < n->numbers; i++) {
        const float sum = sum_of(i, number);
        const float expected = !share || is_own(n, i) ? sum : number_of(ranks_own(), i, number);
        double wide = 0, size = 0;
        for (int rank = 0; rank < ranks_count(); rank++) {
            wide += (double)number_of(rank, i, number);
            size += fabs((double)number_of(rank, i, number));
        }
        expected_squares += (double)sum * (double)sum;
        if (n->gradients[i] != expected)
            return complain(share ? "shared sum" : "sum", i, (double)n->gradients[i], (double)expected);
        if (fabs((double)sum - wide) > 1e-6 * size)
            return complain("sum in double", i, (double)sum, wide);
    }
    ranks_sum(&squares, 1);
    return fabs(squares - expected_squares) > 1e-9 * expected_squares
               ? complain("sum of squares", 0, squares, expected_squares)
               : 0;
}

/* Each rank changes its own parts of the values, and then all have all. */
static int check_values(GradientExchange *exchange, Numbers *n)
{
    for (size_t i = 0; i < n->numbers; i++)
        n->values[i] = is_own(n, i) ? (float)i : -1;
    gradient_exchange_gather_values(exchange);
    for (size_t i = 0; i < n->numbers; i++)
        if (n->values[i] != (float)i)
            return complain("value", i, (double)n->values[i], (double)i);
    return 0;
}

static int check(const size_t *length, bool share)
{
    Numbers n;
    GradientExchange *exchange;
    init(&n, length);
    if (gradient_exchange_create(&exchange, (ParameterList){n.parameters, n.count}, share))
        ranks_give_up();
    ExchangeResult result = step(exchange, &n, 1, 0);
    int failed = check_sums(&n, &result, 1, share);
    /* A rank without most of its gradients fails, and no rank waits for ever. The next step is like any other. */
    step(exchange, &n, 2, ranks_own() == 1 ? n.count - 1 : 0);
    result = step(exchange, &n, 3, 0);
    failed = failed || check_sums(&n, &result, 3, share);
    failed = failed || check_values(exchange, &n);
    gradient_exchange_destroy(exchange);
    deinit(&n);
    return failed;
}

int exchange_ranks(void)
{
    if (ranks_begin())
        return 1;
    bool failed = ranks_count() == 1; /* mpirun has started one process: nothing would be tested */
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int share = 0; share < 2; share++)
            failed = ranks_any(failed || check(lengths[i], share));
    ranks_end();
    return failed;
}

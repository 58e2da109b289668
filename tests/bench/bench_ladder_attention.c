/* The steps from the plain formula of attention to the library's score blocks, in time and memory: docs/performance.md.
 */
#include "core/arena.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/matmul.h"
#include "nn/functional.h"
#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 8, SEQ = 2048, D = 64 };
enum { SMALL_HEADS = 3, SMALL_SEQ = 150 }; /* of the problem that checks a step */

typedef struct {
    size_t heads, seq;
    float scale;
    float *numbers;                                                   /* memory of all tensors in the next two lines */
    float *query, *key, *value, *grad_output;                         /* (heads, seq, D) */
    float *output, *grad_query, *grad_key, *grad_value, *log_sum_exp; /* likewise; the last (heads, seq) */
    float *p, *grad_p;                                                /* (heads, seq, seq), or NULL */
    Arena scratch;
} Problem;

typedef struct {
    const char *name;
    void (*step)(Problem *);
    size_t matrices; /* of (seq, seq) for each head */
    AttentionKind kind;
    bool backward;
} Rung;

/* ---- scores in memory ---- */

/* Computes the formula row by row: scores, softmax, weighted sum of the values. */
static void loops(Problem *x)
{
    const size_t seq = x->seq;
#pragma omp parallel for
    for (size_t row = 0; row < x->heads * seq; row++) {
        const size_t first = row / seq * seq, i = row % seq;
        const float *q = x->query + row * D, *k = x->key + first * D, *v = x->value + first * D;
        float *p = x->p + row * seq, *o = x->output + row * D, max = -INFINITY, sum = 0;
        for (size_t j = 0; j < seq; j++) {
            float score = 0;
            for (size_t e = 0; e < D; e++)
                score += q[e] * k[j * D + e];
            p[j] = j <= i ? score * x->scale : -INFINITY;
            max = fmaxf(max, p[j]);
        }
        for (size_t j = 0; j < seq; j++)
            sum += p[j] = expf(p[j] - max);
        memset(o, 0, D * sizeof *o);
        for (size_t j = 0; j < seq; j++)
            for (size_t e = 0; e < D; e++)
                o[e] += p[j] / sum * v[j * D + e];
    }
}

/* Views of the matrices of one head: with D columns, with seq columns, and transposed. */
static ConstMatrix narrow(const float *x)
{
    return (ConstMatrix){x, D, 1};
}

static ConstMatrix wide(const float *x, size_t seq)
{
    return (ConstMatrix){x, (ptrdiff_t)seq, 1};
}

static ConstMatrix transposed(ConstMatrix a)
{
    return (ConstMatrix){a.data, a.column_stride, a.row_stride};
}

/* Computes scores = factor left right^T for each head: (seq, seq) from two matrices (seq, D). */
static void multiply_rows(const Problem *x, float *scores, const float *left, const float *right, float factor)
{
    const size_t n = x->seq;
    for (size_t head = 0; head < x->heads; head++)
        matmul((Matrix){scores + head * n * n, (ptrdiff_t)n, 1}, narrow(left + head * n * D),
               transposed(narrow(right + head * n * D)), n, n, D, factor, 0);
}

/* Computes y = factor weights x for each head: (seq, D) from (seq, seq), perhaps transposed, and (seq, D). */
static void weigh(const Problem *problem, float *y, ConstMatrix weights, const float *x, float factor)
{
    const size_t n = problem->seq;
    for (size_t head = 0; head < problem->heads; head++, weights.data += n * n)
        matmul((Matrix){y + head * n * D, D, 1}, weights, narrow(x + head * n * D), n, D, n, factor, 0);
}

static void products(Problem *x)
{
    const size_t n = x->seq;
    const Tensor p = tensor(x->p, x->heads, n, n);
    bench_require(matmul_reserve());
    multiply_rows(x, x->p, x->query, x->key, x->scale);
#pragma omp parallel for
    for (size_t row = 0; row < x->heads * n; row++)
        for (size_t j = row % n + 1; j < n; j++)
            x->p[row * n + j] = -INFINITY;
    bench_require(softmax_forward(p, p, -1));
    weigh(x, x->output, wide(x->p, n), x->value, 1);
}

/* Uses the probabilities P of the forward pass: dV = P^T dO, dP = dO V^T, dS from dP, dQ = dS K, dK = dS^T Q. */
static void products_backward(Problem *x)
{
    const size_t n = x->seq;
    const Tensor p = tensor(x->p, x->heads, n, n), grad_p = tensor(x->grad_p, x->heads, n, n);
    products(x);
    weigh(x, x->grad_value, transposed(wide(x->p, n)), x->grad_output, 1);
    multiply_rows(x, x->grad_p, x->grad_output, x->value, 1);
    bench_require(softmax_backward(grad_p, grad_p, p, -1));
    weigh(x, x->grad_query, wide(x->grad_p, n), x->key, x->scale);
    weigh(x, x->grad_key, transposed(wide(x->grad_p, n)), x->query, x->scale);
}

/* ---- the library ---- */

static Tensor view(const Problem *x, float *data)
{
    return tensor(data, x->heads, x->seq, D);
}

static void blocks(const Problem *x, AttentionMask mask)
{
    bench_require(scaled_dot_product_attention_forward(view(x, x->output), tensor(x->log_sum_exp, x->heads, x->seq, 1),
                                                       view(x, x->query), view(x, x->key), view(x, x->value), mask));
}

static void blocks_backward(Problem *x, AttentionMask mask)
{
    blocks(x, mask);
    bench_require(scaled_dot_product_attention_backward(
        view(x, x->grad_query), view(x, x->grad_key), view(x, x->grad_value), view(x, x->grad_output),
        view(x, x->output), tensor(x->log_sum_exp, x->heads, x->seq, 1), view(x, x->query), view(x, x->key),
        view(x, x->value), mask, &x->scratch));
}

static void all_blocks(Problem *x)
{
    blocks(x, (AttentionMask){.kind = ATTEND_ALL});
}

static void causal_blocks(Problem *x)
{
    blocks(x, (AttentionMask){.kind = ATTEND_CAUSAL});
}

static void all_blocks_backward(Problem *x)
{
    blocks_backward(x, (AttentionMask){.kind = ATTEND_ALL});
}

static void causal_blocks_backward(Problem *x)
{
    blocks_backward(x, (AttentionMask){.kind = ATTEND_CAUSAL});
}

/* ---- problems ---- */

static Problem make_problem(size_t heads, size_t seq)
{
    const size_t n = heads * seq * D;
    Problem x = {.heads = heads, .seq = seq, .scale = 1 / sqrtf(D), .numbers = bench_numbers(8 * n + heads * seq)};
    float **const arrays[] = {&x.query,      &x.key,      &x.value,      &x.grad_output, &x.output,
                              &x.grad_query, &x.grad_key, &x.grad_value, &x.log_sum_exp};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = x.numbers + i * n;
    for (size_t i = 0; i < n; i++)
        x.query[i] *= 8; /* gives scores of about 1 */
    bench_require(arena_init(&x.scratch, scaled_dot_product_attention_scratch(view(&x, x.query))));
    return x;
}

static void release_problem(Problem *x)
{
    memory_release(x->numbers);
    arena_deinit(&x->scratch);
}

/* ---- the check ---- */

/* Computes one query in double precision. It sees the first `seen` keys of its head. Writes its probabilities to p. */
static void attend_exactly(double *output, double *p, const Problem *x, size_t row, size_t seen)
{
    const size_t first = row / x->seq * x->seq;
    double sum = 0;
    for (size_t j = 0; j < seen; j++) {
        double score = 0;
        for (size_t e = 0; e < D; e++)
            score += (double)x->query[row * D + e] * (double)x->key[(first + j) * D + e];
        sum += p[j] = exp(score / sqrt(D));
    }
    memset(output, 0, D * sizeof *output);
    for (size_t j = 0; j < seen; j++) {
        p[j] /= sum;
        for (size_t e = 0; e < D; e++)
            output[e] += p[j] * (double)x->value[(first + j) * D + e];
    }
}

/* Computes the gradient of one query, and adds what it contributes to the gradients of its keys and values. */
static void differentiate_exactly(double *grad_query, double *grad_key, double *grad_value, const double *output,
                                  const double *p, const Problem *x, size_t row, size_t seen)
{
    const size_t first = row / x->seq * x->seq;
    for (size_t j = 0; j < seen; j++) {
        double grad_score = 0;
        for (size_t e = 0; e < D; e++)
            grad_score += (double)x->grad_output[row * D + e] * ((double)x->value[(first + j) * D + e] - output[e]);
        grad_score *= p[j] / sqrt(D);
        for (size_t e = 0; e < D; e++) {
            grad_query[row * D + e] += grad_score * (double)x->key[(first + j) * D + e];
            grad_key[(first + j) * D + e] += grad_score * (double)x->query[row * D + e];
            grad_value[(first + j) * D + e] += p[j] * (double)x->grad_output[row * D + e];
        }
    }
}

static bool close(const float *actual, const double *expected, size_t n)
{
    bool right = true;
    for (size_t i = 0; i < n; i++)
        right = right && fabs((double)actual[i] - expected[i]) <= 1e-5 + 1e-4 * fabs(expected[i]);
    return right;
}

static bool is_right(const Rung *rung)
{
    enum { ROWS = SMALL_HEADS * SMALL_SEQ, COUNT = ROWS * D };
    static double exact[4 * COUNT], p[SMALL_SEQ]; /* output and gradients, in the problem's order */
    Problem x = make_problem(SMALL_HEADS, SMALL_SEQ);
    x.p = bench_numbers((size_t)ROWS * SMALL_SEQ);
    x.grad_p = bench_numbers((size_t)ROWS * SMALL_SEQ);
    rung->step(&x);
    memset(exact, 0, sizeof exact);
    for (size_t row = 0; row < ROWS; row++) {
        const size_t seen = rung->kind == ATTEND_ALL ? SMALL_SEQ : row % SMALL_SEQ + 1;
        attend_exactly(exact + row * D, p, &x, row, seen);
        differentiate_exactly(exact + COUNT, exact + 2 * COUNT, exact + 3 * COUNT, exact + row * D, p, &x, row, seen);
    }
    const bool right = close(x.output, exact, rung->backward ? 4 * COUNT : COUNT);
    memory_release(x.p);
    memory_release(x.grad_p);
    release_problem(&x);
    return right;
}

/* ---- the ladder ---- */

typedef struct {
    const Rung *rung;
    Problem *problem;
} Climb;

/* Allocates and touches the scores before it starts the clock, because a program would keep them between steps. */
static double seconds(void *context)
{
    const Climb *climb = context;
    Problem *x = climb->problem;
    float **const matrices[] = {&x->p, &x->grad_p};
    for (size_t i = 0; i < climb->rung->matrices; i++) {
        *matrices[i] = memory_allocate_zeroed(x->heads * x->seq * x->seq, sizeof(float));
        if (!*matrices[i])
            return bench_failed("no memory for the scores");
    }
    const double start = bench_now();
    climb->rung->step(x);
    const double end = bench_now();
    for (size_t i = 0; i < climb->rung->matrices; i++)
        memory_release(*matrices[i]);
    return end - start;
}

/* Returns the peak memory besides inputs, outputs and gradients. The workspace of the threads is included. */
static double bytes(void *context)
{
    parallel_release();
    memory_reset_peak();
    const size_t before = memory_in_use();
    const double taken = seconds(context);
    return isnan(taken) ? taken : (double)(memory_peak() - before);
}

static double wrong(void *context)
{
    const Climb *climb = context;
    return bench_failed("%s: not attention", climb->rung->name);
}

static void climb_to(const Rung *rung, const Rung *before, Problem *problem)
{
    const char *pass = rung->backward ? "training" : "forward";
    Climb ours = {rung, problem}, peer = {before, problem};
    char time[80], memory[80];
    snprintf(time, sizeof time, "ladder attention %s %s", pass, rung->name);
    snprintf(memory, sizeof memory, "ladder attention %s %s memory", pass, rung->name);
    if (!bench_selected(time) && !bench_selected(memory))
        return;
    const double products_of_pairs = rung->backward ? 7 : 2;
    const double causal_pairs = (double)problem->heads * (double)problem->seq * (double)(problem->seq + 1) / 2;
    const bool right = is_right(rung);
    BenchRow row = {.name = time,
                    BENCH_MILLISECONDS,
                    .ours = {.run = right ? seconds : wrong, .context = &ours},
                    .limit = BENCH_FMA,
                    .amount = products_of_pairs * 2 * D * causal_pairs};
    if (before)
        row.peers[0] = (BenchSide){before->name, seconds, &peer};
    bench_row(&row);
    row = (BenchRow){.name = memory,
                     .unit = "MB",
                     .scale = 1e-6,
                     .ours = {.run = right ? bytes : wrong, .context = &ours},
                     .rounds = 1};
    if (before)
        row.peers[0] = (BenchSide){before->name, bytes, &peer};
    bench_row(&row);
}

void bench_ladder_attention(void)
{
    static const Rung rungs[] = {
        {"loops", loops, 1, ATTEND_CAUSAL, false},
        {"matmul()", products, 1, ATTEND_CAUSAL, false},
        {"all blocks", all_blocks, 0, ATTEND_ALL, false},
        {"causal blocks", causal_blocks, 0, ATTEND_CAUSAL, false},
        {"matmul()", products_backward, 2, ATTEND_CAUSAL, true},
        {"all blocks", all_blocks_backward, 0, ATTEND_ALL, true},
        {"causal blocks", causal_blocks_backward, 0, ATTEND_CAUSAL, true},
    };
    Problem problem = make_problem(HEADS, SEQ);
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++)
        climb_to(&rungs[i], i > 0 && rungs[i].backward == rungs[i - 1].backward ? &rungs[i - 1] : NULL, &problem);
    release_problem(&problem);
}

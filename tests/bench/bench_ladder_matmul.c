/* The steps from the triple loop to matmul(), one idea each, beside the step before: docs/performance.md. */
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "tests/bench/bench.h"
#include "tests/bench/ladder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the first steps, as any C compiler takes them ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Computes each element as one sum of products. */
static void naive(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * n + j];
            c[i * n + j] = sum;
        }
}

/* The inner loop goes along rows of B and C. */
static void row_by_row(float *restrict c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    memset(c, 0, m * n * sizeof *c);
    for (size_t i = 0; i < m; i++)
        for (size_t l = 0; l < k; l++)
            for (size_t j = 0; j < n; j++)
                c[i * n + j] += a[i * k + l] * b[l * n + j];
}

/* A block of B stays in the cache while all rows of A use it. */
static void cached(float *restrict c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    memset(c, 0, m * n * sizeof *c);
    for (size_t l0 = 0; l0 < k; l0 += CACHED_DEPTH)
        for (size_t j0 = 0; j0 < n; j0 += CACHED_COLUMNS)
            for (size_t i = 0; i < m; i++)
                for (size_t l = l0; l < smaller(l0 + CACHED_DEPTH, k); l++)
                    for (size_t j = j0; j < smaller(j0 + CACHED_COLUMNS, n); j++)
                        c[i * n + j] += a[i * k + l] * b[l * n + j];
}

const LadderTable *ladder_vectors(void)
{
#if defined(__x86_64__)
    if (isa_in_use() >= ISA_AVX512 && isa_in_use() <= ISA_AMX)
        return &ladder_avx512;
    if (isa_in_use() == ISA_AVX2)
        return &ladder_avx2;
#endif
    return &ladder_portable;
}

static void library(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    const ptrdiff_t row = (ptrdiff_t)n;
    matmul((Matrix){c, row, 1}, (ConstMatrix){a, (ptrdiff_t)k, 1}, (ConstMatrix){b, row, 1}, m, n, k, 1, 0);
}

/* ---- the ladder ---- */

typedef struct {
    size_t m, n, k;
} Shape;

static const Shape shapes[] = {
    {1024, 1024, 1024}, {2048, 512, 1344}, /* gradient of the input of w1, batch 8 x 256 of the reference model */
};

typedef struct {
    const char *name;
    LadderStep *step;
    int threads;
} Rung;

typedef struct {
    const Rung *rung;
    Shape shape;
    float *a, *b, *c, *work;
} Product;

static Product make_product(const Rung *rung, Shape s)
{
    const size_t of_threads = (size_t)rung->threads * LADDER_BLOCK;
    const size_t work = (s.m + s.n) * s.k + of_threads;
    return (Product){
        rung, s, bench_numbers(s.m * s.k), bench_numbers(s.k * s.n), bench_numbers(s.m * s.n), bench_numbers(work)};
}

static void release_product(Product *x)
{
    memory_release(x->a);
    memory_release(x->b);
    memory_release(x->c);
    memory_release(x->work);
}

static double multiply(void *context)
{
    const Product *x = context;
    const int threads = parallel_threads();
    parallel_set_threads(x->rung->threads);
    bench_require(matmul_reserve());
    const double start = bench_now();
    x->rung->step(x->c, x->a, x->b, x->shape.m, x->shape.n, x->shape.k, x->work);
    const double seconds = bench_now() - start;
    parallel_set_threads(threads);
    return seconds;
}

/* No factor exceeds 1/2, so sums are below k / 4. Each of k additions in float errs by at most 2^-24 of that. */
static bool is_right(const Rung *rung)
{
    Product x = make_product(rung, (Shape){LADDER_ROWS + 16, CACHED_COLUMNS + 32, 2 * LADDER_DEPTH + 30});
    const Shape s = x.shape;
    const double tolerance = (double)s.k * 0x1p-24 * (double)s.k / 4;
    bool right = true;
    multiply(&x);
    for (size_t i = 0; i < s.m; i++)
        for (size_t j = 0; j < s.n; j++) {
            double sum = 0;
            for (size_t l = 0; l < s.k; l++)
                sum += (double)x.a[i * s.k + l] * (double)x.b[l * s.n + j];
            right = right && fabs((double)x.c[i * s.n + j] - sum) <= tolerance;
        }
    release_product(&x);
    return right;
}

static double wrong(void *context)
{
    const Product *x = context;
    return bench_failed("%s: not the product", x->rung->name);
}

static void climb(const Rung *rung, const Rung *before, Shape s)
{
    char name[80];
    snprintf(name, sizeof name, "ladder matmul %zux%zux%zu %s", s.m, s.n, s.k, rung->name);
    if (!bench_selected(name))
        return;
    const double operations = 2.0 * (double)s.m * (double)s.n * (double)s.k;
    const bool slow = rung->step == naive || (before && before->step == naive);
    Product x = make_product(rung, s), y = x;
    y.rung = before;
    parallel_set_threads(rung->threads);
    BenchRow row = {.name = name,
                    .unit = "GFLOP/s",
                    .scale = operations / 1e9,
                    .rate = true,
                    .ours = {.run = is_right(rung) ? multiply : wrong, .context = &x},
                    .limit = BENCH_FMA,
                    .amount = operations,
                    .rounds = slow ? 1 : 0};
    if (before)
        row.peers[0] = (BenchSide){before->name, multiply, &y};
    bench_row(&row);
    parallel_set_threads(0);
    release_product(&x);
}

void bench_ladder_matmul(void)
{
    const LadderTable *vectors = ladder_vectors();
    const int threads = parallel_threads();
    const Rung rungs[] = {
        {"naive i-j-k", naive, 1},
        {"rows i-k-j", row_by_row, 1},
        {"blocks", cached, 1},
        {"vectors", vectors->vectors, 1},
        {"register tile", vectors->tile, 1},
        {"packed panels", vectors->panels, 1},
        {"blocks for L1, L2, L3", vectors->blocks, 1},
        {"threads", vectors->blocks, threads},
        {"matmul()", library, threads},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++)
            climb(&rungs[i], i > 0 ? &rungs[i - 1] : NULL, shapes[s]);
}

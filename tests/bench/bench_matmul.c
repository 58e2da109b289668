/* The matrix product at the shapes of the reference model, beside OpenBLAS, the FMA peak and the memory's speed. */
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "tests/bench/bench.h"
#include "tests/bench/openblas.h"

#include <stdio.h>

/* The form says for A and B: N, row-major; T, transposed. (m, n, k) are those of matmul(). A NULL form ends a list. */
typedef struct {
    const char *form;
    size_t m, n, k;
} Shape;

/* The forward pass (NT), and the gradients of the input (NN) and of the weight (TN). */
static const Shape products[] = {
    {"NT", 1024, 1024, 1024}, {"NT", 8192, 512, 512},  {"NT", 8192, 1344, 512},  {"NT", 2048, 10000, 512},
    {"NN", 1024, 1024, 1024}, {"NN", 8192, 512, 1344}, {"NN", 2048, 512, 10000}, {"TN", 1024, 1024, 1024},
    {"TN", 512, 512, 8192},   {"TN", 1344, 512, 8192}, {"TN", 10000, 512, 2048}, {0},
};
static const Shape split_products[] = {{"NT", 1024, 1024, 1024}, {"NT", 8192, 1344, 512}, {"TN", 1344, 512, 8192}, {0}};
static const Shape avx2_products[] = {{"NT", 1024, 1024, 1024}, {"NT", 8192, 1344, 512}, {"TN", 1344, 512, 8192}, {0}};
static const Shape naive_products[] = {{"NT", 512, 512, 512}, {"NT", 1024, 1024, 1024}, {0}};
static const Shape few_rows[] = {{"NT", 4, 4096, 512}, {"NT", 16, 4096, 512}, {0}};
static const Shape vectors[] = {{"NT", 1, 4096, 4096}, {"NN", 1, 4096, 4096}, {"NT", 1, 32000, 512}, {0}};

typedef void Product(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

typedef struct {
    Shape shape;
    Product *product;
    float *a, *b, *c;
} Operands;

static Operands make_operands(const Shape *s, Product *product)
{
    return (Operands){*s, product, bench_numbers(s->m * s->k), bench_numbers(s->n * s->k), bench_numbers(s->m * s->n)};
}

static void release_operands(Operands *x)
{
    memory_release(x->a);
    memory_release(x->b);
    memory_release(x->c);
}

static double multiply(void *context)
{
    const Operands *x = context;
    const Shape *s = &x->shape;
    const ptrdiff_t m = (ptrdiff_t)s->m, n = (ptrdiff_t)s->n, k = (ptrdiff_t)s->k;
    const ConstMatrix a = s->form[0] == 'T' ? (ConstMatrix){x->a, 1, m} : (ConstMatrix){x->a, k, 1};
    const ConstMatrix b = s->form[1] == 'T' ? (ConstMatrix){x->b, 1, k} : (ConstMatrix){x->b, n, 1};
    const double start = bench_now();
    x->product((Matrix){x->c, n, 1}, a, b, s->m, s->n, s->k, 1, 0);
    return bench_now() - start;
}

/* The textbook's triple loop: each element is one sum of products. Form NT, so both factors are read along rows. */
static double multiply_naively(void *context)
{
    const Operands *x = context;
    const Shape *s = &x->shape;
    const double start = bench_now();
    for (size_t i = 0; i < s->m; i++)
        for (size_t j = 0; j < s->n; j++) {
            float sum = 0;
            for (size_t p = 0; p < s->k; p++)
                sum += x->a[i * s->k + p] * x->b[j * s->k + p];
            x->c[i * s->n + j] = sum;
        }
    return bench_now() - start;
}

static void name_row(char name[80], const char *kind, const Shape *s, int threads)
{
    snprintf(name, 80, "matmul %s %s %zux%zux%zu %d thread%s", kind, s->form, s->m, s->n, s->k, threads,
             threads > 1 ? "s" : "");
}

/* Returns a row in 10^9 operations a second. The caller adds the peers. */
static BenchRow product_row(const char *name, Operands *x)
{
    const double operations = 2.0 * (double)x->shape.m * (double)x->shape.n * (double)x->shape.k;
    return (BenchRow){.name = name,
                      .unit = "GFLOP/s",
                      .scale = operations / 1e9,
                      .rate = true,
                      .ours = {.run = multiply, .context = x},
                      .limit = BENCH_FMA,
                      .amount = operations};
}

static BenchQuestion sgemm_of(BenchProcess *process, const Shape *s)
{
    return bench_question(process, "sgemm %s %zu %zu %zu", s->form, s->m, s->n, s->k);
}

static void float32_row(const Shape *s, int threads)
{
    char name[80];
    name_row(name, "float32", s, threads);
    if (!bench_selected(name))
        return;
    Operands x = make_operands(s, matmul);
    BenchQuestion by_default = sgemm_of(&openblas_default, s), avx512 = sgemm_of(&openblas_avx512, s);
    BenchRow row = product_row(name, &x);
    row.limit = BENCH_FLOAT32;
    row.peers[0] = (BenchSide){"OpenBLAS", bench_ask, &by_default};
    if (isa_in_use() >= ISA_AVX512 && isa_in_use() <= ISA_AMX)
        row.peers[1] = (BenchSide){"OpenBLAS SkylakeX", bench_ask, &avx512};
    bench_row(&row);
    release_operands(&x);
}

/* Ours rounds its float32 operands while it packs them. PyTorch's operands are bfloat16 already. */
static void bf16_row(const Shape *s, int threads)
{
    char name[80];
    name_row(name, "bf16", s, threads);
    if (!bench_selected(name))
        return;
    Operands x = make_operands(s, matmul_bf16);
    BenchQuestion torch = bench_question(&bench_torch, "matmul bfloat16 %s %zu %zu %zu", s->form, s->m, s->n, s->k);
    BenchRow row = product_row(name, &x);
    row.peers[0] = (BenchSide){"PyTorch bfloat16", bench_ask, &torch};
    row.limit = BENCH_BF16;
    bench_row(&row);
    release_operands(&x);
}

/* Two parts and three products, with tiles. OpenBLAS computes in float32, whose 24 bits these products do not keep. */
static void bf16x3_row(const Shape *s, int threads)
{
    char name[80];
    name_row(name, "bf16x3", s, threads);
    if (!bench_selected(name))
        return;
    if (matmul_bf16x3_is_emulated() || isa_in_use() == ISA_AMX_EMULATED) {
        bench_skip(name, "this CPU has no matrix unit (AMX) that programs may use");
        return;
    }
    Operands x = make_operands(s, matmul_bf16x3);
    BenchQuestion by_default = sgemm_of(&openblas_default, s), avx512 = sgemm_of(&openblas_avx512, s);
    BenchRow row = product_row(name, &x);
    row.peers[0] = (BenchSide){"OpenBLAS", bench_ask, &by_default};
    row.peers[1] = (BenchSide){"OpenBLAS SkylakeX", bench_ask, &avx512};
    row.limit = BENCH_BF16X3;
    bench_row(&row);
    release_operands(&x);
}

static void avx2_row(const Shape *s, int threads)
{
    char name[80];
    name_row(name, "avx2", s, threads);
    if (!bench_selected(name))
        return;
    Operands x = make_operands(s, matmul);
    BenchQuestion haswell = sgemm_of(&openblas_avx2, s);
    BenchRow row = product_row(name, &x);
    row.peers[0] = (BenchSide){"OpenBLAS Haswell", bench_ask, &haswell};
    bench_row(&row);
    release_operands(&x);
}

static void portable_row(const Shape *s)
{
    char name[80];
    name_row(name, "portable", s, 1);
    if (!bench_selected(name))
        return;
    Operands x = make_operands(s, matmul);
    BenchRow row = product_row(name, &x);
    row.peers[0] = (BenchSide){"naive triple loop", multiply_naively, &x};
    bench_row(&row);
    release_operands(&x);
}

/* Computes W x, as decoding does (NT), or W^T x (NN). Each weight is read and used once, so memory is the limit. */
static void vector_row(const Shape *s, int threads)
{
    char name[80];
    snprintf(name, sizeof name, "matvec float32 %s %zux%zu %d thread%s", s->form, s->n, s->k, threads,
             threads > 1 ? "s" : "");
    if (!bench_selected(name))
        return;
    const double bytes = sizeof(float) * (double)s->n * (double)s->k;
    Operands x = make_operands(s, matmul);
    BenchQuestion question = bench_question(&openblas_default, "sgemv %s %zu %zu", s->form, s->n, s->k);
    bench_row(&(BenchRow){.name = name,
                          .unit = "GB/s",
                          .scale = bytes / 1e9,
                          .rate = true,
                          .ours = {.run = multiply, .context = &x},
                          .peers = {{"OpenBLAS", bench_ask, &question}},
                          .limit = BENCH_BANDWIDTH,
                          .amount = bytes});
    release_operands(&x);
}

/* Runs the rows of another instruction set, if this CPU has it. */
static void with_isa(Isa isa, int threads)
{
    const Isa best = isa_in_use();
    if (!isa_choose(isa))
        return;
    bench_require(matmul_reserve());
    if (isa == ISA_AVX2)
        for (const Shape *s = avx2_products; s->form; s++)
            avx2_row(s, threads);
    else if (threads == 1)
        for (const Shape *s = naive_products; s->form; s++)
            portable_row(s);
    isa_choose(best);
}

void bench_matmul(void)
{
    const int most = parallel_threads();
    for (int threads = 1; threads <= most; threads += most > 1 ? most - 1 : 1) {
        parallel_set_threads(threads);
        bench_require(matmul_reserve());
        for (const Shape *s = products; s->form; s++)
            float32_row(s, threads);
        for (const Shape *s = few_rows; s->form; s++)
            float32_row(s, threads);
        for (const Shape *s = products; s->form; s++)
            bf16_row(s, threads);
        for (const Shape *s = split_products; s->form; s++)
            bf16x3_row(s, threads);
        with_isa(ISA_AVX2, threads);
        with_isa(ISA_PORTABLE, threads);
        for (const Shape *s = vectors; s->form; s++)
            vector_row(s, threads);
    }
    parallel_set_threads(0);
    bench_process_end(&openblas_default);
    bench_process_end(&openblas_avx512);
    bench_process_end(&openblas_avx2);
}

/* The matrix product at the shapes of the reference model, beside the FMA peak and the memory's speed. */
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/matmul.h"
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

/* N: as it lies, T: transposed; (m, n, k) as in matmul(). */
typedef struct {
    const char *form;
    size_t m, n, k;
} Shape;

static const Shape products[] = {
    {"NT", 1024, 1024, 1024}, {"NT", 8192, 512, 512},  {"NT", 8192, 1344, 512},  {"NT", 2048, 10000, 512},
    {"NN", 1024, 1024, 1024}, {"NN", 8192, 512, 1344}, {"NN", 2048, 512, 10000}, {"TN", 1024, 1024, 1024},
    {"TN", 512, 512, 8192},   {"TN", 1344, 512, 8192}, {"TN", 10000, 512, 2048}, {"NT", 256, 256, 64},
    {"NT", 16, 4096, 512},
};

static const Shape vectors[] = {{"NT", 1, 4096, 4096}, {"NN", 1, 4096, 4096}, {"NT", 1, 32000, 512}};

enum { MOST_RUNS = 200, FEWEST_RUNS = 5 };
static const double LONGEST = 0.5; /* seconds a row */

typedef struct {
    float *a, *b, *c;
} Numbers;

static double product_rate(const Shape *s, const Numbers *x)
{
    const ptrdiff_t m = (ptrdiff_t)s->m, n = (ptrdiff_t)s->n, k = (ptrdiff_t)s->k;
    const ConstMatrix a = s->form[0] == 'T' ? (ConstMatrix){x->a, 1, m} : (ConstMatrix){x->a, k, 1};
    const ConstMatrix b = s->form[1] == 'T' ? (ConstMatrix){x->b, 1, k} : (ConstMatrix){x->b, n, 1};
    const double start = bench_now();
    matmul((Matrix){x->c, n, 1}, a, b, s->m, s->n, s->k, 1, 0);
    return 1 / (bench_now() - start);
}

/* Alternates the product and its limit; both at their best. */
static void measure(const Shape *s, int threads, int is_vector)
{
    char name[64];
    snprintf(name, sizeof name, "matmul %s %zu x %zu x %zu", s->form, s->m, s->n, s->k);
    if (!bench_selected(name))
        return;
    parallel_set_threads(threads);
    if (matmul_reserve())
        exit(1);
    const size_t weights = s->n * s->k;
    Numbers x = {bench_numbers(s->m * s->k), bench_numbers(weights), bench_numbers(s->m * s->n)};
    const double operations = 2.0 * (double)s->m * (double)weights / 1e9, bytes = 4 * (double)weights / 1e9;
    double best = 0, limit = 0;
    const double start = bench_now();
    for (int run = 0; run < MOST_RUNS && (run < FEWEST_RUNS || bench_now() - start < LONGEST); run++) {
        const double rate = product_rate(s, &x) * (is_vector ? bytes : operations);
        best = rate > best ? rate : best;
        if (run % 2 == 0) {
            const double peak = is_vector ? bench_read_bandwidth(x.b, weights) : bench_fma_peak();
            limit = peak > limit ? peak : limit;
        }
    }
    bench_row(name, threads, best, limit, is_vector ? "GB/s" : "GFLOP/s");
    memory_release(x.a);
    memory_release(x.b);
    memory_release(x.c);
}

int main(void)
{
    const int threads = parallel_threads();
    bench_header();
    for (int t = 1; t <= threads; t += threads > 1 ? threads - 1 : 1) {
        for (size_t i = 0; i < sizeof products / sizeof *products; i++)
            measure(&products[i], t, 0);
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
            measure(&vectors[i], t, 1);
    }
    parallel_release();
    return 0;
}

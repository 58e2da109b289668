#define _POSIX_C_SOURCE 200809L
#include "tests/bench/openblas.h"

#include "core/memory.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

BenchProcess openblas_default = {.name = "OpenBLAS", .role = "openblas", .variable = "OPENBLAS_CORETYPE"};
BenchProcess openblas_avx512 = {
    .name = "OpenBLAS", .role = "openblas", .variable = "OPENBLAS_CORETYPE", .value = "SkylakeX"};
BenchProcess openblas_avx2 = {
    .name = "OpenBLAS", .role = "openblas", .variable = "OPENBLAS_CORETYPE", .value = "Haswell"};

/* The functions of CBLAS that the bench calls, and their constants. */
enum { ROW_MAJOR = 101, AS_IT_LIES = 111, TRANSPOSED = 112 };
typedef void Sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void Sgemv(int order, int transpose, int m, int n, float alpha, const float *a, int lda, const float *x,
                   int incx, float beta, float *y, int incy);
typedef void SetThreads(int threads);

static Sgemm *multiply;
static Sgemv *multiply_vector;
static SetThreads *set_threads;

/* Copies the symbol's address into a function pointer: POSIX allows it, and ISO C has no cast for it. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load(void)
{
    const char *wanted = getenv("CS336_OPENBLAS");
    const char *const usual[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"};
    void *library = wanted && *wanted ? dlopen(wanted, RTLD_NOW) : NULL;
    for (size_t i = 0; !library && !(wanted && *wanted) && i < sizeof usual / sizeof *usual; i++)
        library = dlopen(usual[i], RTLD_NOW);
    return library && find(library, "cblas_sgemm", &multiply) && find(library, "cblas_sgemv", &multiply_vector) &&
           find(library, "openblas_set_num_threads", &set_threads);
}

/* The matrices of the latest request. */
static struct {
    float *a, *b, *c;
    char request[64];
} x;

static void prepare(const char *request, size_t m, size_t n, size_t k)
{
    if (strcmp(x.request, request) == 0)
        return;
    memory_release(x.a);
    memory_release(x.b);
    memory_release(x.c);
    x.a = bench_numbers(m * k);
    x.b = bench_numbers(n * k);
    x.c = bench_numbers(m * n);
    snprintf(x.request, sizeof x.request, "%s", request);
}

static double answer(const char *request)
{
    char form[3] = "NT";
    int m = 1, n = 0, k = 0;
    const bool is_vector = sscanf(request, "sgemv %2s %d %d", form, &n, &k) == 3;
    if (!is_vector && sscanf(request, "sgemm %2s %d %d %d", form, &m, &n, &k) != 4)
        return bench_failed("unknown request");
    prepare(request, (size_t)m, (size_t)n, (size_t)k);
    const bool a_lies = form[0] == 'N', b_lies = form[1] == 'N';
    const double start = bench_now();
    if (is_vector)
        multiply_vector(ROW_MAJOR, b_lies ? TRANSPOSED : AS_IT_LIES, b_lies ? k : n, b_lies ? n : k, 1, x.b,
                        b_lies ? n : k, x.a, 1, 0, x.c, 1);
    else
        multiply(ROW_MAJOR, a_lies ? AS_IT_LIES : TRANSPOSED, b_lies ? AS_IT_LIES : TRANSPOSED, m, n, k, 1, x.a,
                 a_lies ? k : m, x.b, b_lies ? n : k, 0, x.c, n);
    return bench_now() - start;
}

int openblas_peer(void)
{
    unsetenv("OPENBLAS_L2_SIZE"); /* OpenBLAS finds the size itself; a wrong one halves its speed */
    return load() ? bench_serve(answer, set_threads) : puts("absent") == EOF;
}

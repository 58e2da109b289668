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

/* The part of the C interface that is used, and its constants. */
enum { ROW_MAJOR = 101, AS_IT_LIES = 111, TRANSPOSED = 112 };
typedef void Sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void Sgemv(int order, int transpose, int m, int n, float alpha, const float *a, int lda, const float *x,
                   int incx, float beta, float *y, int incy);
typedef void SetThreads(int threads);

typedef struct {
    Sgemm *sgemm;
    Sgemv *sgemv;
    SetThreads *set_threads;
} OpenBlas;

/* POSIX lets a symbol's address become a function; ISO C has no cast for it. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load(OpenBlas *blas)
{
    const char *wanted = getenv("CS336_OPENBLAS");
    const char *const usual[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"};
    void *library = wanted && *wanted ? dlopen(wanted, RTLD_NOW) : NULL;
    for (size_t i = 0; !library && !(wanted && *wanted) && i < sizeof usual / sizeof *usual; i++)
        library = dlopen(usual[i], RTLD_NOW);
    return library && find(library, "cblas_sgemm", &blas->sgemm) && find(library, "cblas_sgemv", &blas->sgemv) &&
           find(library, "openblas_set_num_threads", &blas->set_threads);
}

typedef struct {
    float *a, *b, *c;
    char request[64]; /* for which they are */
} Operands;

static void prepare(Operands *x, const char *request, size_t m, size_t n, size_t k)
{
    if (strcmp(x->request, request) == 0)
        return;
    memory_release(x->a);
    memory_release(x->b);
    memory_release(x->c);
    *x = (Operands){bench_numbers(m * k), bench_numbers(n * k), bench_numbers(m * n), ""};
    snprintf(x->request, sizeof x->request, "%s", request);
}

static double sgemm(const OpenBlas *blas, const Operands *x, const char *form, int m, int n, int k)
{
    const bool a_lies = form[0] == 'N', b_lies = form[1] == 'N';
    const double start = bench_now();
    blas->sgemm(ROW_MAJOR, a_lies ? AS_IT_LIES : TRANSPOSED, b_lies ? AS_IT_LIES : TRANSPOSED, m, n, k, 1, x->a,
                a_lies ? k : m, x->b, b_lies ? n : k, 0, x->c, n);
    return bench_now() - start;
}

static double sgemv(const OpenBlas *blas, const Operands *x, int n, int k)
{
    const double start = bench_now();
    blas->sgemv(ROW_MAJOR, AS_IT_LIES, n, k, 1, x->b, k, x->a, 1, 0, x->c, 1);
    return bench_now() - start;
}

static void answer(const OpenBlas *blas, Operands *x, const char *request)
{
    char form[3];
    int m = 0, n = 0, k = 0, threads = 0;
    if (sscanf(request, "threads %d", &threads) == 1 && threads > 0) {
        blas->set_threads(threads);
        puts("0");
    } else if (sscanf(request, "sgemm %2s %d %d %d", form, &m, &n, &k) == 4 && m > 0 && n > 0 && k > 0) {
        prepare(x, request, (size_t)m, (size_t)n, (size_t)k);
        printf("%.9f\n", sgemm(blas, x, form, m, n, k));
    } else if (sscanf(request, "sgemv %d %d", &n, &k) == 2 && n > 0 && k > 0) {
        prepare(x, request, 1, (size_t)n, (size_t)k);
        printf("%.9f\n", sgemv(blas, x, n, k));
    } else {
        puts("error unknown request");
    }
    fflush(stdout);
}

int openblas_peer(void)
{
    OpenBlas blas;
    if (!load(&blas)) {
        puts("absent");
        return 0;
    }
    puts("ready");
    fflush(stdout);
    Operands operands = {NULL, NULL, NULL, ""};
    char request[64];
    while (fgets(request, sizeof request, stdin)) {
        request[strcspn(request, "\n")] = '\0';
        answer(&blas, &operands, request);
    }
    memory_release(operands.a);
    memory_release(operands.b);
    memory_release(operands.c);
    return 0;
}

/* Tests the library inside a host program, which computes in several threads and creates and destroys objects. */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "core/parallel.h"
#include "core/version.h"
#include "nn/functional.h"
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/kernels.h"
#include "tests/support/tiny_lm.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/tokenizer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- threads of the host ---- */

enum { HOSTS = 3, ROUNDS = 60, WIDTH = 40, LONGEST = 90, NUMBERS = LONGEST * WIDTH };

/* The work of one host thread. Each thread has another number of rows, so that workspaces and results differ. */
typedef struct {
    size_t rows;
    float x[NUMBERS], weight[WIDTH * WIDTH];
    float expected[2][NUMBERS];
    size_t wrong;
    Status status;
} Host;

/* Computes a matrix product and attention, which both borrow the workspace. */
static Status compute(float out[2][NUMBERS], Host *host)
{
    const size_t shape[] = {host->rows, WIDTH}, square[] = {WIDTH, WIDTH};
    const Tensor x = tensor_of(host->x, 2, shape), y = tensor_of(out[0], 2, shape), z = tensor_of(out[1], 2, shape);
    const Linear linear = {.weight = tensor_of(host->weight, 2, square)};
    const Status s = linear_forward(y, x, &linear);
    return s ? s
             : scaled_dot_product_attention_forward(z, (Tensor){0}, x, y, x, (AttentionMask){.kind = ATTEND_CAUSAL});
}

static void *run_host(void *context)
{
    Host *host = context;
    float(*out)[NUMBERS] = malloc(2 * sizeof *out);
    for (int round = 0; round < ROUNDS && out && !host->status; round++) {
        host->status = compute(out, host);
        for (int i = 0; i < 2; i++)
            host->wrong += memcmp(out[i], host->expected[i], host->rows * WIDTH * sizeof(float)) != 0;
    }
    free(out);
    return NULL;
}

START_TEST(test_host_threads_compute_side_by_side)
{
    static Host hosts[HOSTS];
    pthread_t threads[HOSTS];
    parallel_set_threads(2);
    for (size_t i = 0; i < HOSTS; i++) {
        hosts[i].rows = LONGEST - 25 * i;
        random_fill(hosts[i].x, NUMBERS);
        random_fill(hosts[i].weight, WIDTH * WIDTH);
        assert_ok(compute(hosts[i].expected, &hosts[i]));
    }
    const size_t before = memory_in_use();
    for (size_t i = 0; i < HOSTS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_host, &hosts[i]), 0);
    for (size_t i = 0; i < HOSTS; i++) {
        test_label("host thread %zu", i);
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        assert_ok(hosts[i].status);
        ck_assert_uint_eq(hosts[i].wrong, 0);
    }
    test_label_end();
    ck_assert_uint_eq(memory_in_use(), before); /* the end of a thread frees its workspace */
}
END_TEST

static void *count_threads(void *count)
{
    *(int *)count = parallel_threads();
    return NULL;
}

START_TEST(test_the_number_of_threads_is_the_same_for_all_host_threads)
{
    pthread_t thread;
    int count = 0;
    parallel_set_threads(3);
    const int expected = parallel_threads(); /* 1 without OpenMP */
    ck_assert_int_eq(pthread_create(&thread, NULL, count_threads, &count), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(count, expected);
}
END_TEST

/* ---- objects made by one call ---- */

static Status make_model(void *config)
{
    TransformerLM *lm;
    const Status s = transformer_lm_create(&lm, config, 5);
    ck_assert(s == CS336_OK || !lm);
    transformer_lm_destroy(lm);
    return s;
}

START_TEST(test_model_is_made_in_one_call)
{
    TransformerLMConfig config = tiny_lm_config(0);
    TransformerLM *lm;
    TinyLM tiny;
    const size_t before = memory_in_use();
    assert_ok(transformer_lm_create(&lm, &config, 5));
    tiny_lm_init(&tiny, &config, 5);
    assert_allclose(lm->lm_head.weight, tiny.lm.lm_head.weight, 0, 0);
    assert_allclose(lm->rope.cosine, tiny.lm.rope.cosine, 0, 0);
    tiny_lm_deinit(&tiny);
    transformer_lm_destroy(lm);
    ck_assert_uint_eq(memory_in_use(), before);
    assert_allocation_failures_say(make_model, &config, "transformer_lm_create: no memory for a model",
                                   "arena_init: no memory for *[0-9] bytes");
    config.num_heads = 5;
    assert_fails(transformer_lm_create(&lm, &config, 5), CS336_ESHAPE, "num_heads 5 does not divide d_model 12");
    ck_assert_ptr_null(lm);
}
END_TEST

START_TEST(test_destroying_nothing_is_fine)
{
    transformer_lm_destroy(NULL);
    tokenizer_destroy(NULL);
    encoder_destroy(NULL);
    memory_release(NULL);
    parallel_release();
    parallel_release();
}
END_TEST

START_TEST(test_the_library_tells_its_version)
{
    int major, minor, patch, end = 0;
    ck_assert_int_eq(sscanf(cs336_version(), "%d.%d.%d%n", &major, &minor, &patch, &end), 3);
    ck_assert_uint_eq((size_t)end, strlen(cs336_version()));
}
END_TEST

const TestCase guest_tests[] = {
    TEST(test_host_threads_compute_side_by_side, "guest"),
    TEST(test_the_number_of_threads_is_the_same_for_all_host_threads, "guest"),
    TEST(test_model_is_made_in_one_call, "transformer_lm"),
    TEST(test_destroying_nothing_is_fine, "guest"),
    TEST(test_the_library_tells_its_version, "guest"),
    {0},
};

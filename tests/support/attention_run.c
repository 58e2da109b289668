#include "tests/support/attention_run.h"

#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/hash_weights.h"
#include "tests/support/kernels.h"
#include "tests/support/reference.h"
#include "tests/support/reference_bf16.h"

#include <math.h>
#include <stdlib.h>

enum { SEED = 7 };

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* Makes a tensor (leading..., rows, columns) of near-normal numbers, or of NaN if the name is NULL. */
static Tensor make(AttentionRun *run, const AttentionCase *problem, const char *name, double sigma, size_t rows,
                   size_t columns)
{
    size_t shape[TENSOR_MAX_RANK];
    int rank = 0;
    while (rank < TENSOR_MAX_RANK - 2 && problem->leading[rank]) {
        shape[rank] = problem->leading[rank];
        rank++;
    }
    shape[rank++] = rows;
    shape[rank++] = columns;
    if (problem->interleaved) {
        shape[rank - 2] = shape[rank - 3];
        shape[rank - 3] = rows;
    }
    Tensor t = arena_tensor_of(&run->arena, rank, shape);
    if (problem->interleaved)
        t = tensor_transpose(t, -3, -2);
    if (!name) {
        tensor_fill(t, NAN);
        return t;
    }
    float *numbers = allocate(tensor_count(t) * sizeof *numbers);
    hash_normal(numbers, tensor_count(t), name, SEED, 0, sigma);
    tensor_copy(t, tensor_of(numbers, t.rank, t.shape));
    free(numbers);
    return t;
}

void attention_run_init(AttentionRun *run, const AttentionCase *problem)
{
    const double sigma = problem->sigma > 0 ? problem->sigma : 1;
    const size_t q = problem->queries, k = problem->keys, d_k = problem->d_k, d_v = problem->d_v;
    size_t heads = 1;
    for (int i = 0; i < TENSOR_MAX_RANK - 2 && problem->leading[i]; i++)
        heads *= problem->leading[i];
    *run = (AttentionRun){.mask = problem->mask, .bf16 = problem->bf16};
    assert_ok(arena_init(&run->arena, heads * (2 * (q + k) * (d_k + d_v) + q) * sizeof(float) + 4096));
    run->query = make(run, problem, "query", sigma, q, d_k);
    run->key = make(run, problem, "key", sigma, k, d_k);
    run->value = make(run, problem, "value", 1, k, d_v);
    run->grad_output = make(run, problem, "grad_output", 1, q, d_v);
    run->output = make(run, problem, NULL, 0, q, d_v);
    run->log_sum_exp = make(run, problem, NULL, 0, q, 1);
    run->grad_query = make(run, problem, NULL, 0, q, d_k);
    run->grad_key = make(run, problem, NULL, 0, k, d_k);
    run->grad_value = make(run, problem, NULL, 0, k, d_v);
    assert_ok(arena_init(&run->scratch, scaled_dot_product_attention_scratch(run->query)));
}

void attention_run_deinit(AttentionRun *run)
{
    arena_deinit(&run->arena);
    arena_deinit(&run->scratch);
}

static void forward(AttentionRun *run)
{
    assert_ok((run->bf16 ? scaled_dot_product_attention_bf16_forward : scaled_dot_product_attention_forward)(
        run->output, run->log_sum_exp, run->query, run->key, run->value, run->mask));
}

static void backward(AttentionRun *run)
{
    assert_ok((run->bf16 ? scaled_dot_product_attention_bf16_backward : scaled_dot_product_attention_backward)(
        run->grad_query, run->grad_key, run->grad_value, run->grad_output, run->output, run->log_sum_exp, run->query,
        run->key, run->value, run->mask, &run->scratch));
    ck_assert_uint_eq(run->scratch.used, 0);
}

void attention_run(AttentionRun *run)
{
    forward(run);
    backward(run);
}

static double *widened(Tensor t)
{
    double *numbers = allocate(tensor_count(t) * sizeof *numbers);
    reference_widen(numbers, t);
    return numbers;
}

static bool *visible_pairs(const AttentionRun *run, AttentionSizes sizes)
{
    const size_t count = sizes.batch * sizes.queries * sizes.keys;
    bool *visible = allocate(count * sizeof *visible);
    if (run->mask.kind == ATTEND_CAUSAL) {
        reference_causal(visible, sizes);
        return visible;
    }
    MaskTensor where = run->mask.where;
    Tensor scores = run->query;
    scores.shape[scores.rank - 1] = sizes.keys;
    if (run->mask.kind == ATTEND_WHERE)
        ck_assert(mask_broadcast(&where, scores.rank, scores.shape));
    for (size_t index = 0; index < count; index++) {
        ptrdiff_t offset = 0;
        size_t rest = index;
        for (int i = scores.rank - 1; i >= 0; i--) {
            offset += (ptrdiff_t)(rest % scores.shape[i]) * where.stride[i];
            rest /= scores.shape[i];
        }
        visible[index] = run->mask.kind == ATTEND_ALL || where.data[offset];
    }
    return visible;
}

static void check(const AttentionRun *run, const bool *visible, AttentionSizes sizes, double rtol, double atol)
{
    double *query = widened(run->query), *key = widened(run->key), *value = widened(run->value);
    double *output = widened(run->output), *log_sum_exp = widened(run->log_sum_exp);
    double *grad_query = widened(run->query), *grad_key = widened(run->key), *grad_value = widened(run->value);
    double *grad_output = widened(run->grad_output);

    reference_attention(output, log_sum_exp, query, key, value, visible, sizes);
    assert_allclose_wide("output", run->output, output, rtol, atol);
    assert_allclose_wide("log_sum_exp", run->log_sum_exp, log_sum_exp, rtol, atol);
    reference_attention_backward((AttentionReference){.grad_query = grad_query,
                                                      .grad_key = grad_key,
                                                      .grad_value = grad_value,
                                                      .grad_output = grad_output,
                                                      .query = query,
                                                      .key = key,
                                                      .value = value,
                                                      .visible = visible},
                                 sizes);
    assert_allclose_wide("grad_query", run->grad_query, grad_query, rtol, atol);
    assert_allclose_wide("grad_key", run->grad_key, grad_key, rtol, atol);
    assert_allclose_wide("grad_value", run->grad_value, grad_value, rtol, atol);
    double *all[] = {query, key, value, output, log_sum_exp, grad_query, grad_key, grad_value, grad_output};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_bf16(const AttentionRun *run, const bool *visible, AttentionSizes sizes)
{
    static const char *const names[] = {"output", "log_sum_exp", "grad_query", "grad_key", "grad_value"};
    const Tensor results[] = {run->output, run->log_sum_exp, run->grad_query, run->grad_key, run->grad_value};
    enum { RESULTS = 5 };
    Bounded reference[RESULTS];
    for (int i = 0; i < RESULTS; i++)
        reference[i] = (Bounded){widened(results[i]), widened(results[i])};
    double *query = widened(run->query), *key = widened(run->key), *value = widened(run->value);
    double *grad_output = widened(run->grad_output), *given_output = widened(run->output);
    reference_attention_bf16(&(AttentionBf16){.output = reference[0],
                                              .log_sum_exp = reference[1],
                                              .grad_query = reference[2],
                                              .grad_key = reference[3],
                                              .grad_value = reference[4],
                                              .query = query,
                                              .key = key,
                                              .value = value,
                                              .grad_output = grad_output,
                                              .given_output = given_output,
                                              .visible = visible},
                             sizes);
    for (int i = 0; i < RESULTS; i++) {
        assert_bounded(names[i], results[i], reference[i]);
        free(reference[i].expected);
        free(reference[i].bound);
    }
    double *all[] = {query, key, value, grad_output, given_output};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

void attention_run_check(const AttentionRun *run, double rtol, double atol)
{
    const AttentionSizes sizes = {
        .batch = tensor_rows(run->query) / tensor_extent(run->query, -2),
        .queries = tensor_extent(run->query, -2),
        .keys = tensor_extent(run->key, -2),
        .d_k = tensor_extent(run->query, -1),
        .d_v = tensor_extent(run->value, -1),
    };
    bool *visible = visible_pairs(run, sizes);
    if (run->bf16)
        check_bf16(run, visible, sizes);
    else
        check(run, visible, sizes, rtol, atol);
    free(visible);
}

static void label_problem(const AttentionCase *problem)
{
    static const char *const kinds[] = {[ATTEND_ALL] = "all", [ATTEND_CAUSAL] = "causal", [ATTEND_WHERE] = "where"};
    const MaskTensor *where = &problem->mask.where;
    test_label("queries %zu, keys %zu, d_k %zu, d_v %zu, mask %s%s%s, %s%s", problem->queries, problem->keys,
               problem->d_k, problem->d_v, kinds[problem->mask.kind], problem->mask.kind == ATTEND_WHERE ? " " : "",
               problem->mask.kind == ATTEND_WHERE ? shape_text(where->rank, where->shape) : "", isa_name(isa_in_use()),
               problem->bf16 ? ", bf16" : "");
}

void attention_check(const AttentionCase *problem, double rtol, double atol)
{
    AttentionRun run;
    label_problem(problem);
    attention_run_init(&run, problem);
    spoil_workspace();
    forward(&run);
    spoil_workspace();
    backward(&run);
    attention_run_check(&run, rtol, atol);
    attention_run_deinit(&run);
}

void attention_check_random(bool bf16, size_t trials, size_t longest, double rtol, double atol)
{
    FOR_EACH_ISA_AND_TWIN (isa)
        for (size_t trial = 0; trial < trials; trial++) {
            AttentionCase problem = {.leading = {1 + random_below(2), 1 + random_below(3)},
                                     .queries = attention_random_extent(longest),
                                     .keys = attention_random_extent(longest),
                                     .d_k = attention_random_extent(80),
                                     .d_v = attention_random_extent(80),
                                     .bf16 = bf16,
                                     .interleaved = random_below(2) == 0};
            const size_t pairs = problem.queries * problem.keys;
            bool *values = attention_random_mask(pairs, "mask", 10 + (int)random_below(90));
            const AttentionMask masks[] = {{.kind = ATTEND_ALL},
                                           {.kind = ATTEND_CAUSAL},
                                           {ATTEND_WHERE, mask(values, problem.queries, problem.keys)}};
            problem.mask = masks[trial % 3];
            attention_check(&problem, rtol, atol);
            free(values);
        }
}

void attention_check_documents(bool bf16, double rtol, double atol)
{
    enum { SEQ = 230, DOCUMENT = 70 };
    bool *values = allocate((size_t)SEQ * SEQ * sizeof *values);
    for (size_t i = 0; i < SEQ * SEQ; i++)
        values[i] = i / SEQ / DOCUMENT == i % SEQ / DOCUMENT && i % SEQ <= i / SEQ;
    MaskTensor reversed = mask(values, SEQ, SEQ); /* each token sees those that follow it in its document */
    reversed.stride[0] = 1, reversed.stride[1] = SEQ;
    const MaskTensor masks[] = {mask(values, SEQ, SEQ), reversed};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        attention_check(
            &(AttentionCase){
                .queries = SEQ, .keys = SEQ, .d_k = 8, .d_v = 9, .mask = {ATTEND_WHERE, masks[i]}, .bf16 = bf16},
            rtol, atol);
    free(values);
}

size_t attention_random_extent(size_t most)
{
    return random_below(5) == 0 ? 1 : 1 + random_below(most);
}

bool *attention_random_mask(size_t count, const char *name, int percent)
{
    bool *values = allocate(count * sizeof *values);
    int32_t *numbers = allocate(count * sizeof *numbers);
    hash_integers(numbers, count, name, SEED, 100);
    for (size_t i = 0; i < count; i++)
        values[i] = numbers[i] < percent;
    free(numbers);
    return values;
}

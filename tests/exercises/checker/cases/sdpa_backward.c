/* The backward pass of scaled dot-product attention and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>
#include <string.h>

enum {
    GRADIENTS_NOT_SCALED = 1,
    RECOMPUTED_WITHOUT_SCALE,
    SCALE_OF_VALUES,
    WITHOUT_DELTA,
    DELTA_NOT_WEIGHTED,
    WITHOUT_PROBABILITY,
    NOT_NORMALISED,
    OTHER_SIGN,
    QUERY_AND_KEY_EXCHANGED,
    LAST_QUERY_ONLY,
    LAST_KEY_ONLY,
    HIDDEN_KEYS_COUNT,
    ADDED,
};

static const Mistake MISTAKES[] = {
    {GRADIENTS_NOT_SCALED, "gradients_not_scaled",
     "a backward pass in which grad_query and grad_key lack the factor 1/sqrt(d_k) of the scores"},
    {RECOMPUTED_WITHOUT_SCALE, "recomputed_without_scale",
     "a backward pass whose probabilities are exp(q . k - l), without the factor 1/sqrt(d_k)"},
    {SCALE_OF_VALUES, "scale_of_values", "a backward pass with the factor 1/sqrt(d_v) in place of 1/sqrt(d_k)"},
    {WITHOUT_DELTA, "without_delta",
     "a backward pass with ds = p dp: the softmax also subtracts sum_j p_j dp_j from each dp"},
    {DELTA_NOT_WEIGHTED, "delta_not_weighted",
     "a backward pass with ds = p dp - delta in place of p (dp - delta): the difference is multiplied by p"},
    {WITHOUT_PROBABILITY, "without_probability",
     "a backward pass with ds = dp - delta in place of p (dp - delta): the factor p is missing"},
    {NOT_NORMALISED, "not_normalised", "a backward pass whose probabilities are exp(s): exp(s - log_sum_exp) is p"},
    {OTHER_SIGN, "other_sign", "a backward pass with ds = p (delta - dp), which has the opposite sign"},
    {QUERY_AND_KEY_EXCHANGED, "query_and_key_exchanged",
     "a backward pass that adds q to grad_query and k to grad_key: grad_query is a sum of keys, grad_key one of "
     "queries"},
    {LAST_QUERY_ONLY, "last_query_only",
     "a backward pass in which grad_key and grad_value keep only what the last query gave: all queries add to them"},
    {LAST_KEY_ONLY, "last_key_only",
     "a backward pass in which grad_query keeps only what the last key gave: all keys add to it"},
    {HIDDEN_KEYS_COUNT, "hidden_keys_count",
     "a backward pass in which the keys that a query does not see also give and get gradients"},
    {ADDED, "added", "gradients that are added to what was there before (nan here): they are overwritten"},
    {0},
};

/* One problem: the tensors of a trial, and the mask in full. */
typedef struct {
    Tensor grad_query, grad_key, grad_value;
    Tensor grad_output, output, log_sum_exp, query, key, value;
    AttentionSizes sizes;
    bool *visible; /* (batch, queries, keys) */
} Problem;

/* ---- the mistakes, in double precision ---- */

/* The gradient of a score, before the scale. */
static double wrong_grad_score(double p, double grad_p, double delta, int mistake)
{
    switch (mistake) {
    case WITHOUT_DELTA:
        return p * grad_p;
    case DELTA_NOT_WEIGHTED:
        return p * grad_p - delta;
    case WITHOUT_PROBABILITY:
        return grad_p - delta;
    case OTHER_SIGN:
        return p * (delta - grad_p);
    default:
        return p * (grad_p - delta);
    }
}

/* sum += factor x, or sum = factor x. */
static void accumulate(double *sum, bool overwrite, double factor, const double *x, size_t count)
{
    for (size_t c = 0; c < count; c++)
        sum[c] = (overwrite ? 0 : sum[c]) + factor * x[c];
}

/* One query: i counts through all heads, and `saved` is its log_sum_exp. The output is a.output. */
static void wrong_row(const AttentionReference *a, AttentionSizes n, size_t i, double saved, const double *output,
                      int mistake)
{
    const size_t first = i / n.queries * n.keys;
    const double scale = 1 / sqrt((double)(mistake == SCALE_OF_VALUES ? n.d_v : n.d_k));
    const double *q = a->query + i * n.d_k, *grad_o = a->grad_output + i * n.d_v;
    const double delta = reference_dot(grad_o, output + i * n.d_v, n.d_v);
    for (size_t j = 0; j < n.keys; j++) {
        if (!a->visible[i * n.keys + j] && mistake != HIDDEN_KEYS_COUNT)
            continue;
        const double *k = a->key + (first + j) * n.d_k, *v = a->value + (first + j) * n.d_v;
        const double score = reference_dot(q, k, n.d_k) * (mistake == RECOMPUTED_WITHOUT_SCALE ? 1 : scale);
        const double p = exp(score - (mistake == NOT_NORMALISED ? 0 : saved));
        const double grad_score = wrong_grad_score(p, reference_dot(grad_o, v, n.d_v), delta, mistake) *
                                  (mistake == GRADIENTS_NOT_SCALED ? 1 : scale);
        const bool exchanged = mistake == QUERY_AND_KEY_EXCHANGED;
        accumulate(a->grad_value + (first + j) * n.d_v, mistake == LAST_QUERY_ONLY, p, grad_o, n.d_v);
        accumulate(a->grad_query + i * n.d_k, mistake == LAST_KEY_ONLY, grad_score, exchanged ? q : k, n.d_k);
        accumulate(a->grad_key + (first + j) * n.d_k, mistake == LAST_QUERY_ONLY, grad_score, exchanged ? k : q, n.d_k);
    }
}

/* ---- cases ---- */

/* Room for the answer of a gradient; what is there when the mistake is to add: the old numbers. */
static double *begun(Trial *t, Tensor gradient)
{
    double *numbers = gradient.data ? trial_answer(t, gradient) : NULL;
    if (numbers && t->mistake == ADDED)
        memcpy(numbers, trial_doubles(t, gradient), tensor_count(gradient) * sizeof *numbers);
    return numbers;
}

/* A gradient that is not wanted is computed elsewhere. */
static double *or_unwanted(Trial *t, double *answer, Tensor like)
{
    return answer ? answer : trial_memory(t, tensor_count(like) * sizeof *answer);
}

/* Computes the answer of a problem whose function was called. */
static void answer(Trial *t, const Problem *p)
{
    const AttentionSizes n = p->sizes;
    const AttentionReference a = {
        .grad_query = or_unwanted(t, begun(t, p->grad_query), p->query),
        .grad_key = or_unwanted(t, begun(t, p->grad_key), p->key),
        .grad_value = or_unwanted(t, begun(t, p->grad_value), p->value),
        .grad_output = trial_doubles(t, p->grad_output),
        .query = trial_doubles(t, p->query),
        .key = trial_doubles(t, p->key),
        .value = trial_doubles(t, p->value),
        .visible = p->visible,
    };
    if (t->mistake == 0) {
        reference_attention_backward(a, n);
        return;
    }
    const double *saved = trial_doubles(t, p->log_sum_exp), *output = trial_doubles(t, p->output);
    for (size_t i = 0; i < n.batch * n.queries; i++)
        wrong_row(&a, n, i, saved[i], output, t->mistake);
}

/* Makes the inputs that the forward pass wrote. */
static void run_forward(Trial *t, Problem *p)
{
    const AttentionSizes n = p->sizes;
    const size_t rows = n.batch * n.queries;
    double *output = trial_memory(t, rows * n.d_v * sizeof *output), *saved = trial_memory(t, rows * sizeof *saved);
    reference_attention(output, saved, trial_doubles(t, p->query), trial_doubles(t, p->key), trial_doubles(t, p->value),
                        p->visible, n);
    float *narrow = trial_memory(t, rows * (n.d_v + 1) * sizeof *narrow), *narrow_saved = narrow + rows * n.d_v;
    for (size_t i = 0; i < rows * n.d_v; i++)
        narrow[i] = (float)output[i];
    for (size_t i = 0; i < rows; i++)
        narrow_saved[i] = (float)saved[i];
    const Tensor as_output = tensor_with_last(p->query, n.d_v), as_saved = tensor_with_last(p->query, 1);
    p->output = trial_input_of(t, "output", narrow, as_output.rank, as_output.shape);
    p->log_sum_exp = trial_input_of(t, "log_sum_exp", narrow_saved, as_saved.rank, as_saved.shape);
}

/* Calls the function on the tensors of p, and computes the answer. */
static void call(Trial *t, const Problem *p, AttentionMask mask)
{
    const Tensor grad_query = p->grad_query, grad_key = p->grad_key, grad_value = p->grad_value;
    const Tensor grad_output = p->grad_output, output = p->output, log_sum_exp = p->log_sum_exp;
    const Tensor query = p->query, key = p->key, value = p->value;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, scaled_dot_product_attention_backward(grad_query, grad_key, grad_value, grad_output, output,
                                                        log_sum_exp, query, key, value, mask, scratch));
    answer(t, p);
}

/* Repeats a mask (queries, keys) for all heads. NULL: everything is visible. */
static bool *in_full(Trial *t, const bool *mask, AttentionSizes n)
{
    const size_t each = n.queries * n.keys;
    bool *visible = trial_memory(t, n.batch * each * sizeof *visible);
    for (size_t i = 0; i < n.batch * each; i++)
        visible[i] = mask ? mask[i % each] : true;
    return visible;
}

static const AttentionMask ALL = {.kind = ATTEND_ALL}, CAUSAL = {.kind = ATTEND_CAUSAL};

static void by_hand(Trial *t)
{
    static const float Q[] = {1, 0, 1, 1}, K[] = {1, 0, 0, 2}, V[] = {10, 20}, GRAD_OUTPUT[] = {2, 1};
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 2, .d_k = 2, .d_v = 1}};
    p.query = trial_input(t, "query", Q, 2, 2);
    p.key = trial_input(t, "key", K, 2, 2);
    p.value = trial_input(t, "value", V, 2, 1);
    p.visible = in_full(t, NULL, p.sizes);
    run_forward(t, &p);
    p.grad_output = trial_input(t, "grad_output", GRAD_OUTPUT, 2, 1);
    p.grad_query = trial_output_like(t, "grad_query", p.query);
    p.grad_key = trial_output_like(t, "grad_key", p.key);
    p.grad_value = trial_output_like(t, "grad_value", p.value);
    call(t, &p, ALL);
}

/* Random inputs. */
static void make_inputs(Trial *t, Problem *p, double sigma)
{
    const AttentionSizes n = p->sizes;
    p->query = trial_random(t, "query", sigma, n.batch, n.queries, n.d_k);
    p->key = trial_random(t, "key", sigma, n.batch, n.keys, n.d_k);
    p->value = trial_random(t, "value", 1, n.batch, n.keys, n.d_v);
    if (!p->visible)
        p->visible = in_full(t, NULL, n);
    run_forward(t, p);
    p->grad_output = trial_random(t, "grad_output", 1, n.batch, n.queries, n.d_v);
}

/* Random inputs, all three gradients, and the call. */
static void attend(Trial *t, Problem *p, AttentionMask mask, double sigma)
{
    make_inputs(t, p, sigma);
    p->grad_query = trial_output_like(t, "grad_query", p->query);
    p->grad_key = trial_output_like(t, "grad_key", p->key);
    p->grad_value = trial_output_like(t, "grad_value", p->value);
    call(t, p, mask);
}

static void course_sizes(Trial *t)
{
    Problem p = {.sizes = {.batch = 4, .queries = 12, .keys = 16, .d_k = 64, .d_v = 64}};
    attend(t, &p, ALL, 1);
}

static void causal(Trial *t)
{
    Problem p = {.sizes = {.batch = 2, .queries = 4, .keys = 5, .d_k = 4, .d_v = 3}};
    p.visible = in_full(t, NULL, p.sizes);
    reference_causal(p.visible, p.sizes);
    attend(t, &p, CAUSAL, 1);
}

static void masked_row(Trial *t)
{
    static const bool MASK[] = {1, 0, 1, 0, 0, 0, 0, 1, 1};
    Problem p = {.sizes = {.batch = 2, .queries = 3, .keys = 3, .d_k = 4, .d_v = 2}};
    p.visible = in_full(t, MASK, p.sizes);
    const MaskTensor where = trial_mask(t, "mask", MASK, 3, 3);
    attend(t, &p, (AttentionMask){.kind = ATTEND_WHERE, .where = where}, 1);
}

/* The softmax of one score is 1, whatever the score: no gradient reaches query and key. */
static void one_key(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 3, .keys = 1, .d_k = 4, .d_v = 2}};
    attend(t, &p, ALL, 1);
}

/* The exponential of a score overflows float32 from 89 on. */
static void huge_scores(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 3, .keys = 4, .d_k = 4, .d_v = 3}};
    attend(t, &p, ALL, 10);
}

static void strides(Trial *t)
{
    Problem p = {.sizes = {.batch = 2, .queries = 3, .keys = 4, .d_k = 5, .d_v = 6}};
    t->gap = 3;
    attend(t, &p, ALL, 1);
}

static void over_old_numbers(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 3, .d_k = 2, .d_v = 4}};
    make_inputs(t, &p, 1);
    p.grad_query = trial_changed_random(t, "grad_query", 1, 1, 2, 2);
    p.grad_key = trial_changed_random(t, "grad_key", 1, 1, 3, 2);
    p.grad_value = trial_changed_random(t, "grad_value", 1, 1, 3, 4);
    call(t, &p, ALL);
}

static void one_gradient(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 3, .d_k = 2, .d_v = 4}};
    make_inputs(t, &p, 1);
    p.grad_key = trial_output_like(t, "grad_key", p.key);
    call(t, &p, ALL);
}

/* ---- finite differences ---- */

static Status forward(void *context)
{
    const Problem *p = context;
    return scaled_dot_product_attention_forward(p->output, (Tensor){0}, p->query, p->key, p->value, CAUSAL);
}

static void differences(Trial *t)
{
    Problem p = {.sizes = {.batch = 2, .queries = 3, .keys = 3, .d_k = 2, .d_v = 3}};
    p.visible = in_full(t, NULL, p.sizes);
    reference_causal(p.visible, p.sizes);
    attend(t, &p, CAUSAL, 1);
    if (t->mistake)
        return;
    Problem f = p;
    f.output = trial_tensor(t, 2, 3, 3);
    trial_differences(t, trial_answer(t, p.grad_query), p.query, p.grad_output, f.output, forward, &f);
    trial_differences(t, trial_answer(t, p.grad_key), p.key, p.grad_output, f.output, forward, &f);
    trial_differences(t, trial_answer(t, p.grad_value), p.value, p.grad_output, f.output, forward, &f);
}

static const Case CASES[] = {
    CASE("two queries, two keys", by_hand),
    CASE("the sizes of the course's test, no mask", course_sizes),
    CASE("causal, with more keys than queries", causal),
    CASE("a mask for both heads, and a query that sees no key", masked_row),
    CASE("a single key", one_key),
    {.what = "scores of a hundred", .run = huge_scores, .loosely = 10},
    CASE("rows that do not follow each other in memory", strides),
    CASE("the gradients hold old numbers", over_old_numbers),
    CASE("only grad_key is wanted: the data of the others is NULL", one_gradient),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_sdpa_backward = {"sdpa_backward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                         .mistakes = MISTAKES};

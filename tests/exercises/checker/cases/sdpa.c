/* Scaled dot-product attention and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>
#include <string.h>

enum {
    WITHOUT_SCALE = 1,
    SCALE_OF_VALUES,
    SCALE_OF_KEYS,
    DIVIDED_BY_D_K,
    INVERTED_MASK,
    MASK_IGNORED,
    FIRST_MASK_FOR_ALL,
    MASK_NOT_REPEATED,
    MASK_AFTER_SOFTMAX,
    MASKED_SCORES_ARE_ZERO,
    UNIFORM_WHERE_NOTHING_IS_SEEN,
    NAN_WHERE_NOTHING_IS_SEEN,
    NOT_NORMALISED,
    SOFTMAX_OVER_QUERIES,
    SEES_ONE_KEY_TOO_MANY,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_SCALE, "without_scale", "attention without the factor 1/sqrt(d_k)"},
    {SCALE_OF_VALUES, "scale_of_values", "attention with the factor 1/sqrt(d_v) in place of 1/sqrt(d_k)"},
    {SCALE_OF_KEYS, "scale_of_keys", "attention with the factor 1/sqrt(number of keys) in place of 1/sqrt(d_k)"},
    {DIVIDED_BY_D_K, "divided_by_d_k", "attention with scores divided by d_k in place of its square root"},
    {INVERTED_MASK, "inverted_mask", "attention to the keys that the mask hides: true means that a key is seen"},
    {MASK_IGNORED, "mask_ignored", "attention to all keys: the mask is not used"},
    {FIRST_MASK_FOR_ALL, "first_mask_for_all", "attention with the first mask for every leading dimension"},
    {MASK_NOT_REPEATED, "mask_not_repeated",
     "attention whose mask is not repeated along the leading dimensions that it lacks: mask_broadcast() does it"},
    {MASK_AFTER_SOFTMAX, "mask_after_softmax",
     "attention whose hidden probabilities are set to 0 after the softmax, so that the others no longer sum to 1"},
    {MASKED_SCORES_ARE_ZERO, "masked_scores_are_zero", "attention whose hidden scores are 0 in place of -infinity"},
    {UNIFORM_WHERE_NOTHING_IS_SEEN, "uniform_where_nothing_is_seen",
     "attention in which a query that sees no key gets the mean of all values: expected are zeros"},
    {NAN_WHERE_NOTHING_IS_SEEN, "nan_where_nothing_is_seen",
     "attention in which a query that sees no key gets nan (0 / 0): expected are zeros"},
    {NOT_NORMALISED, "not_normalised", "attention whose exponentials are not divided by their sum"},
    {SOFTMAX_OVER_QUERIES, "softmax_over_queries",
     "attention with the softmax over the queries: each key's probabilities sum to 1 in place of each query's"},
    {SEES_ONE_KEY_TOO_MANY, "sees_one_key_too_many", "causal attention that also sees the next token"},
    {0},
};

/* One problem: the tensors of a trial, and the mask in full. */
typedef struct {
    Tensor query, key, value, output;
    AttentionSizes sizes;
    bool *visible; /* (batch, queries, keys) */
    AttentionKind kind;
} Problem;

/* ---- the mistakes, in double precision ---- */

static double wrong_scale(const AttentionSizes *n, int mistake)
{
    switch (mistake) {
    case WITHOUT_SCALE:
        return 1;
    case SCALE_OF_VALUES:
        return 1 / sqrt((double)n->d_v);
    case SCALE_OF_KEYS:
        return 1 / sqrt((double)n->keys);
    case DIVIDED_BY_D_K:
        return 1 / (double)n->d_k;
    default:
        return 1 / sqrt((double)n->d_k);
    }
}

static bool wrongly_visible(const Problem *p, size_t b, size_t i, size_t j, int mistake)
{
    const AttentionSizes *n = &p->sizes;
    const bool sees = p->visible[((mistake == FIRST_MASK_FOR_ALL ? 0 : b) * n->queries + i) * n->keys + j];
    if (mistake == SEES_ONE_KEY_TOO_MANY && p->kind == ATTEND_CAUSAL)
        return j + n->queries <= i + n->keys + 1;
    if (mistake == INVERTED_MASK && p->kind == ATTEND_WHERE)
        return !sees;
    return mistake == MASK_IGNORED ? true : sees;
}

/* The scores s[i][j] of one head, -inf where a key is hidden. */
static void wrong_scores(double *s, const Problem *p, const double *query, const double *key, size_t b, int mistake)
{
    const AttentionSizes *n = &p->sizes;
    for (size_t i = 0; i < n->queries; i++)
        for (size_t j = 0; j < n->keys; j++) {
            double score = 0;
            for (size_t c = 0; c < n->d_k; c++)
                score += query[(b * n->queries + i) * n->d_k + c] * key[(b * n->keys + j) * n->d_k + c];
            score *= wrong_scale(n, mistake);
            if (!wrongly_visible(p, b, i, j, mistake) && mistake != MASK_AFTER_SOFTMAX)
                score = mistake == MASKED_SCORES_ARE_ZERO ? 0 : -INFINITY;
            s[i * n->keys + j] = score;
        }
}

/* Replaces the scores of one head by their exponentials, shifted by the maximum of each softmax. */
static void wrong_exponentials(double *s, const AttentionSizes *n, int mistake)
{
    const bool over_queries = mistake == SOFTMAX_OVER_QUERIES;
    const size_t outer = over_queries ? n->keys : n->queries, inner = over_queries ? n->queries : n->keys;
    const size_t outer_step = over_queries ? 1 : n->keys, inner_step = over_queries ? n->keys : 1;
    for (size_t o = 0; o < outer; o++) {
        double *first = s + o * outer_step, max = -INFINITY;
        for (size_t i = 0; i < inner; i++)
            max = fmax(max, first[i * inner_step]);
        for (size_t i = 0; i < inner; i++)
            first[i * inner_step] = max > -INFINITY ? exp(first[i * inner_step] - max) : 0;
    }
}

/* What the exponential of query i and key j is divided by. */
static double wrong_sum(const double *e, const AttentionSizes *n, size_t i, size_t j, int mistake)
{
    double sum = 0;
    if (mistake == NOT_NORMALISED)
        return 1;
    if (mistake == SOFTMAX_OVER_QUERIES)
        for (size_t other = 0; other < n->queries; other++)
            sum += e[other * n->keys + j];
    else
        for (size_t other = 0; other < n->keys; other++)
            sum += e[i * n->keys + other];
    return sum;
}

static void wrong_attention(Trial *t, double *output, const Problem *p, int mistake)
{
    const AttentionSizes *n = &p->sizes;
    const double *query = trial_doubles(t, p->query), *key = trial_doubles(t, p->key);
    const double *value = trial_doubles(t, p->value);
    double *e = trial_memory(t, n->queries * n->keys * sizeof *e);
    for (size_t b = 0; b < n->batch; b++) {
        wrong_scores(e, p, query, key, b, mistake);
        wrong_exponentials(e, n, mistake);
        for (size_t i = 0; i < n->queries; i++)
            for (size_t c = 0; c < n->d_v; c++) {
                double sum = 0;
                for (size_t j = 0; j < n->keys; j++) {
                    const double total = wrong_sum(e, n, i, j, mistake);
                    double probability = total > 0 ? e[i * n->keys + j] / total : 0;
                    if (mistake == UNIFORM_WHERE_NOTHING_IS_SEEN && !(total > 0))
                        probability = 1 / (double)n->keys;
                    if (mistake == NAN_WHERE_NOTHING_IS_SEEN && !(total > 0))
                        probability = NAN;
                    if (mistake == MASK_AFTER_SOFTMAX && !wrongly_visible(p, b, i, j, mistake))
                        probability = 0;
                    sum += probability * value[(b * n->keys + j) * n->d_v + c];
                }
                output[(b * n->queries + i) * n->d_v + c] = sum;
            }
    }
}

/* ---- cases ---- */

/* Computes the answer of a problem whose function was called. */
static void answer(Trial *t, const Problem *p)
{
    double *output = trial_answer(t, p->output);
    if (t->mistake == 0)
        reference_attention(output, NULL, trial_doubles(t, p->query), trial_doubles(t, p->key),
                            trial_doubles(t, p->value), p->visible, p->sizes);
    else
        wrong_attention(t, output, p, t->mistake);
}

/* Repeats a mask (queries, keys) or (batch, queries, keys) for all heads. NULL: everything is visible. */
static bool *in_full(Trial *t, const bool *mask, size_t masks, AttentionSizes n)
{
    const size_t each = n.queries * n.keys;
    bool *visible = trial_memory(t, n.batch * each * sizeof *visible);
    for (size_t b = 0; b < n.batch; b++)
        for (size_t i = 0; i < each; i++)
            visible[b * each + i] = mask ? mask[b % masks * each + i] : true;
    return visible;
}

static const AttentionMask ALL = {.kind = ATTEND_ALL}, CAUSAL = {.kind = ATTEND_CAUSAL};

static void by_hand(Trial *t)
{
    static const float Q[] = {1, 0, 0, 0, 2, 0}, K[] = {1, 0, 0, 0, 1, 0}, V[] = {10, 0, 0, 20};
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 2, .d_k = 3, .d_v = 2}};
    const Tensor query = p.query = trial_input(t, "query", Q, 2, 3), key = p.key = trial_input(t, "key", K, 2, 3);
    const Tensor value = p.value = trial_input(t, "value", V, 2, 2),
                 output = p.output = trial_output(t, "output", 2, 2);
    const Tensor no_log_sum_exp = {0};
    TRIAL_CALL(t, scaled_dot_product_attention_forward(output, no_log_sum_exp, query, key, value, ALL));
    p.visible = in_full(t, NULL, 1, p.sizes);
    answer(t, &p);
}

/* Random tensors (batch, ...) and the call. */
static void attend(Trial *t, Problem *p, AttentionMask mask, double sigma)
{
    const AttentionSizes n = p->sizes;
    p->kind = mask.kind;
    p->query = trial_random(t, "query", sigma, n.batch, n.queries, n.d_k);
    p->key = trial_random(t, "key", sigma, n.batch, n.keys, n.d_k);
    p->value = trial_random(t, "value", 1, n.batch, n.keys, n.d_v);
    p->output = trial_output(t, "output", n.batch, n.queries, n.d_v);
    TRIAL_CALL(t, scaled_dot_product_attention_forward(p->output, (Tensor){0}, p->query, p->key, p->value, mask));
    answer(t, p);
}

static void course_sizes(Trial *t)
{
    Problem p = {.sizes = {.batch = 4, .queries = 12, .keys = 16, .d_k = 64, .d_v = 64}};
    p.visible = in_full(t, NULL, 1, p.sizes);
    attend(t, &p, ALL, 1);
}

/* A mask for each of two heads; every query sees a key, and some see few. */
static void two_masks(Trial *t)
{
    static const bool MASK[] = {1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 1, 0, /* the first head's */
                                0, 1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1};
    Problem p = {.sizes = {.batch = 2, .queries = 3, .keys = 4, .d_k = 6, .d_v = 5}};
    p.visible = in_full(t, MASK, 2, p.sizes);
    const MaskTensor where = trial_mask(t, "mask", MASK, 2, 3, 4);
    attend(t, &p, (AttentionMask){.kind = ATTEND_WHERE, .where = where}, 1);
}

static void one_mask_for_both(Trial *t)
{
    static const bool MASK[] = {1, 0, 1, 0, 1, 1};
    Problem p = {.sizes = {.batch = 2, .queries = 2, .keys = 3, .d_k = 4, .d_v = 4}};
    p.visible = in_full(t, MASK, 1, p.sizes);
    const MaskTensor where = trial_mask(t, "mask", MASK, 2, 3);
    attend(t, &p, (AttentionMask){.kind = ATTEND_WHERE, .where = where}, 1);
}

/* A mask (2, 1, q, k) for each of two sequences, and queries (2, 3, q, d_k) of three heads, which share it. */
static void one_mask_for_three_heads(Trial *t)
{
    static const bool MASK[] = {1, 0, 1, 1, 1, 0, /* the first sequence's */
                                0, 1, 1, 0, 0, 1};
    enum { SEQUENCES = 2, HEADS = 3, QUERIES = 2, KEYS = 3, WIDTH = 4 };
    Problem p = {.sizes = {.batch = SEQUENCES * HEADS, .queries = QUERIES, .keys = KEYS, .d_k = WIDTH, .d_v = WIDTH}};
    p.visible = trial_memory(t, SEQUENCES * HEADS * QUERIES * KEYS * sizeof *p.visible);
    for (size_t b = 0; b < SEQUENCES * HEADS; b++) {
        const size_t which = t->mistake == MASK_NOT_REPEATED ? b % SEQUENCES : b / HEADS;
        memcpy(p.visible + b * QUERIES * KEYS, MASK + which * QUERIES * KEYS, QUERIES * KEYS * sizeof *MASK);
    }
    const MaskTensor where = trial_mask(t, "mask", MASK, SEQUENCES, 1, QUERIES, KEYS);
    p.query = trial_random(t, "query", 1, SEQUENCES, HEADS, QUERIES, WIDTH);
    p.key = trial_random(t, "key", 1, SEQUENCES, HEADS, KEYS, WIDTH);
    p.value = trial_random(t, "value", 1, SEQUENCES, HEADS, KEYS, WIDTH);
    p.output = trial_output(t, "output", SEQUENCES, HEADS, QUERIES, WIDTH);
    TRIAL_CALL(t, scaled_dot_product_attention_forward(p.output, (Tensor){0}, p.query, p.key, p.value,
                                                       (AttentionMask){.kind = ATTEND_WHERE, .where = where}));
    answer(t, &p);
}

static void masked_row(Trial *t)
{
    static const bool MASK[] = {1, 1, 0, 0, 0, 0};
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 3, .d_k = 4, .d_v = 2}};
    p.visible = in_full(t, MASK, 1, p.sizes);
    const MaskTensor where = trial_mask(t, "mask", MASK, 2, 3);
    attend(t, &p, (AttentionMask){.kind = ATTEND_WHERE, .where = where}, 1);
}

static void causal(Trial *t)
{
    Problem p = {.sizes = {.batch = 2, .queries = 5, .keys = 5, .d_k = 4, .d_v = 3}};
    p.visible = in_full(t, NULL, 1, p.sizes);
    reference_causal(p.visible, p.sizes);
    attend(t, &p, CAUSAL, 1);
}

static void other_d_v(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 3, .keys = 4, .d_k = 8, .d_v = 2}};
    p.visible = in_full(t, NULL, 1, p.sizes);
    attend(t, &p, ALL, 1);
}

static void one_key(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 2, .keys = 1, .d_k = 3, .d_v = 3}};
    p.visible = in_full(t, NULL, 1, p.sizes);
    attend(t, &p, ALL, 1);
}

/* Scores of several hundreds: their exponentials overflow float32. */
static void huge_scores(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 3, .keys = 4, .d_k = 16, .d_v = 4}};
    p.visible = in_full(t, NULL, 1, p.sizes);
    attend(t, &p, ALL, 20);
}

static void strides(Trial *t)
{
    Problem p = {.sizes = {.batch = 2, .queries = 3, .keys = 4, .d_k = 5, .d_v = 6}};
    t->gap = 3;
    p.visible = in_full(t, NULL, 1, p.sizes);
    attend(t, &p, ALL, 1);
}

static void log_sum_exp(Trial *t)
{
    Problem p = {.sizes = {.batch = 1, .queries = 3, .keys = 4, .d_k = 5, .d_v = 2}};
    p.query = trial_random(t, "query", 1, 3, 5);
    p.key = trial_random(t, "key", 1, 4, 5);
    p.value = trial_random(t, "value", 1, 4, 2);
    p.output = trial_output(t, "output", 3, 2);
    const Tensor saved = trial_output(t, "log_sum_exp", 3, 1);
    TRIAL_CALL(t, scaled_dot_product_attention_forward(p.output, saved, p.query, p.key, p.value, ALL));
    reference_attention(trial_answer(t, p.output), trial_answer(t, saved), trial_doubles(t, p.query),
                        trial_doubles(t, p.key), trial_doubles(t, p.value), in_full(t, NULL, 1, p.sizes), p.sizes);
}

static const Case CASES[] = {
    CASE("two queries, two keys", by_hand),
    CASE("the sizes of the course's test, no mask", course_sizes),
    CASE("a mask for each of two heads", two_masks),
    CASE("one mask for both heads", one_mask_for_both),
    CASE("a mask for each sequence, the same for its three heads", one_mask_for_three_heads),
    CASE("a query that sees no key: zeros", masked_row),
    CASE("causal", causal),
    CASE("d_v other than d_k", other_d_v),
    CASE("a single key", one_key),
    CASE("scores of several hundreds", huge_scores),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "log_sum_exp, which the backward pass reads", .run = log_sum_exp, .optional = true},
    {0},
};

const Exercise exercise_sdpa = {"sdpa", .rtol = 1e-4, .atol = 1e-5, .cases = CASES, .mistakes = MISTAKES};

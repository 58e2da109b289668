/* Causal multi-head self-attention and its mistakes. */
#include "nn/mha.h"
#include "tests/exercises/checker/cases/mha_parts.h"
#include "tests/exercises/checker/exercise.h"

#include <string.h>

static const Mistake MISTAKES[] = {
    {MHA_HEADS_INTERLEAVED, "heads_interleaved",
     "attention whose head h has the columns h, h + heads, h + 2 heads, ...: they are h d_k to (h + 1) d_k - 1"},
    {MHA_HEADS_WITHOUT_TRANSPOSE, "heads_without_transpose",
     "attention between the heads of one token: (seq, heads, d_k) lacks the transpose to (heads, seq, d_k)"},
    {MHA_JOINED_WITHOUT_TRANSPOSE, "joined_without_transpose",
     "attention whose heads' outputs are joined without the transpose: those of a token lie side by side"},
    {MHA_ONE_HEAD, "one_head", "attention with one head that has all columns"},
    {MHA_SEES_THE_FUTURE, "sees_the_future", "attention that is not causal: each token sees those after it"},
    {MHA_WITHOUT_ROPE, "without_rope", "attention without RoPE, although there are tables"},
    {MHA_KEYS_NOT_ROTATED, "keys_not_rotated", "attention with RoPE on the query only: the key is rotated, too"},
    {MHA_ROTATES_VALUES, "rotates_values", "attention with RoPE on the value, too: it is for query and key"},
    {MHA_POSITIONS_IGNORED, "positions_ignored", "attention with positions 0, 1, 2, ... whatever the positions say"},
    {MHA_QUERY_AND_KEY_EXCHANGED, "query_and_key_exchanged",
     "attention whose query is computed by k_proj, and its key by q_proj"},
    {MHA_VALUE_OF_THE_KEY, "value_of_the_key", "attention whose value is computed by k_proj"},
    {MHA_WITHOUT_OUTPUT_PROJ, "without_output_proj", "attention without output_proj: y is what the heads give"},
    {0},
};

static const double THETA = 10000;

/* Computes the answer of a problem whose function was called. */
static void answer(Trial *t, Tensor y, const MhaProblem *p)
{
    MhaSaved saved;
    if (t->mistake)
        mha_in_double(t, trial_answer(t, y), &saved, p, t->mistake);
    else
        reference_mha(trial_answer(t, y), trial_doubles(t, p->x), trial_doubles(t, p->weights[Q_PROJ]),
                      trial_doubles(t, p->weights[K_PROJ]), trial_doubles(t, p->weights[V_PROJ]),
                      trial_doubles(t, p->weights[OUTPUT_PROJ]), p->in_full, p->sizes);
}

/* Calls the function, and computes the answer. */
static void attend(Trial *t, const MhaProblem *p)
{
    const Tensor x = p->x, y = trial_output_like(t, "y", x);
    const MultiHeadSelfAttention mha = p->mha;
    const RoPE *rope = p->rope;
    const TokenTensor positions = p->positions;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, mha_forward(y, NULL, x, &mha, rope, positions, scratch));
    answer(t, y, p);
}

/* All weights are the identity, so query, key and value are x, and y is what the heads give. */
static void by_hand(Trial *t)
{
    static const float X[] = {1, 2, 3, -1}, IDENTITY[] = {1, 0, 0, 1};
    static const char *const NAMES[] = {"q_proj", "k_proj", "v_proj", "output_proj"};
    MhaProblem p = {.sizes = {.batch = 1, .seq = 2, .d_model = 2, .heads = 2}};
    p.x = trial_input(t, "x", X, 2, 2);
    for (int i = 0; i < PROJECTIONS; i++)
        p.weights[i] = trial_input(t, NAMES[i], IDENTITY, 2, 2);
    mha_bind(t, &p);
    attend(t, &p);
}

static void try_sizes(Trial *t, ReferenceAttention sizes)
{
    MhaProblem p = {.sizes = sizes};
    mha_inputs(t, &p);
    attend(t, &p);
}

static void course_sizes(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 4, .seq = 12, .d_model = 64, .heads = 4});
}

static void with_rope(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 5, .d_model = 12, .heads = 3, .theta = THETA});
}

static void one_head(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 3, .d_model = 4, .heads = 1, .theta = THETA});
}

static void one_token(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 1, .d_model = 6, .heads = 3});
}

static void strides(Trial *t)
{
    t->gap = 3;
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 4, .d_model = 8, .heads = 2, .theta = THETA});
}

/* Scores depend on the distance of two positions, so these are not 0, 1, 2, ... plus a constant. */
static void positions_of_each_sequence(Trial *t)
{
    static const int32_t POSITIONS[] = {0, 2, 7, 31, 5, 5, 6, 4};
    MhaProblem p = {.sizes = {.batch = 2, .seq = 4, .d_model = 8, .heads = 2, .theta = THETA}, .in_full = POSITIONS};
    mha_inputs(t, &p);
    p.positions = trial_ids(t, "positions", POSITIONS, 2, 4);
    attend(t, &p);
}

static void saved_for_backward(Trial *t)
{
    MhaProblem p = {.sizes = {.batch = 2, .seq = 4, .d_model = 8, .heads = 2, .theta = THETA}};
    mha_inputs(t, &p);
    const Tensor x = p.x, y = trial_output_like(t, "y", x);
    MultiHeadSelfAttentionSaved saved = {
        .query = trial_output_like(t, "query", x),
        .key = trial_output_like(t, "key", x),
        .value = trial_output_like(t, "value", x),
        .attended = trial_output_like(t, "attended", x),
        .log_sum_exp = trial_output(t, "log_sum_exp", 2, 2, 4, 1),
    };
    const MultiHeadSelfAttention mha = p.mha;
    const RoPE *rope = p.rope;
    const TokenTensor positions = {0};
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, mha_forward(y, &saved, x, &mha, rope, positions, scratch));

    MhaSaved right;
    mha_in_double(t, trial_answer(t, y), &right, &p, t->mistake);
    const size_t bytes = tensor_count(x) * sizeof(double);
    memcpy(trial_answer(t, saved.query), right.query, bytes);
    memcpy(trial_answer(t, saved.key), right.key, bytes);
    memcpy(trial_answer(t, saved.value), right.value, bytes);
    memcpy(trial_answer(t, saved.attended), right.attended, bytes);
    memcpy(trial_answer(t, saved.log_sum_exp), right.log_sum_exp, tensor_count(saved.log_sum_exp) * sizeof(double));
}

static const Case CASES[] = {
    CASE("two tokens, two heads of one column each, no RoPE", by_hand),
    CASE("the sizes of the course's test, no RoPE", course_sizes),
    CASE("three heads with RoPE", with_rope),
    CASE("positions of each sequence", positions_of_each_sequence),
    CASE("one head", one_head),
    CASE("a single token: it sees itself", one_token),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "what is saved for the backward pass", .run = saved_for_backward, .optional = true},
    {0},
};

const Exercise exercise_mha = {"mha", .rtol = 1e-4, .atol = 1e-5, .cases = CASES, .mistakes = MISTAKES};

/* One Transformer layer and its mistakes. */
#include "nn/transformer_block.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/trial_model.h"
#include "tests/support/reference.h"
#include "tests/support/zeroed.h"

#include <math.h>

enum {
    IN_PARALLEL = 1,
    NO_FIRST_RESIDUAL,
    NO_SECOND_RESIDUAL,
    RESIDUAL_OF_THE_NORM,
    SECOND_NORM_OF_THE_INPUT,
    SECOND_RESIDUAL_OF_THE_INPUT,
    ONE_NORM_FOR_BOTH,
    ALWAYS_POST_NORM,
    WITHOUT_NORMS,
    POSITIONS_IGNORED,
    POSITIONS_NOT_PASSED_ON,
};

static const Mistake MISTAKES[] = {
    {IN_PARALLEL, "in_parallel",
     "a layer whose feed-forward network reads norm1(x), as attention does, in place of norm2(z)"},
    {NO_FIRST_RESIDUAL, "no_first_residual", "a layer that forgets to add x to the output of attention"},
    {NO_SECOND_RESIDUAL, "no_second_residual",
     "a layer that forgets to add z to the output of the feed-forward network"},
    {RESIDUAL_OF_THE_NORM, "residual_of_the_norm", "a layer that adds norm1(x), not x, to the output of attention"},
    {SECOND_NORM_OF_THE_INPUT, "second_norm_of_the_input",
     "a layer whose feed-forward network reads norm2(x) in place of norm2(z)"},
    {SECOND_RESIDUAL_OF_THE_INPUT, "second_residual_of_the_input",
     "a layer that adds x, not z, to the output of the feed-forward network"},
    {ONE_NORM_FOR_BOTH, "one_norm_for_both", "a layer whose second norm has the weights of the first, ln1"},
    {ALWAYS_POST_NORM, "always_post_norm", "a post-norm layer: its norms come after the sums, not before the branches"},
    {WITHOUT_NORMS, "without_norms", "a layer without norms"},
    {POSITIONS_IGNORED, "positions_ignored", "a layer that passes no RoPE tables to attention"},
    {POSITIONS_NOT_PASSED_ON, "positions_not_passed_on",
     "a layer that gives attention the positions 0, 1, 2, ... in place of those of its caller"},
    {0},
};

/* The course's layer with the mistake. */
static void wrong_block(double *y, const double *x, double *const weights[], PlainSizes sizes, int mistake)
{
    const size_t count = plain_count(sizes);
    double *normed = zeroed(count, sizeof *normed), *z = zeroed(count, sizeof *z);
    /* z = x + MHA(norm1(x)) */
    plain_norm(normed, x, weights[LN1], sizes);
    plain_attend(z, normed, weights, sizes);
    if (mistake != NO_FIRST_RESIDUAL)
        plain_add(z, mistake == RESIDUAL_OF_THE_NORM ? normed : x, count);
    /* y = z + FFN(norm2(z)) */
    if (mistake != IN_PARALLEL)
        plain_norm(normed, mistake == SECOND_NORM_OF_THE_INPUT ? x : z,
                   weights[mistake == ONE_NORM_FOR_BOTH ? LN1 : LN2], sizes);
    plain_feed(y, normed, weights, sizes);
    if (mistake != NO_SECOND_RESIDUAL)
        plain_add(y, mistake == SECOND_RESIDUAL_OF_THE_INPUT ? x : z, count);
    free(normed), free(z);
}

static void answer(Trial *t, Tensor y, Tensor x, const TrialModel *m, PlainSizes sizes)
{
    TransformerLMConfig config = *sizes.config;
    const double *numbers = trial_doubles(t, x);
    double *const *weights = m->weights + layer_weights(0), *to = trial_answer(t, y);
    sizes.config = &config;
    if (t->mistake == POSITIONS_IGNORED)
        config.position = POSITION_NONE;
    if (t->mistake == POSITIONS_NOT_PASSED_ON)
        sizes.positions = NULL;
    if (t->mistake == ALWAYS_POST_NORM)
        config.norm = NORM_POST;
    if (t->mistake == WITHOUT_NORMS)
        config.norm = NORM_NONE;
    if (config.norm != NORM_PRE || (t->mistake == 0 && !sizes.positions))
        plain_block(to, numbers, weights, sizes);
    else
        wrong_block(to, numbers, weights, sizes, t->mistake);
}

static void by_hand(Trial *t)
{
    static const float X[] = {3, 4};
    const Tensor x = trial_input(t, "x", X, 1, 2);
    const TrialModel *m = trial_toy_layer(t);
    const Tensor y = trial_output_like(t, "y", x);
    const TransformerBlock *block = &m->lm.layers[0];
    const RoPE *no_rope = NULL;
    const TokenTensor no_positions = {0};
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, transformer_block_forward(y, NULL, x, block, no_rope, no_positions, scratch));
    answer(t, y, x, m, (PlainSizes){1, 1, &m->lm.config, NULL});
}

static void try_layer(Trial *t, TransformerLMConfig config, size_t batch, size_t seq, const int32_t *given)
{
    const Tensor x = trial_random(t, "x", 1, batch, seq, config.d_model), y = trial_output_like(t, "y", x);
    const TokenTensor positions = given ? trial_ids(t, "positions", given, seq) : (TokenTensor){0};
    t->gap = 0;
    const TrialModel *m = trial_layer(t, &config, NULL);
    const TransformerBlock *block = &m->lm.layers[0];
    const RoPE *rope = &m->lm.rope;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, transformer_block_forward(y, NULL, x, block, rope, positions, scratch));
    answer(t, y, x, m, (PlainSizes){batch, seq, &config, given});
}

static void course_sizes(Trial *t)
{
    try_layer(t, trial_course_config(), 4, 12, NULL);
}

static void one_token(Trial *t)
{
    try_layer(t, trial_small_config(NORM_PRE, 1), 1, 1, NULL);
}

static void own_positions(Trial *t)
{
    static const int32_t POSITIONS[] = {0, 2, 3, 9, 11};
    try_layer(t, trial_small_config(NORM_PRE, 1), 2, 5, POSITIONS);
}

static void strides(Trial *t)
{
    t->gap = 3;
    try_layer(t, trial_small_config(NORM_PRE, 1), 2, 5, NULL);
}

static void post_norm(Trial *t)
{
    try_layer(t, trial_small_config(NORM_POST, 1), 2, 5, NULL);
}

static void no_norm(Trial *t)
{
    try_layer(t, trial_small_config(NORM_NONE, 1), 2, 5, NULL);
}

/* The three tensors of the layer itself; attention and the feed-forward network save theirs. */
static void saved_for_backward(Trial *t)
{
    enum { BATCH = 2, SEQ = 5 };
    const TransformerLMConfig config = trial_small_config(NORM_PRE, 1);
    const Tensor x = trial_random(t, "x", 1, BATCH, SEQ, config.d_model), y = trial_output_like(t, "y", x);
    const TrialModel *m = trial_layer(t, &config, NULL);
    const TransformerBlock *block = &m->lm.layers[0];
    const RoPE *rope = &m->lm.rope;
    const TokenTensor positions = {0};
    Arena *scratch = trial_scratch(t);
    TransformerBlockSaved saved;
    if (transformer_block_bind_saved(&saved, scratch, x, block))
        abort();
    saved.sum1 = trial_output_like(t, "saved.sum1", x);
    saved.inverse_rms1 = trial_output(t, "saved.inverse_rms1", BATCH, SEQ, 1);
    saved.inverse_rms2 = trial_output(t, "saved.inverse_rms2", BATCH, SEQ, 1);
    TRIAL_CALL(t, transformer_block_forward(y, &saved, x, block, rope, positions, scratch));

    const PlainSizes sizes = {BATCH, SEQ, &config, NULL};
    const double *numbers = trial_doubles(t, x), eps = (double)config.norm_eps;
    double *const *weights = m->weights + layer_weights(0), *z = trial_answer(t, saved.sum1);
    double *normed = trial_memory(t, plain_count(sizes) * sizeof *normed);
    plain_block(trial_answer(t, y), numbers, weights, sizes);
    plain_norm(normed, numbers, weights[LN1], sizes);
    plain_attend(z, normed, weights, sizes);
    plain_add(z, numbers, plain_count(sizes));
    for (size_t row = 0; row < BATCH * SEQ; row++) {
        const size_t d = config.d_model, first = row * d;
        trial_answer(t, saved.inverse_rms1)[row] =
            1 / sqrt(reference_dot(numbers + first, numbers + first, d) / (double)d + eps);
        trial_answer(t, saved.inverse_rms2)[row] = 1 / sqrt(reference_dot(z + first, z + first, d) / (double)d + eps);
    }
}

static const Case CASES[] = {
    CASE("one token; MHA(u) is 0.5 u, and FFN(u) is -u", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("a single token", one_token),
    CASE("positions that the caller gives", own_positions),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "post-norm, an ablation", .run = post_norm, .optional = true},
    {.what = "no norms, an ablation", .run = no_norm, .optional = true},
    {.what = "saved, which the backward pass reads", .run = saved_for_backward, .optional = true},
    {0},
};

const Exercise exercise_transformer_block = {"transformer_block", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                             .mistakes = MISTAKES};

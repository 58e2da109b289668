/* evaluate() against the textbook model in double precision, which reads for each token exactly what its window shows.
 */
#include "core/memory.h"
#include "core/parallel.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

enum { CONTEXT = 5, IDS = 40, LONGEST = 17 };

static const LossReceiver NO_RECEIVER = {0};

/* A model whose window is so short that a text of 17 ids has many. */
static void init(SmallModel *m, NormPlacement norm, PositionKind position)
{
    TransformerLMConfig config = small_config();
    config.context_length = CONTEXT;
    config.norm = norm;
    config.position = position;
    small_model_init(m, &config, 1, CONTEXT);
}

static TokenFile text_of(size_t count)
{
    return token_file_view(sample_ids("evaluate.text", IDS, LONGEST).data, count, IDS);
}

/* ---- the reference ---- */

/*
 * The first window whose last prediction is that of t_i or of a later id is the one that counts. Returns the position
 * at which it begins.
 */
static size_t window_of(size_t i, size_t stride)
{
    size_t begin = 0;
    while (begin + CONTEXT < i)
        begin += stride;
    return begin;
}

/* The loss of t_i for i = 1, ..., count - 1: the model reads t_begin, ..., t_{i-1}, and only its last row is used. */
static double *reference_losses(const SmallModel *m, size_t count, size_t stride)
{
    const ReferenceWeights weights = small_model_widen(m);
    const int32_t *ids = sample_ids("evaluate.text", IDS, LONGEST).data;
    double *losses = sample_doubles(count - 1), *logits = sample_doubles((size_t)CONTEXT * IDS);
    for (size_t i = 1; i < count; i++) {
        const size_t begin = window_of(i, stride), seen = i - begin;
        reference_transformer_lm(logits, ids + begin, &weights, 1, seen, &m->value.config);
        losses[i - 1] = reference_cross_entropy(logits + (seen - 1) * IDS, ids + i, 1, IDS);
    }
    return losses;
}

static double mean(const double *losses, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += losses[i];
    return sum / (double)count;
}

/* Keeps what the receiver gets. */
typedef struct {
    float losses[LONGEST];
    int32_t ids[LONGEST];
    size_t count, calls;
    Status answer;
} Kept;

static Status keep(void *context, const float *losses, const int32_t *ids, size_t count)
{
    Kept *kept = context;
    ck_assert_uint_le(kept->count + count, LONGEST);
    memcpy(kept->losses + kept->count, losses, count * sizeof *losses);
    memcpy(kept->ids + kept->count, ids, count * sizeof *ids);
    kept->count += count;
    kept->calls++;
    return kept->answer ? status_fail(kept->answer, "the receiver does not want more") : CS336_OK;
}

/* Compares all losses, their ids and their mean with the reference. */
static void check_text(const SmallModel *m, size_t count, size_t stride, size_t batch_size, const double *expected)
{
    Kept kept = {.count = 0};
    const TokenFile text = text_of(count);
    const EvaluateConfig config = {.stride = stride, .batch_size = batch_size};
    double loss = NAN;
    assert_ok(evaluate(&loss, &m->value, &text, &config, (LossReceiver){keep, &kept}));
    ck_assert_uint_eq(kept.count, count - 1);
    ck_assert_mem_eq(kept.ids, (const int32_t *)(const void *)text.memory + 1, (count - 1) * sizeof *kept.ids);
    assert_allclose_double("losses", kept.losses, expected, count - 1, 1e-5, 1e-5);
    ck_assert_double_eq_tol(loss, mean(expected, count - 1), 1e-5);
}

START_TEST(test_evaluate_predicts_each_token_from_its_window)
{
    static const size_t batch_sizes[] = {1, 2, 3, 100};
    SmallModel m;
    init(&m, NORM_PRE, POSITION_ROPE);
    parallel_set_threads(1); /* fastest for tiny matrices */
    for (size_t stride = 1; stride <= CONTEXT; stride++)
        for (size_t count = 2; count <= LONGEST; count++) {
            const double *expected = reference_losses(&m, count, stride);
            for (size_t b = 0; b < sizeof batch_sizes / sizeof *batch_sizes; b++) {
                test_label("%zu ids, stride %zu, batches of %zu", count, stride, batch_sizes[b]);
                check_text(&m, count, stride, batch_sizes[b], expected);
            }
        }
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_evaluate_of_other_models)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        SmallModel m;
        init(&m, (NormPlacement)norm, POSITION_NONE);
        test_label("norm %d without positions", norm);
        check_text(&m, LONGEST, 2, 2, reference_losses(&m, LONGEST, 2));
        small_model_deinit(&m);
    }
}
END_TEST

START_TEST(test_evaluate_without_overlap_is_the_validation_loss)
{
    const int32_t *ids = sample_ids("evaluate.text", IDS, LONGEST).data;
    const TokenFile text = text_of(3 * CONTEXT + 1);
    SmallModel m;
    float expected;
    double loss;
    init(&m, NORM_PRE, POSITION_ROPE);
    Arena scratch = arena_of(transformer_lm_loss_scratch(&m.value, 3, CONTEXT, false));
    assert_ok(transformer_lm_loss(&expected, NULL, &m.value, tokens(ids, 3, CONTEXT), tokens(ids + 1, 3, CONTEXT), NULL,
                                  &scratch));
    /* A stride of 0 is the context length. */
    assert_ok(evaluate(&loss, &m.value, &text, &(EvaluateConfig){.batch_size = 2}, NO_RECEIVER));
    ck_assert_double_eq_tol(loss, (double)expected, 1e-6);
    arena_deinit(&scratch);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_evaluate_counts_its_windows)
{
    for (size_t context = 1; context <= 6; context++)
        for (size_t stride = 1; stride <= context; stride++)
            for (size_t count = 2; count <= 30; count++) {
                size_t windows = 1;
                for (size_t end = context; end < count - 1; end += stride)
                    windows++;
                test_label("%zu ids, context %zu, stride %zu", count, context, stride);
                if (evaluate_windows(count, context, stride) != windows)
                    ck_abort_msg("%zu windows, expected %zu", evaluate_windows(count, context, stride), windows);
            }
}
END_TEST

START_TEST(test_evaluate_is_the_same_for_any_threads)
{
    static const int threads[] = {1, 2, 3, 8};
    double loss[4];
    SmallModel m;
    const TransformerLMConfig config = small_config();
    const TokenFile text = token_file_view(sample_ids("evaluate.long", IDS, 2000).data, 2000, IDS);
    small_model_init(&m, &config, 1, 1);
    for (int i = 0; i < 4; i++) {
        parallel_set_threads(threads[i]);
        test_label("%d threads", threads[i]);
        assert_ok(evaluate(&loss[i], &m.value, &text, &(EvaluateConfig){.stride = 6, .batch_size = 70}, NO_RECEIVER));
        ck_assert_mem_eq(&loss[i], &loss[0], sizeof loss[0]);
    }
    small_model_deinit(&m);
}
END_TEST

/* ---- errors ---- */

START_TEST(test_evaluate_names_what_is_wrong)
{
    const EvaluateConfig config = {.batch_size = 2};
    int32_t ids[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, IDS, 12};
    const TokenFile none = text_of(0), one = text_of(1), two = text_of(2), bad = token_file_view(ids, 12, IDS),
                    beyond = token_file_view(ids, 12, IDS + 1);
    SmallModel m;
    double loss = -1;
    init(&m, NORM_PRE, POSITION_ROPE);
    assert_fails(evaluate(&loss, &m.value, &none, &config, NO_RECEIVER), CS336_ERANGE,
                 "evaluate: the text has 0 tokens, expected at least 2: the first one is not predicted");
    assert_fails(evaluate(&loss, &m.value, &one, &config, NO_RECEIVER), CS336_ERANGE,
                 "evaluate: the text has 1 token, expected at least 2: the first one is not predicted");
    assert_fails(
        evaluate(&loss, &m.value, &two, &(EvaluateConfig){.stride = CONTEXT + 1, .batch_size = 1}, NO_RECEIVER),
        CS336_ERANGE, "evaluate: a stride of 6 tokens, expected at most the context length 5");
    assert_fails(evaluate(&loss, &m.value, &two, &(EvaluateConfig){.stride = 1}, NO_RECEIVER), CS336_ERANGE,
                 "evaluate: a batch of 0 windows, expected at least 1");
    assert_fails(evaluate(&loss, &m.value, &bad, &config, NO_RECEIVER), CS336_ERANGE,
                 "token ids: id 40 at position 10, expected below the vocabulary size 40");
    assert_fails(evaluate(&loss, &m.value, &beyond, &config, NO_RECEIVER), CS336_ERANGE,
                 "linear_cross_entropy_rows: target 40 at (1, 4) is not in [0, 40)");
    ck_assert_double_eq(loss, -1);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_evaluate_refuses_a_loss_that_is_no_number)
{
    const TokenFile text = text_of(LONGEST);
    SmallModel m;
    double loss = -1;
    init(&m, NORM_PRE, POSITION_NONE);
    /* Only the embedding of t_8 is broken. With a stride of 2 the window of t_9 is the first that has to read it. */
    const int32_t broken = sample_ids("evaluate.text", IDS, LONGEST).data[8];
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_ne(sample_ids("evaluate.text", IDS, LONGEST).data[i], broken);
    tensor_row(m.value.token_embeddings.weight, (size_t)broken)[3] = NAN;
    Kept kept = {.count = 0};
    assert_fails(
        evaluate(&loss, &m.value, &text, &(EvaluateConfig){.stride = 2, .batch_size = 1}, (LossReceiver){keep, &kept}),
        CS336_ERANGE, "evaluate: the loss of the token at position 9 is nan, expected a finite number");
    ck_assert_uint_eq(kept.count, 7); /* t_1 to t_5, then t_6 and t_7 */
    ck_assert_double_eq(loss, -1);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_evaluate_ends_when_the_receiver_says_so)
{
    const TokenFile text = text_of(LONGEST);
    SmallModel m;
    double loss = -1;
    Kept kept = {.answer = CS336_EINTERRUPTED};
    init(&m, NORM_PRE, POSITION_ROPE);
    assert_fails(evaluate(&loss, &m.value, &text, &(EvaluateConfig){.batch_size = 1}, (LossReceiver){keep, &kept}),
                 CS336_EINTERRUPTED, "the receiver does not want more");
    ck_assert_uint_eq(kept.calls, 1);
    ck_assert_uint_eq(kept.count, CONTEXT);
    ck_assert_double_eq(loss, -1);
    small_model_deinit(&m);
}
END_TEST

static Status evaluate_afresh(void *context)
{
    const SmallModel *m = context;
    const TokenFile text = text_of(LONGEST);
    double loss;
    parallel_release();
    const Status s = evaluate(&loss, &m->value, &text, &(EvaluateConfig){.stride = 3, .batch_size = 2}, NO_RECEIVER);
    parallel_release();
    return s;
}

START_TEST(test_evaluate_allocation_failures)
{
    SmallModel m;
    init(&m, NORM_PRE, POSITION_ROPE);
    assert_allocation_failures_say(evaluate_afresh, &m, "arena_init: no memory for *[0-9] bytes",
                                   "parallel_reserve: no memory for *[0-9] bytes*");
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_evaluate_refuses_a_batch_that_does_not_fit_the_machine)
{
    /* The ids are never read, so that the text need not exist. */
    const TokenFile text = {.count = (size_t)1 << 40, .vocab_size = IDS};
    SmallModel m;
    double loss;
    init(&m, NORM_PRE, POSITION_ROPE);
    ck_assert_int_eq(evaluate(&loss, &m.value, &text, &(EvaluateConfig){.batch_size = (size_t)1 << 36}, NO_RECEIVER),
                     CS336_ENOMEM);
    ck_assert_int_eq(strncmp(status_message(), "evaluate: a batch of 68719476736 windows needs ", 47), 0);
    small_model_deinit(&m);
}
END_TEST

const TestCase evaluate_tests[] = {
    TEST(test_evaluate_predicts_each_token_from_its_window, "evaluate"),
    TEST(test_evaluate_of_other_models, "evaluate"),
    TEST(test_evaluate_without_overlap_is_the_validation_loss, "evaluate"),
    TEST(test_evaluate_counts_its_windows, "evaluate"),
    TEST(test_evaluate_is_the_same_for_any_threads, "evaluate"),
    TEST(test_evaluate_names_what_is_wrong, "evaluate"),
    TEST(test_evaluate_refuses_a_loss_that_is_no_number, "evaluate"),
    TEST(test_evaluate_ends_when_the_receiver_says_so, "evaluate"),
    TEST(test_evaluate_allocation_failures, "evaluate"),
    TEST(test_evaluate_refuses_a_batch_that_does_not_fit_the_machine, "evaluate"),
    {0},
};

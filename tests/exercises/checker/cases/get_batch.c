/* Batches of training sequences and the mistakes of get_batch(). */
#include "data/batch.h"
#include "tests/exercises/checker/exercise.h"

#include <string.h>

enum {
    TARGETS_NOT_SHIFTED = 1,
    TWO_STARTS,
    EVERY_ROW_ALIKE,
    SEQUENCES_IN_ORDER,
    MULTIPLES_OF_THE_CONTEXT,
    LAST_START_NEVER_DRAWN,
    LAST_TARGET_BEYOND_THE_END,
    STARTS_OF_UNIFORM,
    COLUMNS_FOR_ROWS,
    ANY_DEVICE,
};

static const Mistake MISTAKES[] = {
    {TARGETS_NOT_SHIFTED, "targets_not_shifted", "get_batch() whose targets are the inputs"},
    {TWO_STARTS, "two_starts",
     "get_batch() that draws a second start for the targets: they must be the same piece, one token later"},
    {EVERY_ROW_ALIKE, "every_row_alike", "get_batch() that draws one start for all sequences"},
    {SEQUENCES_IN_ORDER, "sequences_in_order",
     "get_batch() that takes the sequences one after the other, not at random"},
    {MULTIPLES_OF_THE_CONTEXT, "multiples_of_the_context",
     "get_batch() whose starts are multiples of the context length: a sequence may begin anywhere"},
    {LAST_START_NEVER_DRAWN, "last_start_never_drawn", "get_batch() that never draws the last sequence of the data"},
    {LAST_TARGET_BEYOND_THE_END, "last_target_beyond_the_end",
     "get_batch() that draws one start too many, whose last target lies beyond the data"},
    {STARTS_OF_UNIFORM, "starts_of_uniform",
     "get_batch() whose starts are rng_uniform() times n - m, rounded down. They are as random, but the tests expect "
     "those of rng_below(rng, n - m)"},
    {COLUMNS_FOR_ROWS, "columns_for_rows",
     "get_batch() that writes each sequence into a column: row b begins at b * context_length"},
    {ANY_DEVICE, "any_device", "get_batch() that takes every device for the CPU"},
    {0},
};

enum { MOST_BATCH = 4, MOST_CONTEXT = 16, MOST_IDS = 64, NOT_WRITTEN = -1 };

typedef struct {
    const int32_t *ids;
    size_t count, batch, context;
    uint64_t seed;
} Problem;

/* Draws below `bound`; 0 if there is nothing to draw from, where a program with that mistake ends anyway. */
static size_t below(Rng *rng, size_t bound)
{
    return bound ? (size_t)rng_below(rng, bound) : 0;
}

static size_t wrong_start(const Problem *p, size_t row, Rng *rng, int mistake)
{
    const size_t starts = p->count - p->context;
    switch (mistake) {
    case EVERY_ROW_ALIKE:
        *rng = rng_seeded(p->seed);
        return below(rng, starts);
    case SEQUENCES_IN_ORDER:
        return row % starts;
    case MULTIPLES_OF_THE_CONTEXT:
        return p->context * below(rng, (p->count - 1) / p->context);
    case LAST_START_NEVER_DRAWN:
        return below(rng, starts - 1);
    case LAST_TARGET_BEYOND_THE_END:
        return below(rng, starts + 1);
    case STARTS_OF_UNIFORM:
        return (size_t)(rng_uniform(rng) * (double)starts);
    default:
        return below(rng, starts);
    }
}

/* Writes inputs and targets (batch, context). Returns false if the mistake reads beyond the ids, which fails. */
static bool wrong_batch(int32_t *inputs, int32_t *targets, const Problem *p, int mistake)
{
    Rng rng = rng_seeded(p->seed);
    for (size_t b = 0; b < p->batch; b++) {
        const size_t start = wrong_start(p, b, &rng, mistake);
        const size_t other = mistake == TWO_STARTS ? below(&rng, p->count - p->context) : start;
        const size_t target = mistake == TARGETS_NOT_SHIFTED ? other : other + 1;
        if (target + p->context > p->count)
            return false;
        for (size_t i = 0; i < p->context; i++) {
            const size_t to = mistake == COLUMNS_FOR_ROWS ? i * p->batch + b : b * p->context + i;
            inputs[to] = p->ids[start + i];
            targets[to] = p->ids[target + i];
        }
    }
    return true;
}

/* Compares both arrays, a row at a time: the first row of inputs is called inputs[0]. If the call must not succeed, the
 * right answer is empty. */
static void compare(Trial *t, const Problem *p, const int32_t *inputs, const int32_t *targets, bool succeeds)
{
    static const char *const INPUTS[MOST_BATCH] = {"inputs[0]", "inputs[1]", "inputs[2]", "inputs[3]"};
    static const char *const TARGETS[MOST_BATCH] = {"targets[0]", "targets[1]", "targets[2]", "targets[3]"};
    int32_t right_inputs[MOST_BATCH * MOST_CONTEXT], right_targets[MOST_BATCH * MOST_CONTEXT];
    const size_t m = p->context, right = succeeds && wrong_batch(right_inputs, right_targets, p, t->mistake) ? m : 0;
    for (size_t b = 0; b < p->batch; b++) {
        trial_id_list(t, INPUTS[b], &inputs[b * m], m, &right_inputs[b * m], right);
        trial_id_list(t, TARGETS[b], &targets[b * m], m, &right_targets[b * m], right);
    }
}

/* Memory for inputs or targets, of exactly the right size. */
static int32_t *batch_memory(Trial *t, const Problem *p)
{
    int32_t *ids = trial_memory(t, p->batch * p->context * sizeof *ids);
    for (size_t i = 0; i < p->batch * p->context; i++)
        ids[i] = NOT_WRITTEN;
    return ids;
}

static void by_hand(Trial *t)
{
    static const int32_t IDS[] = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59};
    const Problem p = {IDS, 10, 3, 4, .seed = 2};
    int32_t starts[MOST_BATCH], *inputs = batch_memory(t, &p), *targets = batch_memory(t, &p);
    Rng rng_of_starts = rng_seeded(p.seed), generator = rng_of_starts, *rng = &generator;
    for (size_t b = 0; b < p.batch; b++)
        starts[b] = (int32_t)rng_below(&rng_of_starts, p.count - p.context);
    const TokenFile view = token_file_view(trial_ids(t, "tokens", IDS, 10).data, p.count, 100), *tokens = &view;
    trial_ids(t, "starts: rng_below(rng, 6)", starts, 3);
    TRIAL_CALL(t, get_batch(inputs, targets, tokens, 3, 4, "cpu", rng));
    compare(t, &p, inputs, targets, true);
}

/* Ids that are all different in a window of 64. */
static const int32_t *some_ids(Trial *t)
{
    int32_t *ids = trial_memory(t, MOST_IDS * sizeof *ids);
    for (int32_t i = 0; i < MOST_IDS; i++)
        ids[i] = (i * i + 3) % 131;
    return ids;
}

static void draw(Trial *t, Problem p)
{
    int32_t *inputs = batch_memory(t, &p), *targets = batch_memory(t, &p);
    Rng rng = rng_seeded(p.seed);
    const TokenFile tokens = token_file_view(p.ids, p.count, 131);
    TRIAL_CALL(t, get_batch(inputs, targets, &tokens, p.batch, p.context, "cpu", &rng));
    compare(t, &p, inputs, targets, true);
}

static void long_rows(Trial *t)
{
    draw(t, (Problem){some_ids(t), MOST_IDS, MOST_BATCH, MOST_CONTEXT, .seed = 7});
}
static void single_ids(Trial *t)
{
    draw(t, (Problem){some_ids(t), 40, MOST_BATCH, 1, .seed = 3});
}
static void smallest_file(Trial *t)
{
    draw(t, (Problem){some_ids(t), 6, 2, 5, .seed = 1});
}

static void too_few_ids(Trial *t)
{
    const Problem p = {some_ids(t), 5, 2, 5, .seed = 1};
    int32_t *inputs = batch_memory(t, &p), *targets = batch_memory(t, &p);
    Rng rng = rng_seeded(p.seed);
    const TokenFile tokens = token_file_view(p.ids, p.count, 131);
    trial_must_fail(t);
    TRIAL_CALL(t, get_batch(inputs, targets, &tokens, p.batch, p.context, "cpu", &rng));
}

static void another_device(Trial *t)
{
    const Problem p = {some_ids(t), 20, 2, 3, .seed = 5};
    int32_t *inputs = batch_memory(t, &p), *targets = batch_memory(t, &p);
    Rng rng = rng_seeded(p.seed);
    const TokenFile tokens = token_file_view(p.ids, p.count, 131);
    if (t->mistake != ANY_DEVICE)
        trial_must_fail(t);
    TRIAL_CALL(t, get_batch(inputs, targets, &tokens, p.batch, p.context, "cuda:0", &rng));
    compare(t, &p, inputs, targets, t->mistake == ANY_DEVICE);
}

static const Case CASES[] = {
    CASE("three sequences of four tokens out of ten", by_hand),
    CASE("four sequences of 16 tokens", long_rows),
    CASE("sequences of one token", single_ids),
    CASE("a file that holds a single sequence and its targets", smallest_file),
    CASE("a file that is too short by one id", too_few_ids),
    CASE("a device that does not exist, \"cuda:0\"", another_device),
    {0},
};

const Exercise exercise_get_batch = {"get_batch", .rtol = 0, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};

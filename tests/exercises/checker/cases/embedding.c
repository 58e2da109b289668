/* Embedding and its mistakes. */
#include "nn/embedding.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>
#include <string.h>

enum {
    ONE_TOKEN_LATE = 1,
    ROW_NUMBER_FOR_ID,
    TABLE_TRANSPOSED,
    FIRST_SEQUENCE_FOR_ALL,
    FIRST_DIMENSION_ONLY,
    SCALED_BY_THE_ROOT_OF_D_MODEL,
    ADDED_TO_Y,
};

static const Mistake MISTAKES[] = {
    {ONE_TOKEN_LATE, "one_token_late", "the rows of the ids one token earlier"},
    {ROW_NUMBER_FOR_ID, "row_number_for_id",
     "the table's rows 0, 1, 2, ...: the number of the token is used for its id"},
    {TABLE_TRANSPOSED, "table_transposed",
     "a table that is read as (d_model, vocab_size): it is (vocab_size, d_model)"},
    {FIRST_SEQUENCE_FOR_ALL, "first_sequence_for_all", "the first sequence of ids for every sequence of the batch"},
    {FIRST_DIMENSION_ONLY, "first_dimension_only",
     "a loop over the first dimension only: rows(y) counts all leading dimensions, 6 rows in (2, 3, d)"},
    {SCALED_BY_THE_ROOT_OF_D_MODEL, "scaled_by_the_root_of_d_model",
     "embeddings that are multiplied by sqrt(d_model), as in the first Transformer: here they are copied"},
    {ADDED_TO_Y, "added_to_y", "rows that are added to what y held before: y is undefined until you assign to it"},
    {0},
};

/* Row n of the answer, d_model numbers. */
static void answer_row(double *y, const double *weight, TokenTensor ids, Tensor table, size_t n, int mistake)
{
    const size_t vocab_size = table.shape[0], d_model = table.shape[1], seq = ids.shape[ids.rank - 1];
    size_t token = n;
    if (mistake == ONE_TOKEN_LATE && n > 0)
        token = n - 1;
    if (mistake == FIRST_SEQUENCE_FOR_ALL)
        token = n % seq;
    const size_t id = mistake == ROW_NUMBER_FOR_ID ? n : (size_t)tokens_at(ids, token);
    for (size_t i = 0; i < d_model; i++) {
        y[i] = weight[mistake == TABLE_TRANSPOSED ? i * vocab_size + id : id * d_model + i];
        if (mistake == SCALED_BY_THE_ROOT_OF_D_MODEL)
            y[i] *= sqrt((double)d_model);
        if (mistake == ADDED_TO_Y)
            y[i] = NAN;
        if (mistake == FIRST_DIMENSION_ONLY && n >= ids.shape[0])
            y[i] = trial_unwritten();
    }
}

static void answer(Trial *t, Tensor y, TokenTensor ids, Tensor weight)
{
    double *numbers = trial_answer(t, y);
    const double *table = trial_doubles(t, weight);
    for (size_t n = 0; n < tensor_rows(y); n++)
        answer_row(numbers + n * weight.shape[1], table, ids, weight, n, t->mistake);
}

static void by_hand(Trial *t)
{
    static const float W[] = {1, 2, 3, 4, 5, 6};
    static const int32_t IDS[] = {2, 0, 2};
    const Tensor weight = trial_input(t, "embedding.weight", W, 3, 2);
    const TokenTensor ids = trial_ids(t, "ids", IDS, 3);
    const Tensor y = trial_output(t, "y", 3, 2);
    const Embedding embedding = {.weight = weight};
    TRIAL_CALL(t, embedding_forward(y, ids, &embedding));
    answer(t, y, ids, weight);
}

/* Looks up ids in a random table. */
static void look_up(Trial *t, TokenTensor ids, size_t vocab_size, size_t d_model)
{
    size_t shape[TENSOR_MAX_RANK];
    memcpy(shape, ids.shape, (size_t)ids.rank * sizeof *shape);
    shape[ids.rank] = d_model;
    const Tensor weight = trial_random(t, "embedding.weight", 1, vocab_size, d_model);
    const Tensor y = trial_output_of(t, "y", ids.rank + 1, shape);
    const Embedding embedding = {.weight = weight};
    TRIAL_CALL(t, embedding_forward(y, ids, &embedding));
    answer(t, y, ids, weight);
}

static void course_sizes(Trial *t)
{
    look_up(t, trial_random_ids(t, "ids", 300, 4, 12), 300, 64);
}

static void both_ends(Trial *t)
{
    static const int32_t IDS[] = {6, 0, 6, 6, 0, 0};
    look_up(t, trial_ids(t, "ids", IDS, 2, 3), 7, 3);
}

static void three_dimensions(Trial *t)
{
    look_up(t, trial_random_ids(t, "ids", 30, 2, 3, 4), 30, 5);
}

static void no_ids(Trial *t)
{
    look_up(t, trial_ids(t, "ids", NULL, 0), 3, 2);
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    look_up(t, trial_random_ids(t, "ids", 9, 2, 3), 9, 5);
}

/* Calls the function with an id that the table of three rows does not have. */
static void refuse(Trial *t, int32_t bad)
{
    static const float W[] = {1, 2, 3, 4, 5, 6};
    const int32_t numbers[] = {0, bad};
    const Embedding embedding = {.weight = trial_input(t, "embedding.weight", W, 3, 2)};
    const TokenTensor ids = trial_ids(t, "ids", numbers, 2);
    const Tensor y = trial_output(t, "y", 2, 2);
    trial_must_fail(t);
    TRIAL_CALL(t, embedding_forward(y, ids, &embedding));
}

static void too_large(Trial *t)
{
    refuse(t, 3);
}

static void negative(Trial *t)
{
    refuse(t, -1);
}

static const Case CASES[] = {
    CASE("three ids, a table of three rows", by_hand),
    CASE("ids (4, 12), a table of (300, 64)", course_sizes),
    CASE("the first id and the last, several times", both_ends),
    CASE("ids with three dimensions", three_dimensions),
    CASE("no ids", no_ids),
    CASE("rows that do not follow each other in memory", rows_apart),
    CASE("an id that equals vocab_size", too_large),
    CASE("a negative id", negative),
    {0},
};

const Exercise exercise_embedding = {"embedding", .rtol = 1e-6, .atol = 1e-7, .cases = CASES, .mistakes = MISTAKES};

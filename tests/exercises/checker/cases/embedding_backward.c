/* The gradient of embedding and its mistakes. */
#include "nn/embedding.h"
#include "tests/exercises/checker/exercise.h"

#include <string.h>

enum {
    LAST_ROW_OF_EACH_ID = 1,
    OVERWRITTEN,
    MEAN_OF_EACH_ID,
    MEAN_OF_ALL_TOKENS,
    ONE_TOKEN_LATE,
    ROW_NUMBER_FOR_ID,
    FIRST_SEQUENCE_FOR_ALL,
    FIRST_DIMENSION_ONLY,
};

static const Mistake MISTAKES[] = {
    {LAST_ROW_OF_EACH_ID, "last_row_of_each_id",
     "the last row of grad_y alone for an id that occurs several times: = in place of +="},
    {OVERWRITTEN, "overwritten", "a gradient that is cleared first: it is added to what grad->weight holds"},
    {MEAN_OF_EACH_ID, "mean_of_each_id", "the mean over all rows with the same id: expected is their sum"},
    {MEAN_OF_ALL_TOKENS, "mean_of_all_tokens", "rows of grad_y that are divided by the number of tokens"},
    {ONE_TOKEN_LATE, "one_token_late",
     "each gradient added to the row of the token before: row n of grad_y belongs to id n"},
    {ROW_NUMBER_FOR_ID, "row_number_for_id",
     "rows of grad_y added to the rows 0, 1, 2, ...: the number of the token is used for its id"},
    {FIRST_SEQUENCE_FOR_ALL, "first_sequence_for_all", "the first sequence of ids for every sequence of the batch"},
    {FIRST_DIMENSION_ONLY, "first_dimension_only",
     "a loop over the first dimension only: rows(grad_y) counts all leading dimensions, 6 rows in (2, 3, d)"},
    {0},
};

/* The row of the table that row n of grad_y is added to. */
static size_t place(TokenTensor ids, size_t n, int mistake)
{
    if (mistake == ROW_NUMBER_FOR_ID)
        return n;
    if (mistake == ONE_TOKEN_LATE)
        return (size_t)tokens_at(ids, n > 0 ? n - 1 : 0);
    return (size_t)tokens_at(ids, mistake == FIRST_SEQUENCE_FOR_ALL ? n % ids.shape[ids.rank - 1] : n);
}

static size_t occurrences(TokenTensor ids, size_t n)
{
    size_t count = 0;
    for (size_t other = 0; other < tokens_count(ids); other++)
        count += tokens_at(ids, other) == tokens_at(ids, n);
    return count;
}

static void answer(Trial *t, Tensor grad_weight, Tensor grad_y, TokenTensor ids)
{
    const int mistake = t->mistake;
    const size_t d_model = grad_weight.shape[1], tokens = tokens_count(ids);
    const double *from = trial_doubles(t, grad_y);
    double *numbers = trial_answer(t, grad_weight);
    if (mistake != OVERWRITTEN)
        memcpy(numbers, trial_doubles(t, grad_weight), tensor_count(grad_weight) * sizeof *numbers);
    for (size_t n = 0; n < tokens; n++) {
        double *to = numbers + place(ids, n, mistake) * d_model;
        const double divisor = mistake == MEAN_OF_EACH_ID      ? (double)occurrences(ids, n)
                               : mistake == MEAN_OF_ALL_TOKENS ? (double)tokens
                                                               : 1;
        if (mistake == FIRST_DIMENSION_ONLY && n >= ids.shape[0])
            break;
        for (size_t i = 0; i < d_model; i++) {
            const double g = from[n * d_model + i] / divisor;
            to[i] = mistake == LAST_ROW_OF_EACH_ID ? g : to[i] + g;
        }
    }
}

static void by_hand(Trial *t)
{
    static const float GRAD_Y[] = {1, 10, 2, 20, 3, 30}, BEFORE[] = {100, 100, 100, 100, 100, 100};
    static const int32_t IDS[] = {2, 0, 2};
    const Tensor grad_y = trial_input(t, "grad_y", GRAD_Y, 3, 2);
    const TokenTensor ids = trial_ids(t, "ids", IDS, 3);
    Embedding grad = {.weight = trial_changed(t, "grad.weight", BEFORE, 3, 2)};
    TRIAL_CALL(t, embedding_backward(&grad, grad_y, ids));
    answer(t, grad.weight, grad_y, ids);
}

/* The tensors of a trial with random gradients. */
typedef struct {
    Tensor grad_weight, grad_y;
    TokenTensor ids;
} Problem;

static Problem random_problem(Trial *t, TokenTensor ids, size_t vocab_size, size_t d_model)
{
    size_t shape[TENSOR_MAX_RANK];
    memcpy(shape, ids.shape, (size_t)ids.rank * sizeof *shape);
    shape[ids.rank] = d_model;
    Problem p = {.ids = ids, .grad_y = trial_random_of(t, "grad_y", 1, ids.rank + 1, shape)};
    p.grad_weight = trial_changed_random(t, "grad.weight", 1, vocab_size, d_model);
    Embedding grad = {.weight = p.grad_weight};
    TRIAL_CALL(t, embedding_backward(&grad, p.grad_y, p.ids));
    answer(t, p.grad_weight, p.grad_y, p.ids);
    return p;
}

static void many_numbers(Trial *t)
{
    random_problem(t, trial_random_ids(t, "ids", 60, 4, 12), 60, 64);
}

static void both_ends(Trial *t)
{
    static const int32_t IDS[] = {6, 0, 6, 6, 0, 0};
    random_problem(t, trial_ids(t, "ids", IDS, 2, 3), 7, 3);
}

static void no_ids(Trial *t)
{
    random_problem(t, trial_ids(t, "ids", NULL, 0), 3, 2);
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    random_problem(t, trial_random_ids(t, "ids", 9, 2, 3), 9, 5);
}

static void frozen(Trial *t)
{
    static const int32_t IDS[] = {1, 0};
    const Tensor grad_y = trial_random(t, "grad_y", 1, 2, 3);
    const TokenTensor ids = trial_ids(t, "ids", IDS, 2);
    Embedding grad = {.weight = {.data = NULL}};
    TRIAL_CALL(t, embedding_backward(&grad, grad_y, ids));
}

static void too_large(Trial *t)
{
    static const int32_t IDS[] = {0, 3};
    const Tensor grad_y = trial_random(t, "grad_y", 1, 2, 2);
    const TokenTensor ids = trial_ids(t, "ids", IDS, 2);
    Embedding grad = {.weight = trial_changed(t, "grad.weight", NULL, 3, 2)};
    trial_must_fail(t);
    TRIAL_CALL(t, embedding_backward(&grad, grad_y, ids));
}

typedef struct {
    Tensor y;
    TokenTensor ids;
    Embedding embedding;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return embedding_forward(f->y, f->ids, &f->embedding);
}

static void differences(Trial *t)
{
    static const int32_t IDS[] = {3, 1, 3, 0};
    const Problem p = random_problem(t, trial_ids(t, "ids", IDS, 2, 2), 5, 3);
    const Tensor weight = trial_random(t, "embedding.weight", 1, 5, 3);
    if (t->mistake)
        return;
    Forward f = {.y = trial_tensor(t, 2, 2, 3), .ids = p.ids, .embedding = {.weight = weight}};
    double *grad_weight = trial_answer(t, p.grad_weight);
    const double *before = trial_doubles(t, p.grad_weight);
    trial_differences(t, grad_weight, weight, p.grad_y, f.y, forward, &f);
    for (size_t i = 0; i < tensor_count(weight); i++)
        grad_weight[i] += before[i];
}

static const Case CASES[] = {
    CASE("three ids, a table of three rows", by_hand),
    CASE("ids (4, 12), a table of (60, 64)", many_numbers),
    CASE("the first id and the last, several times", both_ends),
    CASE("no ids", no_ids),
    CASE("rows that do not follow each other in memory", rows_apart),
    CASE("a table whose gradient is not wanted", frozen),
    CASE("an id that equals vocab_size", too_large),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_embedding_backward = {"embedding_backward", .rtol = 1e-5, .atol = 1e-6, .cases = CASES,
                                              .mistakes = MISTAKES};

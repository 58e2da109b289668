/* Softmax and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    WITHOUT_MAXIMUM = 1,
    ALWAYS_OF_THE_LAST_DIMENSION,
    NOT_NORMALISED,
    OF_ALL_NUMBERS,
    LOG_SOFTMAX,
    POWERS_OF_TWO,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_MAXIMUM, "without_maximum", "softmax without subtracting the maximum, which overflows for large scores"},
    {ALWAYS_OF_THE_LAST_DIMENSION, "always_of_the_last_dimension",
     "softmax over the last dimension, whichever dimension was asked for"},
    {NOT_NORMALISED, "not_normalised", "the exponentials alone: they are not divided by their sum"},
    {OF_ALL_NUMBERS, "of_all_numbers", "softmax over the whole tensor: all its numbers together sum to 1"},
    {LOG_SOFTMAX, "log_softmax", "log softmax: the logarithm of the right answer"},
    {POWERS_OF_TWO, "powers_of_two", "softmax with 2^x in place of e^x"},
    {0},
};

/* Over the middle one of three dimensions, with the mistake. */
static void wrong_softmax(double *y, const double *x, size_t outer, size_t n, size_t inner, int mistake)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            const double *from = x + o * n * inner + i;
            double *to = y + o * n * inner + i;
            double max = mistake == WITHOUT_MAXIMUM ? 0 : -INFINITY, sum = 0;
            for (size_t j = 0; j < n && mistake != WITHOUT_MAXIMUM; j++)
                max = fmax(max, from[j * inner]);
            for (size_t j = 0; j < n; j++) {
                const double shifted = from[j * inner] - max;
                to[j * inner] = mistake == POWERS_OF_TWO ? exp2(shifted) : exp(shifted);
                sum += to[j * inner];
            }
            for (size_t j = 0; j < n && mistake != NOT_NORMALISED; j++) {
                to[j * inner] /= sum;
                if (mistake == LOG_SOFTMAX)
                    to[j * inner] = log(to[j * inner]);
            }
        }
}

/* Calls softmax_forward() on x (outer, n, inner), of which outer and inner may be 1. */
static void try_softmax(Trial *t, Tensor x, Tensor y, size_t outer, size_t n, size_t inner)
{
    double *answer = trial_answer(t, y);
    const double *numbers = trial_doubles(t, x);
    if (t->mistake == 0)
        reference_softmax(answer, numbers, outer, n, inner);
    else if (t->mistake == OF_ALL_NUMBERS)
        reference_softmax(answer, numbers, 1, outer * n * inner, 1);
    else if (t->mistake == ALWAYS_OF_THE_LAST_DIMENSION && inner > 1)
        reference_softmax(answer, numbers, outer * n, inner, 1);
    else
        wrong_softmax(answer, numbers, outer, n, inner, t->mistake);
}

static void by_hand(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    const Tensor x = trial_input(t, "x", X, 2, 3), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 2, 3, 1);
}

static void many_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 2, 4, 12, 64), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 48, 64, 1);
}

static void middle_dimension(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 2, 3, 4), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, 1));
    try_softmax(t, x, y, 2, 3, 4);
}

static void huge_scores(Trial *t)
{
    static const float X[] = {1000, 1001, 999, -1000, -1000, -1003};
    const Tensor x = trial_input(t, "x", X, 2, 3), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 2, 3, 1);
}

static void one_number(Trial *t)
{
    static const float X[] = {7, -7};
    const Tensor x = trial_input(t, "x", X, 2, 1), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 2, 1, 1);
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 3, 5), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 3, 5, 1);
}

static void in_place(Trial *t)
{
    const Tensor x = trial_changed_random(t, "x", 1, 2, 5);
    TRIAL_CALL(t, softmax_forward(x, x, -1));
    try_softmax(t, x, x, 2, 5, 1);
}

static void transposed(Trial *t)
{
    t->transposed = true;
    const Tensor x = trial_random(t, "x", 1, 2, 3, 4), y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, softmax_forward(y, x, -1));
    try_softmax(t, x, y, 6, 4, 1);
}

static const Case CASES[] = {
    CASE("two rows of three scores", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("the middle one of three dimensions", middle_dimension),
    CASE("scores of 1000 and of -1000", huge_scores),
    CASE("rows of a single score", one_number),
    CASE("rows that do not follow each other in memory", strides),
    CASE("transposed views, in which the numbers of a row are not adjacent", transposed),
    CASE("in place: y is x itself", in_place),
    {0},
};

const Exercise exercise_softmax = {"softmax", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};

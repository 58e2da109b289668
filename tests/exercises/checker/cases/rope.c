/* RoPE and its mistakes. */
#include "nn/rope.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference_layers.h"

#include <math.h>

enum {
    FREQUENCIES_TOO_FAR_APART = 1,
    ONE_FREQUENCY_FOR_ALL,
    FREQUENCIES_GROW,
    HALVES_FOR_PAIRS,
    POSITIONS_IGNORED,
    COUNTS_FROM_1,
    COUNTS_THROUGH_HEADS,
    TURNS_BACKWARDS,
    READS_WHAT_IT_WROTE,
};

static const Mistake MISTAKES[] = {
    {FREQUENCIES_TOO_FAR_APART, "frequencies_too_far_apart",
     "a rotation by position / theta^(k / d_k): the exponent of pair k is 2k / d_k"},
    {ONE_FREQUENCY_FOR_ALL, "one_frequency_for_all",
     "a rotation of all pairs by the angle of the first: the angle of pair k is position / theta^(2k / d_k)"},
    {FREQUENCIES_GROW, "frequencies_grow", "a rotation by position * theta^(2k / d_k): the exponent is negative"},
    {HALVES_FOR_PAIRS, "halves_for_pairs",
     "a rotation that pairs number k with k + d_k / 2: pairs are neighbours, 2k and 2k + 1"},
    {POSITIONS_IGNORED, "positions_ignored", "a rotation by 0, 1, 2, ... whatever the positions say"},
    {COUNTS_FROM_1, "counts_from_1", "a rotation by position + 1: the first position is 0, whose row does not change"},
    {COUNTS_THROUGH_HEADS, "counts_through_heads",
     "a rotation whose positions go on counting in the next sequence or head, where they begin at 0 again"},
    {TURNS_BACKWARDS, "turns_backwards", "the rotation by the opposite angle: the two sines have the other sign"},
    {READS_WHAT_IT_WROTE, "reads_what_it_wrote",
     "a rotation in place whose second number is computed from the first one's result: y may be x, so read both "
     "numbers before you write one"},
    {0},
};

static const float THETA = 10000;

enum { MAX_POSITIONS = 64 /* rows that any of the small cases has */ };

/* One problem. Positions in full are one for each row of x. */
typedef struct {
    Tensor y, x;
    size_t rows, seq, d_k;
    const int32_t *positions; /* NULL: 0 .. seq - 1 */
    size_t position_count;    /* they repeat after so many; 0: as many as rows */
} Problem;

static double wrong_angle(int32_t position, size_t k, size_t d_k, int mistake)
{
    const double pair = mistake == FREQUENCIES_TOO_FAR_APART ? (double)k
                        : mistake == ONE_FREQUENCY_FOR_ALL   ? 0
                                                             : 2 * (double)k;
    const double exponent = pair / (double)d_k;
    const double angle = position * pow((double)THETA, mistake == FREQUENCIES_GROW ? exponent : -exponent);
    return mistake == TURNS_BACKWARDS ? -angle : angle;
}

static int32_t position_of(const Problem *p, size_t row, int mistake)
{
    if (!p->positions && mistake == COUNTS_THROUGH_HEADS)
        return (int32_t)row;
    if (!p->positions || mistake == POSITIONS_IGNORED)
        return (int32_t)(row % p->seq) + (mistake == COUNTS_FROM_1);
    return p->positions[row % (p->position_count ? p->position_count : p->rows)] + (mistake == COUNTS_FROM_1);
}

static void wrong_rope(double *y, const double *x, const Problem *p, int mistake)
{
    const bool in_place = p->x.data == p->y.data;
    for (size_t row = 0; row < p->rows; row++, x += p->d_k, y += p->d_k)
        for (size_t k = 0; k < p->d_k / 2; k++) {
            const double angle = wrong_angle(position_of(p, row, mistake), k, p->d_k, mistake);
            const size_t first = mistake == HALVES_FOR_PAIRS ? k : 2 * k;
            const size_t second = mistake == HALVES_FOR_PAIRS ? k + p->d_k / 2 : 2 * k + 1;
            y[first] = x[first] * cos(angle) - x[second] * sin(angle);
            const double a = mistake == READS_WHAT_IT_WROTE && in_place ? y[first] : x[first];
            y[second] = a * sin(angle) + x[second] * cos(angle);
        }
}

/* ---- cases ---- */

/* Computes the answer of a problem whose function was called. */
static void answer(Trial *t, const Problem *p)
{
    double *y = trial_answer(t, p->y);
    const double *x = trial_doubles(t, p->x);
    if (t->mistake) {
        wrong_rope(y, x, p, t->mistake);
        return;
    }
    int32_t *positions = trial_memory(t, p->rows * sizeof *positions);
    for (size_t row = 0; row < p->rows; row++)
        positions[row] = position_of(p, row, 0);
    reference_rope(y, x, positions, p->rows, p->d_k, (double)THETA);
}

/* Calls both functions of the learner, and computes the answer. */
static void rotate(Trial *t, const Problem *p, TokenTensor positions, size_t max_seq_len)
{
    RoPE rope = {0};
    Arena *arena = trial_arena(t);
    const size_t d_k = p->d_k;
    const Tensor x = p->x, y = p->y;
    TRIAL_CALL(t, rope_bind(&rope, arena, THETA, d_k, max_seq_len));
    if (!t->status)
        TRIAL_CALL(t, rope_forward(y, x, positions, &rope));
    answer(t, p);
}

static void by_hand(Trial *t)
{
    static const float X[] = {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1};
    static const int32_t POSITIONS[] = {0, 1, 2};
    Problem p = {.rows = 3, .seq = 3, .d_k = 4, .positions = POSITIONS};
    p.x = trial_input(t, "x", X, 3, 4);
    const TokenTensor positions = trial_ids(t, "positions", POSITIONS, 3);
    p.y = trial_output(t, "y", 3, 4);
    rotate(t, &p, positions, 3);
}

/* Room for a table that counts through all heads by mistake: its numbers then show the mistake, not an error. */
static void without_positions(Trial *t)
{
    Problem p = {.rows = 30, .seq = 5, .d_k = 8};
    p.x = trial_random(t, "x", 1, 2, 3, 5, 8);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, (TokenTensor){0}, MAX_POSITIONS);
}

static void course_sizes(Trial *t)
{
    int32_t *positions = trial_memory(t, 12 * sizeof *positions);
    for (int32_t i = 0; i < 12; i++)
        positions[i] = i;
    Problem p = {.rows = 48, .seq = 12, .d_k = 64, .positions = positions, .position_count = 12};
    p.x = trial_random(t, "x", 1, 4, 12, 64);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, trial_ids(t, "positions", positions, 12), MAX_POSITIONS);
}

/* The table has exactly as many rows as the last position needs. */
static void ends_and_repetitions(Trial *t)
{
    static const int32_t POSITIONS[] = {9, 0, 3, 3, 9};
    Problem p = {.rows = 5, .seq = 5, .d_k = 6, .positions = POSITIONS};
    p.x = trial_random(t, "x", 1, 5, 6);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, trial_ids(t, "positions", POSITIONS, 5), 10);
}

static void positions_of_each_sequence(Trial *t)
{
    static const int32_t POSITIONS[] = {4, 5, 6, 0, 1, 2};
    Problem p = {.rows = 12, .seq = 3, .d_k = 4};
    int32_t *in_full = trial_memory(t, p.rows * sizeof *in_full);
    for (size_t row = 0; row < p.rows; row++) /* (batch 2, heads 2, seq 3) */
        in_full[row] = POSITIONS[row / 6 * 3 + row % 3];
    p.positions = in_full;
    p.x = trial_random(t, "x", 1, 2, 2, 3, 4);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, trial_ids(t, "positions", POSITIONS, 2, 1, 3), MAX_POSITIONS);
}

static void in_place(Trial *t)
{
    Problem p = {.rows = 4, .seq = 4, .d_k = 6};
    p.x = p.y = trial_changed_random(t, "x", 1, 4, 6);
    rotate(t, &p, (TokenTensor){0}, MAX_POSITIONS);
}

static void strides(Trial *t)
{
    t->gap = 3;
    Problem p = {.rows = 10, .seq = 5, .d_k = 4};
    p.x = trial_random(t, "x", 1, 2, 5, 4);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, (TokenTensor){0}, MAX_POSITIONS);
}

/* The angles reach 9999.9 in the second pair. A float32 of this size is rounded by up to 0.0005. */
static void far_position(Trial *t)
{
    static const int32_t POSITIONS[] = {99999, 65537};
    Problem p = {.rows = 2, .seq = 2, .d_k = 8, .positions = POSITIONS};
    p.x = trial_random(t, "x", 1, 2, 8);
    p.y = trial_output_like(t, "y", p.x);
    rotate(t, &p, trial_ids(t, "positions", POSITIONS, 2), 100000);
}

/* Whoever needs the tables asks first how many bytes they are, with an arena without memory. */
static void measuring(Trial *t)
{
    enum { D_K = 32, POSITIONS = 16 };
    RoPE rope = {0};
    Arena measure = {0};
    TRIAL_CALL(t, rope_bind(&rope, &measure, THETA, D_K, POSITIONS));
    trial_number(t, "measure.peak", (double)measure.peak, 2 * POSITIONS * (D_K / 2) * (double)sizeof(float));
}

static const Case CASES[] = {
    CASE("positions 0, 1 and 2", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("without positions: 0, 1, 2, ... in each head", without_positions),
    CASE("positions at both ends, some of them twice", ends_and_repetitions),
    CASE("positions of each sequence, shared by its heads", positions_of_each_sequence),
    CASE("in place: y is x", in_place),
    CASE("rows that do not follow each other in memory", strides),
    CASE("positions up to 99999", far_position),
    CASE("rope_bind() with an arena that only measures", measuring),
    {0},
};

const Exercise exercise_rope = {"rope", .rtol = 1e-5, .atol = 2e-6, .cases = CASES, .mistakes = MISTAKES};

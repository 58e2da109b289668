/* The learning-rate schedule and its mistakes. */
#include "optim/schedule.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

enum {
    COSINE_FROM_STEP_0 = 1,
    DOWN_TO_ZERO,
    RISES_AGAIN,
    STRAIGHT_DECAY,
    WARMUP_FROM_THE_MINIMUM,
    WARMUP_STARTS_LATE,
    WARMUP_OF_INTEGERS,
    COSINE_OF_INTEGERS,
    WITHOUT_THE_HALF,
    SHORT_PI,
    NAN_WITHOUT_WARMUP,
    NAN_WITHOUT_DECAY,
};

static const Mistake MISTAKES[] = {
    {COSINE_FROM_STEP_0, "cosine_from_step_0",
     "a schedule whose cosine begins at step 0 instead of the end of the warm-up"},
    {DOWN_TO_ZERO, "down_to_zero", "a schedule whose cosine falls to 0 instead of the minimum"},
    {RISES_AGAIN, "rises_again", "a schedule whose cosine goes on after step T_c"},
    {STRAIGHT_DECAY, "straight_decay", "a schedule that falls on a straight line instead of a cosine"},
    {WARMUP_FROM_THE_MINIMUM, "warmup_from_the_minimum", "a schedule whose warm-up begins at the minimum instead of 0"},
    {WARMUP_STARTS_LATE, "warmup_starts_late",
     "a schedule whose warm-up is (t + 1) / T_w, which reaches the maximum one step early"},
    {WARMUP_OF_INTEGERS, "warmup_of_integers",
     "a schedule whose warm-up stays 0: in C, step / warmup_steps is an integer, as with // in Python"},
    {COSINE_OF_INTEGERS, "cosine_of_integers",
     "a schedule that stays at the maximum until T_c: in C, the fraction in the cosine is an integer, as with // in "
     "Python"},
    {WITHOUT_THE_HALF, "without_the_half", "a schedule without the factor 1/2 in front of 1 + cos"},
    {SHORT_PI, "short_pi", "a schedule whose pi is 3.14159: in double, it needs 17 digits"},
    {NAN_WITHOUT_WARMUP, "nan_without_warmup",
     "a schedule that warms up while t <= T_w: without a warm-up, its first rate is 0 / 0"},
    {NAN_WITHOUT_DECAY, "nan_without_decay",
     "a schedule that divides by T_c - T_w without asking whether it is 0: where T_w = T_c, the rate is the maximum"},
    {0},
};

/* 0 at T_w, 1 at T_c. */
static double wrong_progress(const CosineSchedule *s, size_t step, int mistake)
{
    const size_t span = s->decay_steps - s->warmup_steps;
    if (span == 0)
        return mistake == NAN_WITHOUT_DECAY ? NAN : 0;
    if (mistake == COSINE_FROM_STEP_0)
        return (double)step / (double)s->decay_steps;
    if (mistake == COSINE_OF_INTEGERS)
        return (double)((step - s->warmup_steps) / span);
    return (double)(step - s->warmup_steps) / (double)span;
}

static double wrong_lr(const CosineSchedule *s, size_t step, int mistake)
{
    const double pi = mistake == SHORT_PI ? 3.14159 : acos(-1), max = s->max_lr, min = s->min_lr;
    const size_t warmup = s->warmup_steps;
    if (mistake == NAN_WITHOUT_WARMUP && step == warmup)
        return warmup == 0 ? NAN : max;
    if (step < warmup) {
        const double progress = (double)(mistake == WARMUP_STARTS_LATE ? step + 1 : step) / (double)warmup;
        return mistake == WARMUP_OF_INTEGERS        ? 0
               : mistake == WARMUP_FROM_THE_MINIMUM ? min + progress * (max - min)
                                                    : progress * max;
    }
    if (step > s->decay_steps && mistake != RISES_AGAIN)
        return min;
    const double progress = wrong_progress(s, step, mistake);
    const double half = mistake == WITHOUT_THE_HALF ? 1 : 0.5;
    const double share = mistake == STRAIGHT_DECAY ? 1 - progress : half * (1 + cos(pi * progress));
    return mistake == DOWN_TO_ZERO ? share * max : min + share * (max - min);
}

/* The formula of schedule.h, without any mistake. */
static double right_lr(const CosineSchedule *s, size_t step)
{
    const double t = (double)step, t_w = (double)s->warmup_steps, t_c = (double)s->decay_steps;
    if (t < t_w)
        return t / t_w * s->max_lr;
    if (t > t_c)
        return s->min_lr;
    return t_w == t_c ? s->max_lr
                      : s->min_lr + (1 + cos((t - t_w) / (t_c - t_w) * acos(-1))) / 2 * (s->max_lr - s->min_lr);
}

enum { MOST_STEPS = 128 };

/* Compares the rates of the first steps. */
static void compare(Trial *t, const double *yours, size_t count, const CosineSchedule *schedule)
{
    double right[MOST_STEPS];
    for (size_t i = 0; i < count; i++)
        right[i] = t->mistake ? wrong_lr(schedule, i, t->mistake) : right_lr(schedule, i);
    trial_list(t, "lr", yours, count, right, count);
}

static void by_hand(Trial *t)
{
    static const float RATES[] = {1, 0.1F};
    static const int32_t TURNS[] = {2, 6}, STEPS[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const CosineSchedule in_c = {.max_lr = 1, .min_lr = 0.1, .warmup_steps = 2, .decay_steps = 6}, *schedule = &in_c;
    double lr[8];
    trial_input(t, "max_lr, min_lr", RATES, 2);
    trial_ids(t, "warmup_steps, decay_steps", TURNS, 2);
    trial_ids(t, "step", STEPS, 8);
    for (size_t step = 0; step < 8; step++)
        TRIAL_VALUE(t, lr[step], cosine_schedule_lr(schedule, step));
    compare(t, lr, 8, schedule);
}

static void first_rates(Trial *t, size_t count, CosineSchedule schedule)
{
    double lr[MOST_STEPS];
    for (size_t step = 0; step < count; step++)
        TRIAL_VALUE(t, lr[step], cosine_schedule_lr(&schedule, step));
    compare(t, lr, count, &schedule);
}

static void course_steps(Trial *t)
{
    first_rates(t, 25, (CosineSchedule){.max_lr = 1, .min_lr = 0.1, .warmup_steps = 7, .decay_steps = 21});
}
static void down_to_nothing(Trial *t)
{
    first_rates(t, 120, (CosineSchedule){.max_lr = 6e-4, .min_lr = 0, .warmup_steps = 10, .decay_steps = 110});
}
static void warmup_alone(Trial *t)
{
    first_rates(t, 5, (CosineSchedule){.max_lr = 3e-4, .min_lr = 3e-5, .warmup_steps = 5, .decay_steps = 50});
}
static void no_warmup(Trial *t)
{
    first_rates(t, 6, (CosineSchedule){.max_lr = 1, .min_lr = 0.1, .warmup_steps = 0, .decay_steps = 6});
}
static void no_decay(Trial *t)
{
    first_rates(t, 6, (CosineSchedule){.max_lr = 1, .min_lr = 0.1, .warmup_steps = 3, .decay_steps = 3});
}

static const Case CASES[] = {
    CASE("steps 0 to 7 with T_w = 2 and T_c = 6", by_hand),
    CASE("steps 0 to 24 with T_w = 7 and T_c = 21", course_steps),
    CASE("a minimum of 0", down_to_nothing),
    CASE("the warm-up alone", warmup_alone),
    CASE("no warm-up: T_w = 0", no_warmup),
    CASE("no decay: T_w = T_c", no_decay),
    {0},
};

const Exercise exercise_schedule = {"schedule", .rtol = 1e-7, .atol = 1e-14, .cases = CASES, .mistakes = MISTAKES};

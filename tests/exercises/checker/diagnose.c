#include "tests/exercises/checker/diagnose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEPARATION = 100, /* tolerances between any two answers */
    /* The evidence that a diagnosis needs: numbers of its own, see telling_numbers(). Where a mistake explains all that
     * is wrong, one number is enough. */
    EVIDENCE = 3,               /* when other cases are wrong for another reason */
    EVIDENCE_CONTRADICTED = 12, /* when the numbers of another case should be the mistake's, too, and are not */
};

Tolerance tolerance_of(const Exercise *exercise, const Case *c)
{
    const double factor = c->loosely > 0 ? c->loosely : 1;
    return (Tolerance){.rtol = factor * exercise->rtol, .atol = factor * exercise->atol};
}

/* |a - b| in tolerances. */
static double distance(double a, double b, Tolerance tolerance)
{
    if (a == b || (isnan(a) && isnan(b) && trial_is_unwritten(a) == trial_is_unwritten(b)))
        return 0;
    if (!isfinite(a) || !isfinite(b))
        return INFINITY;
    return fabs(a - b) / (tolerance.atol + tolerance.rtol * fabs(b));
}

Difference compare_numbers(const double *numbers, const double *answer, size_t count, Tolerance tolerance)
{
    Difference d = {0};
    for (size_t i = 0; i < count; i++) {
        const double here = distance(numbers[i], answer[i], tolerance);
        if (here <= 1)
            continue;
        if (d.wrong++ == 0)
            d.first = i;
        if (here > d.distance) {
            d.distance = here;
            d.worst = i;
        }
    }
    return d;
}

Difference compare_array(const TrialArray *array, const RunArray *yours, Tolerance tolerance)
{
    const size_t shorter = array->count < yours->count ? array->count : yours->count;
    Difference d = compare_numbers(yours->numbers, array->answer, shorter, tolerance);
    if (array->count != yours->count) {
        if (d.wrong == 0)
            d.first = d.worst = shorter;
        d.wrong += array->count > yours->count ? array->count - shorter : yours->count - shorter;
        d.distance = INFINITY;
    }
    return d;
}

Trial *make_answer(const Case *c, int mistake)
{
    Trial *t = calloc(1, sizeof *t);
    if (!t) {
        fputs("checker: no memory for a trial\n", stderr);
        exit(2);
    }
    t->mistake = mistake;
    c->run(t);
    return t;
}

void free_answer(Trial *t)
{
    trial_deinit(t);
    free(t);
}

/* True if all numbers of the run are those of the mistake. How many these are is added to `numbers` if it is not NULL.
 * A call that must fail, and did not, has no numbers, and is wrong. */
static bool has_numbers_of(const Exercise *exercise, const Case *c, const Run *run, int mistake, size_t *numbers)
{
    Trial *t = make_answer(c, mistake);
    size_t count = 0;
    bool agrees = !t->fails;
    for (size_t i = 0; agrees && i < t->array_count; i++)
        if (t->arrays[i].answer) {
            agrees = compare_array(&t->arrays[i], &run->arrays[i], tolerance_of(exercise, c)).wrong == 0;
            count += t->arrays[i].count;
        }
    free_answer(t);
    if (numbers && agrees)
        *numbers += count;
    return agrees;
}

/* The farthest that two answers are apart in a case, in tolerances. */
static double answers_apart(const Exercise *exercise, const Case *c, int a, int b)
{
    Trial *left = make_answer(c, a), *right = make_answer(c, b);
    double apart = left->array_count == right->array_count ? 0 : INFINITY;
    for (size_t i = 0; !(apart > 0) && i < left->array_count; i++)
        if (left->arrays[i].count != right->arrays[i].count)
            apart = INFINITY;
    for (size_t i = 0; i < left->array_count && i < right->array_count; i++)
        if (apart < INFINITY && left->arrays[i].answer)
            apart = fmax(apart, compare_numbers(left->arrays[i].answer, right->arrays[i].answer, left->arrays[i].count,
                                                tolerance_of(exercise, c))
                                    .distance);
    free_answer(left);
    free_answer(right);
    return apart;
}

/* How many numbers of a mistake tell it from the right answer and from other mistakes. Zeros, NaN and infinities come
 * of many mistakes, and repetitions of a number say no more than the number. */
static size_t telling_numbers(const Exercise *exercise, const Case *c, int mistake)
{
    Trial *wrong = make_answer(c, mistake), *right = make_answer(c, 0);
    size_t telling = 0;
    for (size_t i = 0; i < wrong->array_count && i < right->array_count; i++) {
        const TrialArray *a = &wrong->arrays[i], *b = &right->arrays[i];
        double last = 0;
        for (size_t k = 0; a->answer && b->answer && k < a->count; k++) {
            const double x = a->answer[k];
            if (x == 0 || !isfinite(x) || x == last)
                continue;
            if (k < b->count && distance(x, b->answer[k], tolerance_of(exercise, c)) <= 1)
                continue;
            telling++;
            last = x;
        }
    }
    free_answer(wrong);
    free_answer(right);
    return telling;
}

/* What became of a case, for recognise(). */
typedef enum {
    NOT_COMPARED, /* it is optional, or failed as it must */
    UNFINISHED,   /* it crashed or returned an error, so there are no numbers */
    RIGHT,
    WRONG,
    EXPLAINED, /* by a mistake that was found before */
} Verdict;

/* How far one mistake explains the wrong cases. */
static Diagnosis explained_by(const Exercise *exercise, const Run *runs, const Mistake *mistake,
                              const Verdict *verdicts)
{
    Diagnosis d = {.mistake = mistake};
    bool unfinished = false;
    size_t telling = 0, contradictions = 0;
    for (size_t i = 0; exercise->cases[i].what; i++) {
        const Case *c = &exercise->cases[i];
        unfinished = unfinished || verdicts[i] == UNFINISHED;
        if (verdicts[i] != RIGHT && verdicts[i] != WRONG)
            continue;
        const bool agrees =
            has_numbers_of(exercise, c, &runs[i], mistake->id, verdicts[i] == WRONG ? &d.numbers : NULL);
        if (verdicts[i] == RIGHT && !agrees)
            return (Diagnosis){0}; /* the learner does not make this mistake here */
        if (verdicts[i] == WRONG && agrees) {
            d.cases++;
            d.explained |= UINT32_C(1) << i;
            telling += telling_numbers(exercise, c, mistake->id);
        } else if (verdicts[i] == WRONG) {
            d.left++;
            contradictions += answers_apart(exercise, c, 0, mistake->id) > 1;
        }
    }
    /* More cases must speak for a mistake than against it. */
    if (contradictions >= d.cases ||
        ((d.left || unfinished) && telling < (contradictions ? EVIDENCE_CONTRADICTED : EVIDENCE)))
        return (Diagnosis){0}; /* a coincidence, as in a case whose results are all zeros */
    return d;
}

static Verdict verdict_on(const Exercise *exercise, const Case *c, const Run *run)
{
    if (c->optional)
        return NOT_COMPARED;
    if (run->end == RUN_FINISHED)
        return has_numbers_of(exercise, c, run, 0, NULL) ? RIGHT : WRONG;
    Trial *t = make_answer(c, 0);
    const bool fails = t->fails;
    free_answer(t);
    return fails && run->end == RUN_REFUSED ? NOT_COMPARED : UNFINISHED;
}

size_t recognise(Diagnosis *diagnoses, size_t most, const Exercise *exercise, const Run *runs)
{
    Verdict verdicts[EXERCISE_CASES] = {NOT_COMPARED};
    for (size_t i = 0; exercise->cases[i].what; i++)
        verdicts[i] = verdict_on(exercise, &exercise->cases[i], &runs[i]);
    for (size_t found = 0; found < most; found++) {
        Diagnosis best = {0};
        for (const Mistake *m = exercise->mistakes; m->id; m++) {
            const Diagnosis d = explained_by(exercise, runs, m, verdicts);
            if (d.cases > best.cases)
                best = d;
            else if (d.cases && d.explained == best.explained && !best.other)
                best.other = m;
        }
        if (best.cases == 0)
            return found;
        diagnoses[found] = best;
        for (size_t i = 0; exercise->cases[i].what; i++)
            if (best.explained & UINT32_C(1) << i)
                verdicts[i] = EXPLAINED;
    }
    return most;
}

/* ---- what wrong numbers have in common ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* True if both arrays hold the same numbers, in any order. */
static bool same_numbers(const double *a, const double *b, size_t count, Tolerance tolerance)
{
    double *sorted = malloc(2 * count * sizeof *sorted);
    if (!sorted)
        return false;
    memcpy(sorted, a, count * sizeof *a);
    memcpy(sorted + count, b, count * sizeof *b);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    qsort(sorted + count, count, sizeof *sorted, compare_doubles);
    const bool same = compare_numbers(sorted, sorted + count, count, tolerance).wrong == 0;
    free(sorted);
    return same;
}

/* True if yours = factor * right + shift for all numbers. */
static bool is_linear(const double *yours, const double *right, size_t count, double factor, double shift,
                      Tolerance tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(distance(yours[i], factor * right[i] + shift, tolerance) <= 1))
            return false;
    return true;
}

static size_t count_if(int (*test)(double), const double *numbers, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += test(numbers[i]) != 0;
    return found;
}
static int is_nan(double x)
{
    return isnan(x);
}
static int is_infinite(double x)
{
    return isinf(x);
}
static int is_zero(double x)
{
    return x == 0;
}

bool describe_numbers(char *text, size_t size, const TrialArray *array, const RunArray *yours, Tolerance tolerance)
{
    const double *numbers = yours->numbers, *right = array->answer;
    const size_t count = array->count;
    const char *name = array->name;
    if (yours->count != count) {
        snprintf(text, size, "%s has %zu numbers, right are %zu", name, yours->count, count);
        return !array->text;
    }
    if (compare_array(array, yours, tolerance).wrong == 0 || array->text)
        return false;
    const size_t nans = count_if(is_nan, numbers, count), infinities = count_if(is_infinite, numbers, count);
    size_t largest = 0;
    for (size_t i = 0; i < count; i++)
        if (fabs(right[i]) > fabs(right[largest]))
            largest = i;
    const double factor = right[largest] != 0 ? numbers[largest] / right[largest] : 0;
    const double pattern = 1e30; /* a local variable that was never assigned holds at least this: see exercises.mk */
    if (yours->unwritten == count)
        snprintf(text, size, "nothing was written to %s", name);
    else if (yours->unwritten)
        snprintf(text, size, "%zu of %zu numbers of %s were never written", yours->unwritten, count, name);
    else if (nans)
        snprintf(text, size, "%zu of %zu numbers of %s are nan", nans, count, name);
    else if (infinities > count_if(is_infinite, right, count))
        snprintf(text, size, "%zu of %zu numbers of %s are infinite", infinities, count, name);
    else if (count > 1 && count_if(is_zero, numbers, count) == count)
        snprintf(text, size, "all numbers of %s are 0", name);
    else if (right[largest] != 0 && (fabs(factor) > pattern || (factor != 0 && fabs(factor) < 1 / pattern)))
        snprintf(text, size, "numbers of %s are %.5g times the right ones: is a variable used before it is assigned?",
                 name, factor);
    else if (count > 1 && is_linear(numbers, right, count, factor, 0, tolerance))
        snprintf(text, size, "all numbers of %s are %.5g times the right ones", name, factor);
    else if (count > 1 && is_linear(numbers, right, count, 1, numbers[0] - right[0], tolerance))
        snprintf(text, size, "all numbers of %s are the right ones plus %.5g", name, numbers[0] - right[0]);
    else if (count > 1 && same_numbers(numbers, right, count, tolerance))
        snprintf(text, size, "%s holds the right numbers, but in other places", name);
    else
        return false;
    return true;
}

/* ---- the checker's own test ---- */

bool separation_holds(const Exercise *exercise)
{
    static const Mistake THE_ANSWER = {0, "right", "the answer"};
    bool holds = true;
    for (const Mistake *b = exercise->mistakes; b->id; b++)
        for (const Mistake *a = &THE_ANSWER; a != b; a = a == &THE_ANSWER ? exercise->mistakes : a + 1) {
            double apart = 0;
            for (const Case *c = exercise->cases; c->what; c++)
                if (!c->optional)
                    apart = fmax(apart, answers_apart(exercise, c, a->id, b->id));
            if (apart >= SEPARATION)
                continue;
            printf("%s: %s and %s differ by %.3g tolerances only, expected at least %d\n", exercise->id, a->name,
                   b->name, apart, SEPARATION);
            holds = false;
        }
    return holds;
}

/**
 * @file
 * @brief Compares a learner's numbers with the right answer and with the answers of known mistakes.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_DIAGNOSE_H
#define CS336_TESTS_EXERCISES_CHECKER_DIAGNOSE_H

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/run.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief How an array compares with its answer. */
typedef struct {
    size_t wrong;        /**< numbers that differ by more than the tolerance */
    size_t first, worst; /**< indices of the first of them, and of the farthest */
    double distance;     /**< of the farthest, in tolerances; INFINITY if one of the two is not finite */
} Difference;

/** @brief |yours - right| <= atol + rtol |right| */
typedef struct {
    double rtol, atol;
} Tolerance;

/** @brief Returns the tolerance of an exercise in one of its cases. */
Tolerance tolerance_of(const Exercise *exercise, const Case *c);

/** @brief Compares @p count numbers. NaN equals NaN unless only one of the two was never written, and an infinity
 * equals itself. */
Difference compare_numbers(const double *numbers, const double *answer, size_t count, Tolerance tolerance);

/** @brief Compares what became of an array with its answer. Two lists of different lengths differ infinitely. */
Difference compare_array(const TrialArray *array, const RunArray *yours, Tolerance tolerance);

/** @brief Makes the trial of a case with the answer of @p mistake, 0 for the right one. Free it with free_answer(). */
Trial *make_answer(const Case *c, int mistake);
void free_answer(Trial *t);

/** @brief A mistake, and how far it explains the wrong numbers. */
typedef struct {
    const Mistake *mistake;
    const Mistake *other; /**< another one that explains the same cases, when the case that would tell them apart
                           * crashed or has yet another mistake; NULL: there is none */
    size_t cases;         /**< wrong cases whose numbers are all those of the mistake */
    uint32_t explained;   /**< which: bit i is set for case i */
    size_t numbers;       /**< in these cases */
    size_t left;          /**< wrong cases that neither this diagnosis nor one before it explains */
} Diagnosis;

/**
 * @brief Finds the mistakes that explain the wrong cases. In the cases that are right, a mistake's numbers must be
 * right. If a mistake leaves wrong cases unexplained, more of its numbers must be found: a few zeros or NaN are a
 * coincidence, and a wrong diagnosis is worse than none.
 * @param[out] diagnoses  room for @p most; the first explains most cases, each other one most of those that are left
 * @param[in]  runs       one for each case
 * @return how many were found
 */
size_t recognise(Diagnosis *diagnoses, size_t most, const Exercise *exercise, const Run *runs);

/** @brief Says in one line what the wrong numbers of an array have in common; false if nothing. */
bool describe_numbers(char *text, size_t size, const TrialArray *array, const RunArray *yours, Tolerance tolerance);

/**
 * @brief Proves that no two answers of the exercise can be confused: in some case, any two of them, the right one
 * included, differ by at least 100 tolerances. Prints those that do not. @return true if there are none
 */
bool separation_holds(const Exercise *exercise);

#endif

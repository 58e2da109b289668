/**
 * @file
 * @brief What the checker knows of an exercise: cases to try, and mistakes that people make.
 *
 * Each exercise has one Exercise, named exercise_ID, in cases/. A mistake is a double-precision variant of the answer.
 * If all numbers of a learner are those of one mistake, in every case, the checker says which one it is.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_EXERCISE_H
#define CS336_TESTS_EXERCISES_CHECKER_EXERCISE_H

#include "tests/exercises/checker/trial.h"

enum { EXERCISE_CASES = 32 /* cases of an exercise, and the end of the list */ };

typedef struct {
    const char *what; /**< what this case tries: "scores of a thousand" */
    void (*run)(Trial *t);
    bool optional;  /**< only a backward pass reads this result: the exercise is passed without it */
    double loosely; /**< the exercise's tolerances are multiplied by it, for finite differences; 0: by 1 */
} Case;

/** @brief A case that has to be right, and exactly. */
#define CASE(text, function)              \
    {                                     \
        .what = (text), .run = (function) \
    }

typedef struct {
    int id; /**< Trial.mistake; not 0 */
    const char
        *name; /**< of the wrong solution wrong/EXERCISE/NAME.patch, from which the tests of the checker make it */
    const char *text; /**< completes "all numbers are those of ..." */
} Mistake;

typedef struct {
    const char *id;          /**< as in exercises.tsv */
    double rtol, atol;       /**< |yours - right| <= atol + rtol |right| */
    const Case *cases;       /**< the first is the case by hand; `what` NULL ends them */
    const Mistake *mistakes; /**< `id` 0 ends them */
    const char *unit;        /**< of the results: "bytes"; NULL: "numbers" */
} Exercise;

#define EXERCISES(X) \
    X(pretokenizer) \
    X(train_bpe) \
    X(tokenizer) \
    X(linear) \
    X(linear_backward) \
    X(embedding) \
    X(embedding_backward) \
    X(rmsnorm) \
    X(rmsnorm_backward) \
    X(softmax) \
    X(softmax_backward) \
    X(log_sum_exp) \
    X(log_sum_exp_backward) \
    X(cross_entropy) \
    X(cross_entropy_backward) \
    X(silu) \
    X(silu_backward) \
    X(feed_forward) \
    X(feed_forward_backward) \
    X(rope) \
    X(rope_backward) \
    X(sdpa) \
    X(sdpa_backward) \
    X(mha) \
    X(mha_backward) \
    X(transformer_block) \
    X(transformer_block_backward) \
    X(transformer_lm) \
    X(transformer_lm_loss) \
    X(sgd) \
    X(adamw) \
    X(schedule) \
    X(clipping) \
    X(get_batch) \
    X(checkpointing) \
    X(training_together) \
    X(decoding)

#define DECLARE_EXERCISE(id) extern const Exercise exercise_##id;
EXERCISES(DECLARE_EXERCISE)
#undef DECLARE_EXERCISE

#endif

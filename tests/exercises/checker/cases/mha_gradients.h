/**
 * @file
 * @brief The gradients of multi-head self-attention in double precision: by central differences of the reference, and
 * by the chain rule with a mistake.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_CASES_MHA_GRADIENTS_H
#define CS336_TESTS_EXERCISES_CHECKER_CASES_MHA_GRADIENTS_H

#include "tests/exercises/checker/cases/mha_parts.h"

/** @brief Mistakes of the backward pass; their texts are in mha_backward.c. */
typedef enum {
    BACKWARD_GRAD_X_OF_THE_VALUE_ONLY = 1,
    BACKWARD_GRAD_X_WITHOUT_THE_KEY,
    BACKWARD_GRAD_X_ADDED,
    BACKWARD_NOT_ROTATED_BACK,
    BACKWARD_ROTATED_FORWARDS,
    BACKWARD_KEY_NOT_ROTATED_BACK,
    BACKWARD_VALUE_ROTATED_BACK,
    BACKWARD_POSITIONS_IGNORED,
    BACKWARD_SEES_THE_FUTURE,
    BACKWARD_OUTPUT_PROJ_OF_THE_VALUE,
    BACKWARD_WITHOUT_OUTPUT_PROJ,
    BACKWARD_WEIGHTS_OVERWRITTEN,
} MhaBackwardMistake;

/** @brief What the gradients are computed from, and where they are written. */
typedef struct {
    const double *grad_y, *x, *weights[PROJECTIONS];
    double *grad_x, *grad_weights[PROJECTIONS];
    MhaSaved saved;
} MhaGradients;

/** @brief Adds all gradients to what a->grad_x and a->grad_weights hold, with an MhaBackwardMistake. */
void mha_wrong_gradients(Trial *t, const MhaGradients *a, const MhaProblem *p, int mistake);

/** @brief Computes the right gradients: those of the weights are added to, grad_x is overwritten. */
void mha_central_differences(Trial *t, const MhaGradients *a, const MhaProblem *p);

#endif

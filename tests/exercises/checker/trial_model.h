/**
 * @file
 * @brief A model, or one layer of it, whose weights are arrays of a trial.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_TRIAL_MODEL_H
#define CS336_TESTS_EXERCISES_CHECKER_TRIAL_MODEL_H

#include "tests/exercises/checker/plain_model.h"
#include "tests/exercises/checker/trial.h"

typedef struct {
    TransformerLM lm, grad;           /**< views of the arrays; a layer alone is lm.layers[0] */
    const char *names[MODEL_WEIGHTS]; /**< such as "layers[0].attn.q_proj"; NULL where the model has no such weight */
    Tensor values[MODEL_WEIGHTS];
    Tensor grads[MODEL_WEIGHTS];               /**< data NULL where trial_gradients() was not called */
    bool shown[MODEL_WEIGHTS];                 /**< the value is an array of the trial */
    bool compared[MODEL_WEIGHTS];              /**< the gradient is an array of the trial */
    double *weights[MODEL_WEIGHTS];            /**< what the values are before the call, for plain_model.h */
    TransformerBlock layers[2 * MODEL_LAYERS]; /**< those of lm and of grad */
} TrialModel;

/**
 * @brief Makes the arrays of a whole model.
 * @param[in] role     TRIAL_INPUT, or TRIAL_CHANGED if the call trains the model
 * @param[in] numbers  the numbers of each weight, in the order of plain_model.h; NULL: random ones. A weight without
 *                     numbers is zero, and is not shown
 */
TrialModel *trial_model(Trial *t, const TransformerLMConfig *config, TrialRole role, const float *const *numbers);

/** @brief Makes the arrays of one layer only, called "attn.q_proj" and so on. @param[in] numbers  in plain_layers.h's
 * order */
TrialModel *trial_layer(Trial *t, const TransformerLMConfig *config, const float *const *numbers);

/** @name For cases by hand
 * @{
 */
/** A layer for a single token, which attends to itself: MHA(u) = 0.5 u. FFN(u) = -u, because silu(a) - silu(-a) = a. */
TrialModel *trial_toy_layer(Trial *t);

/** A model of three tokens whose layer has zeros only, so it passes x on: logits = lm_head(norm(embeddings)).
 * @param[in] head  (3, 2) */
TrialModel *trial_toy_model(Trial *t, TrialRole role, const float *head);
/** @} */

/** @brief Returns the sizes of a small model with RoPE: vocabulary 7, context 12, d_model 8, 2 heads, d_ff 12. */
TransformerLMConfig trial_small_config(NormPlacement norm, size_t num_layers);

/** @brief Returns the sizes of the model in the course's tests, but for the vocabulary: 100 in place of 10000, which
 * says nothing more. */
TransformerLMConfig trial_course_config(void);

typedef enum {
    GRADIENTS_RANDOM, /**< random numbers, to which the function adds */
    GRADIENTS_ZERO,   /**< zeros */
    GRADIENTS_HIDDEN, /**< zeros, which are neither shown nor compared */
} TrialGradients;

/** @brief Makes a gradient called "grad attn.q_proj" for each weight. Those of weights that are not shown are hidden.
 */
void trial_gradients(Trial *t, TrialModel *m, TrialGradients gradients);

/**
 * @brief Returns room for the answer: one array for each gradient, which begins as the gradients are before the call.
 * NULL where the gradient is not compared.
 */
double **trial_gradient_answers(Trial *t, const TrialModel *m);

#endif

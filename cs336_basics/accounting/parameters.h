/**
 * @file
 * @brief The number of parameters in each part of a model (handout section 3.5, problem transformer_accounting, part
 * a).
 */
#ifndef CS336_ACCOUNTING_PARAMETERS_H
#define CS336_ACCOUNTING_PARAMETERS_H

#include "core/api.h"
#include "nn/transformer_lm.h"

CS336_API_BEGIN

/**
 * @brief Numbers of parameters, summed over all layers. They are double because the largest sizes that a model may have
 * make more parameters than a size_t counts; numbers below 2^53 (9e15) are exact.
 */
typedef struct {
    double token_embeddings; /**< V d */
    double attention;        /**< 4 d^2 per layer: query, key, value and output projection */
    double feed_forward;     /**< 3 d d_ff per layer; 2 d d_ff without W3 */
    double norms;            /**< 2 d per layer, and d after the last; 0 without norms */
    double lm_head;          /**< V d; 0 if tied to the embeddings */
    double total;            /**< sum of the parts above */
} AccountParameters;

/** @brief Counts the parameters of a model with this configuration. No memory is allocated. */
AccountParameters account_parameters(const TransformerLMConfig *config);

CS336_API_END

#endif

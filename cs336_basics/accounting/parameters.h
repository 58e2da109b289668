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

/** @brief Numbers of parameters, summed over all layers. */
typedef struct {
    size_t token_embeddings; /**< V d */
    size_t attention;        /**< 4 d^2 per layer: query, key, value and output projection */
    size_t feed_forward;     /**< 3 d d_ff per layer; 2 d d_ff without W3 */
    size_t norms;            /**< 2 d per layer, and d after the last; 0 without norms */
    size_t lm_head;          /**< V d */
    size_t total;            /**< sum of the parts above */
} AccountParameters;

/** @brief Counts the parameters of a model with this configuration. No memory is allocated. */
AccountParameters account_parameters(const TransformerLMConfig *config);

CS336_API_END

#endif

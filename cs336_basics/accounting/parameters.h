/**
 * @file
 * @brief Where the parameters of a model are (handout section 3.5, problem transformer_accounting, part a).
 */
#ifndef CS336_ACCOUNTING_PARAMETERS_H
#define CS336_ACCOUNTING_PARAMETERS_H

#include "nn/transformer_lm.h"

/** @brief Numbers of parameters; those of layers are summed over all layers. */
typedef struct {
    size_t token_embeddings; /**< V d */
    size_t attention;        /**< 4 d^2 a layer: query, key, value, output */
    size_t feed_forward;     /**< 3 d d_ff a layer, 2 d d_ff without a gate */
    size_t norms;            /**< 2 d a layer and d at the end; 0 without norms */
    size_t lm_head;          /**< V d */
    size_t total;
} AccountParameters;

/** @brief Counts the parameters of a model of this configuration, by arithmetic alone. */
AccountParameters account_parameters(const TransformerLMConfig *config);

#endif

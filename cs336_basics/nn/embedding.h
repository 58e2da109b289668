/**
 * @file
 * @brief Token embeddings: rows of a table (handout section 3.3.3, problem embedding).
 */
#ifndef CS336_NN_EMBEDDING_H
#define CS336_NN_EMBEDDING_H

#include "core/status.h"
#include "core/tensor.h"

/** @brief Parameters of one table; a second one of the same type holds their gradients. */
typedef struct {
    Tensor weight; /**< (vocab_size, d_model) */
} Embedding;

/**
 * @brief Looks up one row for each id.
 * @param[out] y          (..., d_model), overwritten
 * @param[in]  ids        (...), each below vocab_size
 * @param[in]  embedding  weight (vocab_size, d_model)
 * @retval CS336_ESHAPE  leading dimensions or d_model differ
 * @retval CS336_ERANGE  an id is not below vocab_size; the message names it and its place
 */
CS336_MUST_CHECK Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding);

/** @brief Adds each row of grad_y to the row of grad->weight (vocab_size, d_model) that its id names. */
CS336_MUST_CHECK Status embedding_backward(Embedding *grad, Tensor grad_y, TokenTensor ids);

#endif

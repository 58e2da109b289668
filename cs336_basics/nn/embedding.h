/**
 * @file
 * @brief Token embeddings: rows of a table (handout section 3.3.3, problem embedding).
 */
#ifndef CS336_NN_EMBEDDING_H
#define CS336_NN_EMBEDDING_H

#include "core/api.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/** @brief Parameters; a second one of the same type holds their gradients. */
typedef struct {
    Tensor weight; /**< (vocab_size, d_model) */
} Embedding;

/**
 * @brief Copies one row of the table for each id.
 * @param[out] y          (..., d_model), overwritten
 * @param[in]  ids        (...), each below vocab_size
 * @param[in]  embedding  weight (vocab_size, d_model)
 * @retval CS336_ESHAPE  leading dimensions or d_model differ, or rows are not contiguous
 * @retval CS336_ERANGE  an id is not below vocab_size; the message names it and its index
 * @see Problem embedding; test_embedding
 */
CS336_MUST_CHECK Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding);

/**
 * @brief Computes the gradient of embedding_forward(): adds each row of grad_y to the row of the table that its id
 * names.
 * @param[in,out] grad    grad->weight (vocab_size, d_model), added to
 * @param[in]     grad_y  (..., d_model)
 * @param[in]     ids     (...), as the forward pass had them
 * @retval CS336_ESHAPE, CS336_ERANGE  as embedding_forward()
 * @see test_embedding_gradients
 */
CS336_MUST_CHECK Status embedding_backward(Embedding *grad, Tensor grad_y, TokenTensor ids);

CS336_API_END

#endif

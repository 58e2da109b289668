/**
 * @file
 * @brief The memory of training with AdamW in float32 (handout section 4.3, problem adamw_accounting).
 *
 * There are two answers. The course's is an expression: every named intermediate result is kept for the backward pass.
 * This program's is measured from its own arenas. It is smaller: attention keeps no (T, T) matrix, the logits are
 * computed in chunks of rows, and gradients take memory of activations.
 */
#ifndef CS336_ACCOUNTING_MEMORY_H
#define CS336_ACCOUNTING_MEMORY_H

#include "core/api.h"
#include "nn/transformer_lm.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief Bytes of memory by purpose; P is the number of parameters. */
typedef struct {
    double parameters;      /**< 4 P */
    double gradients;       /**< 4 P */
    double optimizer_state; /**< 8 P: two moments */
    double activations;     /**< results kept for the backward pass, and scratch; grows with the batch */
    double shared;          /**< memory that activations have first and gradients later, so that both count it */
    double exchange; /**< of the exchange of gradients between ranks, of MPI and of the program; 0 in one process */
    double total;    /**< sum of the parts above, without counting `shared` twice */
} AccountMemory;

/**
 * @brief Computes the course's expression for B sequences of T tokens, with 4 bytes per number.
 *
 * The activations are 4 A bytes:
 * \f[ A = L \left( B T (8 d + 4 d_{ff}) + 2 B H T^2 \right) + B T d + 2 B T V \f]
 * | result                                                                | numbers                             |
 * |-----------------------------------------------------------------------|-------------------------------------|
 * | in a layer: two norms, q, k, v, attended values and output projection | 7 B T d; 5 B T d without norms      |
 * | scores and their softmax                                              | 2 B H T^2                           |
 * | W1 x, W3 x, SiLU and their product                                    | 4 B T d_ff; 2 B T d_ff without W3   |
 * | W2                                                                    | B T d                               |
 * | after the layers: final norm                                          | B T d; 0 without norms              |
 * | logits, and their softmax for the cross-entropy                       | 2 B T V                             |
 */
AccountMemory account_memory_expression(const TransformerLMConfig *config, size_t batch, size_t seq);

/** @brief True if the memory is below about 1e18 bytes, so that a size_t counts it when arenas are measured. */
bool account_is_measurable(const TransformerLMConfig *config, size_t batch, size_t seq);

/**
 * @brief Measures what this program takes: the arenas of parameters, gradients and moments, and a step's scratch.
 * @param[in] share  gradients share memory with activations, as in training without gradient accumulation
 *                   (trainer_shares_memory())
 *
 * The arenas are only measured, not allocated. If they are not measurable (account_is_measurable()), the result is that
 * of account_memory_expression().
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status account_memory_measured(AccountMemory *memory, const TransformerLMConfig *config, size_t batch,
                                                size_t seq, bool share);

/** @brief How ranks share a step. */
typedef struct {
    size_t count,         /**< N, how many ranks there are */
        on_host,          /**< how many of them run on the host of the rank in question */
        tokens;           /**< tokens in one forward pass of a rank: its part of the batch, or a piece of it */
    bool shard_optimizer; /**< each rank has an N-th of the moments (train/optimizer_shard.h) */
} AccountRanks;

/**
 * @brief Returns what a rank takes beside tensors and the buffers of the exchange.
 *
 * - The program, its libraries, and what MPI allocates: 13.6 MB, measured with OpenMPI 4.1 and shared memory.
 * - With more ranks than processors 3.4 MB more, also measured: mpirun does not bind such ranks to processors, and then
 *   the library hwloc loads other libraries in each of them.
 * - The part of the workspace of matrix products that this model uses: matmul_workspace_bytes().
 */
double account_rank_bytes(const TransformerLMConfig *config, const AccountRanks *ranks);

/**
 * @brief Turns the memory of a process into that of one of several ranks under mpirun, which computes the same batch:
 * the buffers of the exchange, MPI and the program come to it, and with shares of the optimizer each rank has an N-th
 * of the moments. A single rank changes nothing.
 */
void account_memory_of_rank(AccountMemory *memory, const TransformerLMConfig *config, const AccountRanks *ranks);

/** @brief Returns the largest batch whose total by the expression is at most @p bytes; 0 if no sequence fits. */
size_t account_largest_batch(const TransformerLMConfig *config, size_t seq, double bytes);

/**
 * @brief Finds the largest batch whose measured total is at most @p bytes; 0 if no sequence fits, or if one is
 * not measurable.
 * @param[in] share  as for account_memory_measured()
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as account_memory_measured()
 */
CS336_MUST_CHECK Status account_largest_batch_measured(size_t *batch, const TransformerLMConfig *config, size_t seq,
                                                       double bytes, bool share);

CS336_API_END

#endif

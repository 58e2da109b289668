/**
 * @file
 * @brief Sums the gradients of all ranks while the backward pass still computes.
 *
 * - The backward pass reports each gradient when it is final (GradientObserver.ready). A bucket whose numbers are all
 *   final begins its way at once: distributed/bucket_pipeline.h. Only the buckets that become final last, those of the
 *   token embeddings, cannot hide behind the backward pass.
 * - MPI moves bytes only while some thread is inside one of its functions. So a thread of this file asks after the
 *   transfers (polling), sleeps for a fraction of a millisecond, and asks again. It also adds the numbers. From
 *   gradient_exchange_begin() to gradient_exchange_finish() it is the only thread that calls MPI. Otherwise it sleeps.
 * - A rank that fails in a step still sends its buckets, as zeros, so that the others do not wait for ever. They learn
 *   of the failure after the step, and throw its result away.
 * - The sums do not depend on the number of threads, nor on the order in which messages arrive. They depend on the
 *   number of ranks, because float32 addition rounds.
 */
#ifndef CS336_DISTRIBUTED_GRADIENT_EXCHANGE_H
#define CS336_DISTRIBUTED_GRADIENT_EXCHANGE_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/status.h"
#include "distributed/buckets.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief The exchange of one model's gradients, with its thread and buffers. */
typedef struct GradientExchange GradientExchange;

/** @brief What a step's exchange found and took. */
typedef struct {
    double sum_of_squares; /**< of the sums of all ranks' gradients, in this rank's parts of the buckets */
    double seconds,        /**< from when the first bucket's gradients are final until the last bucket is complete */
        waited;            /**< the part of `seconds` after the backward pass, in which the step waits */
} ExchangeResult;

/**
 * @brief Allocates the buffers and starts the thread.
 * @param[out] exchange    NULL on failure
 * @param[in]  parameters  in the opposite of the order in which backward finishes their gradients; only their values
 * are used, and they must stay where they are
 * @param[in]  share       false: all ranks get all sums. true: each rank gets those of its own parts of the buckets,
 * and its other gradients stay its own (--shard-optimizer)
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status gradient_exchange_create(GradientExchange **exchange, ParameterList parameters, bool share);

/** @brief Ends the thread and frees the buffers; NULL is fine. */
void gradient_exchange_destroy(GradientExchange *exchange);

/** @brief Returns the bytes of the buffers for a model of @p numbers parameters. */
size_t gradient_exchange_bytes(size_t numbers, size_t ranks);

/** @brief Begins the exchange of a step, before its backward pass. All ranks must call it. */
void gradient_exchange_begin(GradientExchange *exchange);

/**
 * @brief Reports that the next gradient is final, from that of the last parameter to that of the first. It is
 * GradientObserver.ready.
 * @param exchange  the GradientExchange
 * @param grad      contiguous; it is overwritten by the sum of all ranks before gradient_exchange_finish() returns
 */
void gradient_exchange_ready(void *exchange, Tensor grad);

/**
 * @brief Waits until the exchange of the step is complete. Collective.
 * @param failed  true: this rank has no gradients, or not all. What it had is then undefined
 */
ExchangeResult gradient_exchange_finish(GradientExchange *exchange, bool failed);

/**
 * @brief Gives all ranks the values of the parameters that each has updated in its parts of the buckets. Collective.
 * @return the seconds that it took
 */
double gradient_exchange_gather_values(GradientExchange *exchange);

/** @brief Returns the values of the parameters as a sequence, which the exchange owns. */
const NumberSequence *gradient_exchange_values(const GradientExchange *exchange);

/** @brief Returns memory for one bucket of numbers, a buffer of the exchange. It is the caller's between two steps. */
float *gradient_exchange_bucket(const GradientExchange *exchange);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief A batch's way through the model, operation by operation: shapes, parameters, FLOPs and the size of the
 * numbers.
 *
 * trace_run() calls the library's functions one by one, in the order of nn/transformer_block.c and nn/transformer_lm.c.
 * Parameters and FLOPs are counted from the tensors of each operation, by the rules of accounting/flops.h: only matrix
 * products count, attention with all T^2 pairs.
 */
#ifndef CS336_INSPECT_TRACE_H
#define CS336_INSPECT_TRACE_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/transformer_lm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief One operation of the forward pass. */
typedef struct {
    const char *name;  /**< such as "norm ln1", "query", "rope key", "attention", "add" */
    size_t layer;      /**< the layer that it belongs to; SIZE_MAX before the first and after the last layer */
    Tensor input;      /**< shape of what it reads; data NULL */
    Tensor output;     /**< shape of what it writes; data NULL; rank 0 for the loss, which is one number */
    size_t parameters; /**< numbers of its weight */
    double flops;      /**< FLOPs of its matrix products */
    double rms;        /**< root mean square of its output; for the loss, the loss itself in nats */
} TraceStep;

/**
 * @brief Returns the number of operations of a forward pass.
 * @param[in] config     the model
 * @param[in] with_loss  true: the loss is the last one
 */
size_t trace_count(const TransformerLMConfig *config, bool with_loss);

/** @brief Returns the bytes of scratch that trace_run() takes for (@p batch, @p seq) ids. */
size_t trace_scratch(const TransformerLM *lm, size_t batch, size_t seq);

/**
 * @brief Runs the model on a batch, and measures each operation.
 * @param[out] steps    room for trace_count(), in the order of the code
 * @param[in]  lm       the model
 * @param[in]  ids      (batch, seq), seq at most context_length
 * @param[in]  targets  (batch, t) with t at most seq: the loss is the mean over the first t positions of each sequence,
 *                      as a prompt of seq tokens has seq - 1 known targets; data NULL: no loss
 * @param[in]  scratch  trace_scratch() bytes
 * @retval CS336_ESHAPE  ids or targets have another shape
 * @retval CS336_ERANGE  an id or a target is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem transformer_accounting; test_trace_measures_what_the_reference_computes,
 * test_trace_adds_up_to_the_accounting
 */
CS336_MUST_CHECK Status trace_run(TraceStep *steps, const TransformerLM *lm, TokenTensor ids, TokenTensor targets,
                                  Arena *scratch);

CS336_API_END

#endif

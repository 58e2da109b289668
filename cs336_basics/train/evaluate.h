/**
 * @file
 * @brief Measures a model on a text: the loss of every token but the first, with windows that follow one another or
 * overlap.
 *
 * Let the text have the ids t_0, t_1, ..., t_{n-1}. Nothing comes before t_0, so it is not predicted. Each other id is
 * predicted exactly once.
 * - Window k begins at position k * stride. It holds up to context_length ids, and the model predicts the id after each
 *   of them. The last window ends with t_{n-2}, and may be shorter.
 * - In window 0, all predictions count. In each later window only those count that no window before it made: the last
 *   `stride` of them, or fewer at the end of the text.
 * - So the model sees all i ids before t_i if i is at most context_length. Before a later id it sees at least
 *   context_length - stride + 1 ids and at most context_length.
 *
 * With stride = context_length the windows do not overlap. That is fast, but the first ids of a window are predicted
 * from few others. With stride = 1 each id is predicted from as many as the model can see, at the cost of a window for
 * each id.
 */
#ifndef CS336_TRAIN_EVALUATE_H
#define CS336_TRAIN_EVALUATE_H

#include "core/api.h"
#include "core/status.h"
#include "data/token_file.h"
#include "nn/transformer_lm.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief How the text is cut into windows. */
typedef struct {
    size_t stride;     /**< ids from one window to the next, at most context_length; 0: context_length */
    size_t batch_size; /**< windows that the model computes at the same time; at least 1 */
} EvaluateConfig;

/** @brief Receives the losses after each batch of windows, in the order of the text. */
typedef struct {
    /**
     * @param context  the receiver's own data
     * @param losses   (count) the loss of each id, nats
     * @param ids      (count) the ids that were predicted; the first call begins with t_1
     * @return any status but CS336_OK ends the evaluation with that status
     */
    Status (*losses)(void *context, const float *losses, const int32_t *ids, size_t count);
    void *context; /**< passed to losses */
} LossReceiver;

/**
 * @brief Returns the number of windows, of a text of at least 2 ids.
 * @param count           n, the ids of the text
 * @param context_length  the longest window
 * @param stride          1 to @p context_length
 */
size_t evaluate_windows(size_t count, size_t context_length, size_t stride);

/**
 * @brief Computes the mean loss of all ids but the first.
 * \f[ L = \frac{1}{n - 1} \sum_{i=1}^{n-1} -\log p(t_i \mid t_{s_i}, \dots, t_{i-1}) \f]
 * where \f$s_i\f$ is the first position of the window that predicts \f$t_i\f$. The perplexity is \f$e^L\f$.
 * @param[out] loss      L, in nats per token, summed in double
 * @param[in]  lm        the model
 * @param[in]  tokens    the text
 * @param[in]  config    how it is cut into windows
 * @param[in]  receiver  receives each loss; its function may be NULL
 * @retval CS336_ERANGE  fewer than 2 ids, a stride above context_length, an id that is not below the vocabulary size,
 *                       or a loss that is not finite: then the weights are not numbers
 * @retval CS336_ENOMEM  a batch does not fit the memory; the message says how much it needs
 * @retval others        from reading the file, or what the receiver returned
 * @see test_evaluate_predicts_each_token_from_its_window
 */
CS336_MUST_CHECK Status evaluate(double *loss, const TransformerLM *lm, const TokenFile *tokens,
                                 const EvaluateConfig *config, LossReceiver receiver);

CS336_API_END

#endif

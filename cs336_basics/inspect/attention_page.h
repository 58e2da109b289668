/**
 * @file
 * @brief The page of `cs336 inspect`: the attention viewer (attention_viewer.js) with a model's weights on a prompt.
 */
#ifndef CS336_INSPECT_ATTENTION_PAGE_H
#define CS336_INSPECT_ATTENTION_PAGE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/** @brief A token that may come next. */
typedef struct {
    const char *label;  /**< as token_label() writes it */
    double probability; /**< in [0, 1] */
} NextToken;

/** @brief What the page shows. It owns none of what it points to. */
typedef struct {
    const char *title;         /**< heading of the page */
    const char *const *lines;  /**< paragraphs below the heading; NULL ends them */
    const char *const *tokens; /**< (seq) labels, as token_label() writes them */
    Tensor weights;            /**< (layers, heads, seq, seq), contiguous, as attention_weights() computes them */
    const NextToken *next;     /**< (next_count), the likeliest first */
    size_t next_count;         /**< 0: the page shows none */
} AttentionPage;

/**
 * @brief Weights that a page holds at most, layers x heads x seq x seq. A browser keeps 4 bytes for each: 256 MiB.
 */
enum { ATTENTION_PAGE_MAX_WEIGHTS = 1 << 26 };

/**
 * @brief Checks that a page can hold the weights, before they are computed.
 * @retval CS336_ESHAPE  there are more than ATTENTION_PAGE_MAX_WEIGHTS; the message says how many tokens are possible
 */
CS336_MUST_CHECK Status attention_page_check(size_t layers, size_t heads, size_t seq);

/**
 * @brief Writes the page. Only the weights that the causal mask lets through are written, in millionths.
 * @retval CS336_ESHAPE  as attention_page_check()
 * @retval CS336_ERANGE  a weight or a probability is not between 0 and 1; the message names its layer and head
 * @retval CS336_EIO     the file cannot be written
 * @see test_attention_page_holds_the_weights
 */
CS336_MUST_CHECK Status attention_page_write(FileWriter *writer, const AttentionPage *content);

CS336_API_END

#endif

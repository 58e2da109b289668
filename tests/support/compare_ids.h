/**
 * @file
 * @brief A sink that compares token ids with the expected ones and does not keep them.
 */
#ifndef CS336_TESTS_SUPPORT_COMPARE_IDS_H
#define CS336_TESTS_SUPPORT_COMPARE_IDS_H

#include "core/status.h"
#include "tokenizer/buffers.h"

typedef struct {
    const TokenList *expected;
    size_t count, wrong;
    size_t first; /**< index of the first wrong id, and the id itself */
    int32_t first_id;
} IdComparison;

/** @brief The TokenSink; its context is an IdComparison. */
Status compare_ids(void *context, const int32_t *ids, size_t count);

/** @brief Asserts that all ids came and that each was right. The message names the first wrong one. */
void assert_ids_equal(const IdComparison *comparison);

#endif

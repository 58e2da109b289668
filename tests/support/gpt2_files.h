/**
 * @file
 * @brief Reads vocab.json and merges.txt as the course's tests do, without code of the library.
 */
#ifndef CS336_TESTS_SUPPORT_GPT2_FILES_H
#define CS336_TESTS_SUPPORT_GPT2_FILES_H

#include "tests/adapters.h"

typedef struct {
    ByteString *vocab; /**< by id */
    size_t vocab_size;
    MergePair *merges; /**< by rank */
    size_t merge_count;
} Gpt2Files;

/** @brief Reads both files; the test fails if it cannot. core/memory does not count the memory. */
Gpt2Files gpt2_files_read(const char *vocab_path, const char *merges_path);
void gpt2_files_free(Gpt2Files *files);

#endif

/**
 * @file
 * @brief Small BPE models for the fuzz targets: made from choices, written to files, and compared.
 */
#ifndef CS336_TESTS_FUZZ_FUZZ_MODEL_H
#define CS336_TESTS_FUZZ_FUZZ_MODEL_H

#include "tests/fuzz/fuzz.h"
#include "tokenizer/bpe_model.h"

enum { FUZZ_MOST_MERGES = 64 };

/** @brief Appends the 256 bytes as members of a JSON object: each in GPT-2's alphabet, with its value as the id. */
void fuzz_append_byte_tokens(ByteList *json);

/** @brief Adds the 256 bytes as tokens, the first ones of a model. */
void fuzz_model_add_bytes(BPEModel *model);

/**
 * @brief Adds the merge of two tokens, and the token that it makes unless the model has it. A merge that the model has,
 * or whose token has more than 4096 bytes, is left out.
 */
void fuzz_model_add_merge(BPEModel *model, int32_t left, int32_t right);

/** @brief Adds merges from choices, two bytes each: mostly of the newest tokens and of four letters. */
void fuzz_model_add_merges(BPEModel *model, FuzzInput *input, size_t count);

/** @brief Fails unless both models have the same tokens and merges. */
void fuzz_model_check_equal(const BPEModel *a, const BPEModel *b);

/**
 * @brief Encodes a text as byte-pair encoding is defined: in each pre-token, the leftmost of the pairs of the least
 * rank is merged, until no pair has a rank. Slow, and right for any ranks.
 * @param[out] ids    room for an id for each byte
 * @param[in]  model  with a token for each byte and each special token
 * @return the number of ids
 */
size_t fuzz_model_encode(int32_t *ids, const BPEModel *model, const ByteString *special, size_t special_count,
                         ByteString text);

/**
 * @brief Reads a model from two files. If they are accepted, writes it, reads it again, and fails unless both are
 * equal. @return true if they are accepted; the caller then frees the model
 */
bool fuzz_model_read(BPEModel *model, const char *vocab_path, const char *merges_path, const ByteString *special,
                     size_t special_count);

#endif

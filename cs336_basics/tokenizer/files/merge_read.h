/**
 * @file
 * @brief Adds merges to a model, one by one, as merges.txt and tokenizer.json have them: two tokens in GPT-2's
 * alphabet.
 */
#ifndef CS336_TOKENIZER_FILES_MERGE_READ_H
#define CS336_TOKENIZER_FILES_MERGE_READ_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/**
 * @brief True if a text looks like a merges.txt: its first line begins with "#version:", or each of its lines that is
 * not empty has two tokens with a blank between them. Rank files (rank_file.h) have such lines too: ask
 * rank_file_begins() first.
 */
bool merges_text_is_likely(ByteString text);

/** @brief The merges that were read so far. The model, the index and the strings are the caller's. */
typedef struct {
    BPEModel *model;         /**< has all tokens, and receives the merges */
    const TokenIndex *index; /**< of the model */
    const char *path;        /**< of the file with the merges, for messages */
    const char *array;       /**< what messages call the array of merges, as "model.merges"; NULL: they name the line */
    const char *vocabulary;  /**< where the tokens come from, for messages */
    size_t number;           /**< of the line, or of the array's element; the caller counts */
    ByteList bytes;          /**< of the two tokens, one after the other */
    int64_t *slots;          /**< hash table of pairs, with open addressing: the rank of a merge, -1: a free slot */
    size_t slot_mask;        /**< number of slots - 1, a power of two minus 1 */
} MergeReader;

/** @brief Makes room to find repeated ones among @p count merges; the caller has set the other fields.
 * @retval CS336_ENOMEM */
CS336_MUST_CHECK Status merge_read_init(MergeReader *reader, size_t count);

/**
 * @brief Adds a merge.
 * @retval CS336_EFORMAT  a text is not in the alphabet, the vocabulary lacks one of the two tokens or the one that they
 *                        join to, or the merge is repeated
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status merge_read_pair(MergeReader *reader, ByteString left, ByteString right);

/** @brief Adds the merge of a text that has two tokens with a blank between them. @retval others  as
 * merge_read_pair() */
CS336_MUST_CHECK Status merge_read_text(MergeReader *reader, ByteString text);

/** @brief Frees the memory; a zeroed reader is fine. */
void merge_read_deinit(MergeReader *reader);

CS336_INTERNAL_END

#endif

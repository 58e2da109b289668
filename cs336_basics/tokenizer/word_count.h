/**
 * @file
 * @brief Counting the distinct pre-tokens of texts, by several threads.
 *
 * - Texts are cut into pieces where a pre-token begins whatever follows and no special token is cut, so that the counts
 *   are those of the whole text, for any number of pieces and threads.
 * - Memory is proportional to the distinct pre-tokens, not to the texts.
 */
#ifndef CS336_TOKENIZER_WORD_COUNT_H
#define CS336_TOKENIZER_WORD_COUNT_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/special_tokens.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t hash;
    size_t at, length; /**< its bytes in WordTable.bytes */
    uint64_t count;    /**< occurrences; 0: a free slot */
} Word;

/** @brief Distinct pre-tokens; a zeroed one is empty and ready. */
typedef struct {
    Word *slots; /**< open addressing by hash */
    size_t slot_count, word_count;
    ByteList bytes;
} WordTable;

typedef struct {
    const SpecialTokens *special;
    int threads;            /**< at least 1 */
    size_t piece_bytes;     /**< about what a thread takes at a time; 0: a good size */
    const atomic_int *stop; /**< NULL, or becomes not 0 when counting shall end */
    void (*progress)(void *context, size_t done, size_t total); /**< NULL, or told of the bytes done, by one thread */
    void *context;
} WordCountConfig;

/**
 * @brief Adds the pre-tokens between the special tokens of each text; each text is on its own.
 * @retval CS336_ENOMEM
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status word_table_count(WordTable *words, const ByteString *texts, size_t text_count,
                                         const WordCountConfig *config);

/** @brief Adds @p count occurrences of one pre-token. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status word_table_add(WordTable *words, ByteString word, uint64_t count);

void word_table_deinit(WordTable *words);

#endif

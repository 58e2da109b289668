/**
 * @file
 * @brief Counting the distinct pre-tokens of texts and files, by several threads.
 *
 * - Threads take chunks of the texts in order. A chunk goes from the first safe cut at or after its nominal beginning
 *   to the first one at or after its nominal end, so that neighbours agree without talking: a cut is safe where a
 *   pre-token begins whatever follows and no special token is cut, which a look at the bytes around it tells. A chunk
 *   that has no safe cut belongs to the one before it, which reads on.
 * - So the counts are those of the whole text, for any number of threads and any size of chunks.
 * - Of a file only the chunks being counted are in memory: what grows is the distinct pre-tokens.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_COUNT_H
#define CS336_TOKENIZER_LEARN_WORD_COUNT_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/learn/word_table.h"
#include "tokenizer/split/special_tokens.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/** @brief A text in memory, or one that is read from a file as it is counted. */
typedef struct {
    const char *path;   /**< NULL: in memory */
    ByteString content; /**< of a file, its length only */
} WordSource;

typedef struct {
    const SpecialTokens *special;
    int threads;                                                /**< at least 1 */
    size_t chunk_bytes;                                         /**< nominal; 0: a good size */
    const atomic_int *stop;                                     /**< NULL, or becomes not 0 when counting shall end */
    void (*progress)(void *context, size_t done, size_t total); /**< NULL, or told of the bytes done, by one thread */
    void *context;
} WordCountConfig;

/**
 * @brief Counts the pre-tokens between the special tokens of each text; each text is on its own.
 * @param[out] words  empty on failure
 * @retval CS336_ENOMEM
 * @retval CS336_EIO           a file cannot be read, or not to its length
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status count_words(WordTable *words, const WordSource *sources, size_t source_count,
                                    const WordCountConfig *config);

#endif

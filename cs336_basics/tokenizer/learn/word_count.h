/**
 * @file
 * @brief Counts the words (distinct pre-tokens) of texts and files, with several threads.
 *
 * - Threads take chunks of the texts in order. A chunk goes from the first safe cut at or after its nominal beginning
 * to the first one at or after its nominal end (see cut.h). So neighbouring chunks meet without any communication. A
 *   chunk without a safe cut belongs to the one before it.
 * - The counts are those of the whole text, for any number of threads and any size of chunks.
 * - Of a file only the chunks that are being counted are in memory. What grows is the table of words.
 * - A stream can only be read in order. So threads read its chunks in turn (text_cutter.h), and count them at the same
 *   time: while one thread decompresses, the others count.
 */
#ifndef CS336_TOKENIZER_LEARN_WORD_COUNT_H
#define CS336_TOKENIZER_LEARN_WORD_COUNT_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "distributed/ranks.h"
#include "tokenizer/buffers.h"
#include "tokenizer/learn/word_table.h"
#include "tokenizer/pattern.h"
#include "tokenizer/split/special_tokens.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief A text in memory, or one that is read from a file or a stream while it is counted. */
typedef struct {
    const char *path;   /**< of a regular file; NULL: in memory, or a stream */
    ByteString content; /**< of a file, its length only; of a stream, nothing */
    TextStream stream;  /**< its read is NULL: no stream */
} WordSource;

/** @brief How to count. The caller owns what it points to. */
typedef struct {
    const SpecialTokens *special; /**< they end a pre-token and are not counted */
    PretokenPattern pattern;      /**< splits the text between them */
    int threads;                  /**< at least 1 */
    size_t chunk_bytes;           /**< nominal length of a chunk; 0: 512 KiB */
    RanksTasks *tasks;            /**< the chunks of all files, numbered on; NULL: all. Streams are counted whole */
    const atomic_int *stop;       /**< NULL, or a flag that ends the counting when it is not 0 */
    void (*progress)(void *context, size_t done,
                     size_t total); /**< NULL, or called with the bytes done, by one thread; a total of 0 is unknown */
    void *context;                  /**< passed to progress */
} WordCountConfig;

/**
 * @brief Counts the pre-tokens between the special tokens of each text. No pre-token reaches into the next text.
 * @param[out] words  empty on failure
 * @retval CS336_ENOMEM
 * @retval CS336_EIO           a file cannot be read, or is shorter than its length
 * @retval CS336_EINTERRUPTED  config->stop was set
 * @retval others              what a stream returned
 */
CS336_MUST_CHECK Status count_words(WordTable *words, const WordSource *sources, size_t source_count,
                                    const WordCountConfig *config);

CS336_INTERNAL_END

#endif

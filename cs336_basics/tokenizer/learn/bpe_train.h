/**
 * @file
 * @brief Learns a byte-level byte-pair encoding (handout sections 2.4 and 2.5, problem train_bpe).
 *
 * - Special tokens cut the text into segments and are not counted themselves. A pattern, GPT-2's unless the caller
 *   wants another, splits each segment into pre-tokens (tokenizer/split/pretokenize.h). Pairs are counted inside
 *   pre-tokens.
 * - Each merge takes the most frequent pair; of equally frequent ones, the lexicographically greater pair of byte
 *   strings. It replaces the pair from left to right without overlap. Counts are those of a full recount: "aaa" has
 *   (a, a) twice.
 * - The vocabulary is: special tokens in the given order, the 256 bytes in the order of GPT-2's alphabet, the merged
 *   tokens. A special token that is given twice gets no second entry. One that is a single byte has the entry of that
 *   byte; but a blank, a line end or another control character gets an entry of its own, as it does from Hugging Face.
 * - Learning ends at the wanted size, or when no pair is left. The result does not depend on the number of threads.
 * - Memory is at most 36 bytes for each byte of the distinct pre-tokens, and what the vocabulary and the pairs take.
 * That is little for a text with words: 40 MB of mixed text have 3.5 MB of them. A file without white space is one
 *   pre-token, and learning from it takes up to 36 times its size.
 * @see Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_TRAIN_H
#define CS336_TOKENIZER_LEARN_BPE_TRAIN_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief What bpe_train() is doing, and so the unit of its progress. */
typedef enum {
    BPE_COUNTING, /**< done and total are bytes of text; a total of 0 is unknown, because a text is a stream */
    BPE_MERGING   /**< done and total are merges; there may be fewer than the total */
} BPEPhase;

/** @brief Receives the progress. Only the thread that called bpe_train() calls it, after each merge and some chunks. */
typedef void BPEProgress(void *context, BPEPhase phase, size_t done, size_t total);

/** @brief How to learn. The texts and the flag that it points to belong to the caller. */
typedef struct {
    size_t vocab_size;                /**< at least 256 and the special tokens */
    const ByteString *special_tokens; /**< (special_count) none may be empty; they get the lowest ids, in this order */
    size_t special_count;             /**< 0: the text has no special tokens */
    PretokenPattern pattern;          /**< splits the text; the model keeps it, to be encoded with */
    int threads;                      /**< 0: as many as parallel_threads() says */
    BPEProgress *progress;            /**< NULL: no reports */
    void *progress_context;           /**< passed to progress */
    const atomic_int *stop; /**< NULL, or a flag that ends learning when it is not 0; a signal handler may set it */
} BPETrainConfig;

/** @brief The size of the corpus that was learned from. */
typedef struct {
    size_t bytes;              /**< of all texts */
    uint64_t pretokens;        /**< of all texts */
    size_t distinct_pretokens; /**< words */
} BPETrainStats;

/**
 * @brief Checks a configuration, as each of the functions below does before it reads a text.
 * @retval CS336_ERANGE  vocab_size is too small or too large, or a special token is empty
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_train_check(const BPETrainConfig *config);

/**
 * @brief Learns a vocabulary and its merges.
 * @param[out] model       empty on failure; free it with bpe_model_deinit()
 * @param[out] stats       may be NULL
 * @param[in]  texts       the corpus; no pre-token and no special token reaches from one text into the next
 * @param[in]  text_count  may be 0: the vocabulary then has no merges
 * @retval CS336_ERANGE        vocab_size is too small or too large, or a special token is empty
 * @retval CS336_ENOMEM
 * @retval CS336_EINTERRUPTED  config->stop was set
 * @see Tests test_train_bpe, test_train_bpe_speed, test_train_bpe_special_tokens
 */
CS336_MUST_CHECK Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                                  const BPETrainConfig *config);

/**
 * @brief The same as bpe_train() with files of plain text; each is a text of its own.
 * @retval CS336_EIO      a file cannot be read; the message says which
 * @retval CS336_EFORMAT  a file is compressed; bpe_train_inputs() takes it
 * @retval CS336_ERANGE, CS336_ENOMEM, CS336_EINTERRUPTED  as bpe_train()
 */
CS336_MUST_CHECK Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths,
                                        size_t path_count, const BPETrainConfig *config);

/** @brief A text of a corpus: a regular file of plain text, or a stream. */
typedef struct {
    const char *path;         /**< of the file, which all threads read at the same time; NULL: a stream */
    const TextStream *stream; /**< the caller's; NULL: a file */
} BPEText;

/**
 * @brief The same as bpe_train() with files and streams, such as files that are decompressed while they are read.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ERANGE, CS336_ENOMEM, CS336_EINTERRUPTED  as bpe_train_files(), or what a
 *         stream returned
 */
CS336_MUST_CHECK Status bpe_train_texts(BPEModel *model, BPETrainStats *stats, const BPEText *texts, size_t text_count,
                                        const BPETrainConfig *config);

CS336_API_END

#endif

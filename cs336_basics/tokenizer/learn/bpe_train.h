/**
 * @file
 * @brief Learning a byte-level byte-pair encoding (handout sections 2.4 and 2.5, problem train_bpe).
 *
 * - Special tokens cut the text into parts that nothing crosses, and are not counted; each part is cut into pre-tokens
 * by GPT-2's pattern (tokenizer/split/pretokenize.h); pairs are counted inside pre-tokens.
 * - Each step merges the most frequent pair, of equally frequent ones the lexicographically greater pair of byte
 *   strings, from left to right without overlap. Counts are those of a full recount: "aaa" holds (a, a) twice.
 * - The vocabulary is: special tokens in the given order, the 256 bytes in the order of GPT-2's alphabet, the merges. A
 *   special token that is given twice, or is a single byte, gets no second entry.
 * - Training ends at the wanted size, or when no pair is left. The result does not depend on the number of threads.
 * @see Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_TRAIN_H
#define CS336_TOKENIZER_LEARN_BPE_TRAIN_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    BPE_COUNTING, /**< done and total are bytes of text */
    BPE_MERGING   /**< done and total are merges; training may end before the total */
} BPEPhase;

/** @brief Told of the progress, often and always by the thread that called bpe_train(). */
typedef void BPEProgress(void *context, BPEPhase phase, size_t done, size_t total);

typedef struct {
    size_t vocab_size; /**< at least 256 and the special tokens */
    const ByteString *special_tokens;
    size_t special_count;
    int threads;            /**< 0: as many as parallel_threads() says */
    BPEProgress *progress;  /**< NULL: nobody is told */
    void *progress_context; /**< handed to progress */
    const atomic_int *stop; /**< NULL, or a flag (a signal handler may set it) that ends the training when not 0 */
} BPETrainConfig;

typedef struct {
    size_t bytes;              /**< of all texts */
    uint64_t pretokens;        /**< in all texts */
    size_t distinct_pretokens; /**< among them */
} BPETrainStats;

/**
 * @brief Learns a vocabulary and its merges.
 * @param[out] model       empty on failure; bpe_model_deinit() it
 * @param[out] stats       NULL: not wanted
 * @param[in]  texts       one corpus; no pre-token and no special token reaches from one text into the next
 * @param[in]  text_count  may be 0: the vocabulary then has no merges
 * @param[in]  config      what to learn
 * @retval CS336_ERANGE        vocab_size is too small or too large, or a special token is empty
 * @retval CS336_ENOMEM
 * @retval CS336_EINTERRUPTED  config->stop was set
 * @see Tests test_train_bpe, test_train_bpe_speed, test_train_bpe_special_tokens
 */
CS336_MUST_CHECK Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                                  const BPETrainConfig *config);

/**
 * @brief bpe_train() on files, each a text of its own.
 * @retval CS336_EIO  one cannot be read, the message says which
 * @retval CS336_ERANGE, CS336_ENOMEM, CS336_EINTERRUPTED  as bpe_train()
 */
CS336_MUST_CHECK Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths,
                                        size_t path_count, const BPETrainConfig *config);

#endif

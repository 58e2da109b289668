/**
 * @file
 * @brief Encoding long texts with all threads, in their order.
 *
 * - Threads take chunks that end where a pre-token surely begins and no special token is cut, so ids are those of the
 *   whole text for any number of threads.
 * - A thread keeps the ids of its chunk until all before it are written; those that are too many to keep wait
 * unencoded. So memory is bounded, whatever the text: a file is mapped, never read into memory.
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODE_FILE_H
#define CS336_TOKENIZER_ENCODE_ENCODE_FILE_H

#include "core/status.h"
#include "tokenizer/encode/encoder.h"

#include <stdatomic.h>
#include <stddef.h>

/** @brief A zeroed one uses all threads and says nothing. */
typedef struct {
    int threads;                                                /**< 0: parallel_threads() */
    size_t chunk_bytes;                                         /**< nominal; 0: a good size */
    const atomic_int *stop;                                     /**< NULL, or becomes not 0 when encoding shall end */
    void (*progress)(void *context, size_t done, size_t total); /**< NULL, or told of the bytes done, by one thread at a
                                                                   time */
    void *context;
} EncodeConfig;

/**
 * @brief Encodes a text.
 * @param sink  gets the ids in order, called by one thread at a time
 * @retval CS336_ENOMEM        or what the sink returned
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                                    const EncodeConfig *config);

/** @brief Encodes a regular file. @retval CS336_EIO  it cannot be mapped; else as encode_text() */
CS336_MUST_CHECK Status encode_file(const Tokenizer *tokenizer, const char *path, TokenSink *sink, void *context,
                                    const EncodeConfig *config);

#endif

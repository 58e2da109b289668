/**
 * @file
 * @brief Encodes long texts with several threads; ids come out in the order of the text.
 *
 * - Threads take chunks that end at safe cuts (see cut.h), so the ids are those of the whole text for any number of
 *   threads.
 * - A thread keeps the ids of its chunk until all chunks before it are written. When it has kept 262 144 ids (1 MiB),
 * it waits for its turn before it encodes more. A file is read 32 KiB at a time. So memory is bounded whatever the
 * length of the text: 46 MiB for the caches and kept ids of all threads, up to about 20 threads, beside what a very
 * long pre-token takes (encoder.h).
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODE_FILE_H
#define CS336_TOKENIZER_ENCODE_ENCODE_FILE_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"
#include "tokenizer/encode/encoder.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/**
 * @brief Which chunks of a text are encoded here, if several processes share it (encode_ranks.h). The calls for one
 * text count its turns from 0 on; each thread that is free takes the next turn.
 */
typedef struct {
    bool (*take)(void *context, size_t turn, size_t *chunk);  /**< sets the number of the chunk that is encoded in a
                                                                 turn, greater than that of the turn before; false: no
                                                                 further one of this text. Threads call it at the same
                                                                 time */
    Status (*end)(void *context, size_t chunk, size_t bytes); /**< the sink has got all ids of the chunk, which has so
                                                                 many bytes; called in the order of the turns */
    void (*failed)(void *context); /**< the thread that calls it has failed: threads that wait in take should return */
    size_t length;                 /**< of the text: another length is an error, because its chunks would be others */
} EncodeShare;

/** @brief Nominal length of a chunk: 512 KiB, a few milliseconds. They have some 130 000 ids. */
enum { ENCODE_CHUNK_BYTES = 1 << 19 };

/** @brief Zeroed, it asks for all threads and no reports. */
typedef struct {
    int threads;            /**< 0: parallel_threads() */
    size_t chunk_bytes;     /**< nominal length of a chunk; 0: ENCODE_CHUNK_BYTES */
    const atomic_int *stop; /**< NULL, or a flag that ends the encoding when it is not 0 */
    void (*progress)(void *context, size_t done,
                     size_t total); /**< NULL, or called with the bytes done, by one thread at a time; of a stream
                                       the total is 0, because it is unknown */
    void *context;                  /**< passed to progress, and to the functions of share */
    const EncodeShare *share;       /**< NULL: all chunks are encoded. encode_stream() has no use for it */
} EncodeConfig;

/**
 * @brief Encodes a text.
 * @param sink  receives the ids in order; one thread at a time calls it
 * @retval CS336_ENOMEM        or what the sink returned
 * @retval CS336_EINTERRUPTED  config->stop was set
 */
CS336_MUST_CHECK Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                                    const EncodeConfig *config);

/**
 * @brief Encodes a regular file of plain text.
 * @retval CS336_EIO      the file cannot be read, another process has cut it, or config->share says another length
 * @retval CS336_EFORMAT  it is compressed; encode_input() takes it
 * @retval others         as encode_text()
 */
CS336_MUST_CHECK Status encode_file(const Tokenizer *tokenizer, const char *path, TokenSink *sink, void *context,
                                    const EncodeConfig *config);

/**
 * @brief Encodes a stream. One thread at a time reads it.
 * @retval others  as encode_text(), or what the stream returned
 */
CS336_MUST_CHECK Status encode_stream(const Tokenizer *tokenizer, const TextStream *stream, TokenSink *sink,
                                      void *context, const EncodeConfig *config);

CS336_API_END

#endif

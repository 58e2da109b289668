/**
 * @file
 * @brief Writes a file of token ids, as cs336 encode does.
 *
 * - A name that ends in ".npy" gives NumPy's format (data/token_npy.h), which says the width of the ids.
 * - Any other file is raw (data/token_file.h), and has a sidecar beside it that says their width and vocabulary
 *   (data/token_sidecar.h).
 * - Standard output, pipes and devices get raw ids without a sidecar.
 *
 * The ids and the sidecar cannot be replaced in one step. token_writer_commit() first removes the old sidecar, then
 * renames the new ids, then the new sidecar. A kill in between leaves ids without a sidecar, which can still be read.
 */
#ifndef CS336_DATA_TOKEN_WRITER_H
#define CS336_DATA_TOKEN_WRITER_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief A file of ids that is being written. It owns both writers until token_writer_commit() or _abandon(). */
typedef struct {
    FileWriter ids,    /**< the ids */
        sidecar;       /**< their description; zeroed if there is none */
    bool npy;          /**< true if the file is an .npy file */
    size_t vocab_size, /**< every id must be below it */
        count;         /**< ids so far */
} TokenWriter;

/**
 * @brief Opens the output.
 * @param[out] writer      zeroed on failure
 * @param[in]  path        "-" is standard output
 * @param[in]  vocab_size  gives the width of the ids, and their upper bound
 * @retval CS336_EIO     as file_create(); or an .npy file that is a pipe or a device; or the sidecar would replace a
 *                       JSON file of another kind
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_writer_create(TokenWriter *writer, const char *path, size_t vocab_size);

/** @brief Appends ids. @retval CS336_ERANGE  an id is not below the vocabulary size @retval CS336_EIO */
CS336_MUST_CHECK Status token_writer_append(TokenWriter *writer, const int32_t *ids, size_t count);

/**
 * @brief token_writer_append() with the arguments of a TokenSink (tokenizer/buffers.h), so that an encoder writes to
 * the file: `encode_file(tokenizer, path, token_writer_sink, &writer, &config)`.
 * @param writer  a TokenWriter
 * @retval CS336_ERANGE, CS336_EIO  as token_writer_append()
 * @see test_an_encoder_writes_to_a_token_file
 */
CS336_MUST_CHECK Status token_writer_sink(void *writer, const int32_t *ids, size_t count);

/** @brief Writes the header or the sidecar, and gives the files their names. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status token_writer_commit(TokenWriter *writer);

/** @brief Removes the temporary files. Does nothing after token_writer_commit() or on a zeroed writer. */
void token_writer_abandon(TokenWriter *writer);

CS336_API_END

#endif

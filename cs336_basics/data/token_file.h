/**
 * @file
 * @brief Token ids as a file, mapped into memory (handout section 2.7, problem tokenizer_experiments).
 *
 * - Raw little-endian numbers without a header: uint16 up to a vocabulary of 65 536 entries, uint32 above.
 * - NumPy's .npy files of one dimension and dtype '<u2' or '<u4' are known by their first bytes.
 * - Ids are checked against the vocabulary size when they are read, so that opening a large file costs nothing.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef CS336_DATA_TOKEN_FILE_H
#define CS336_DATA_TOKEN_FILE_H

#include "core/file.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    MappedFile file;     /**< empty when the ids lie in memory */
    char *path;          /**< for messages; NULL when the ids lie in memory */
    const uint8_t *data; /**< first id */
    size_t count;        /**< number of ids */
    size_t width;        /**< bytes of an id: 2 or 4 */
    size_t vocab_size;   /**< ids must lie below */
} TokenFile;

/** @brief Bytes of an id in a raw file: 2 up to a vocabulary of 65 536 entries, else 4. */
size_t token_file_width(size_t vocab_size);

/**
 * @brief Maps a file.
 * @param[out] tokens      the ids; zeroed on failure
 * @param[in]  path        raw or .npy
 * @param[in]  vocab_size  decides the width of a raw file, and is what ids are checked against
 * @retval CS336_EIO      it cannot be read; the message names the command that makes such files
 * @retval CS336_EFORMAT  empty, no whole number of ids, or an .npy file cut short or of another kind
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_file_open(TokenFile *tokens, const char *path, size_t vocab_size);

/** @brief The same reading of ids that the caller keeps in memory; closing it is not needed. */
TokenFile token_file_view(const int32_t *ids, size_t count, size_t vocab_size);

/** @brief Unmaps the file; a zeroed one is fine. */
void token_file_close(TokenFile *tokens);

/**
 * @brief Copies ids out.
 * @param[out] ids     (count)
 * @param[in]  tokens  the file
 * @param[in]  start   position of the first id
 * @param[in]  count   how many
 * @retval CS336_ERANGE  the file ends earlier, or an id is not below the vocabulary size; the message names file,
 *                       position, id and vocabulary size
 */
CS336_MUST_CHECK Status token_file_read(int32_t *ids, const TokenFile *tokens, size_t start, size_t count);

/**
 * @brief Whether one sequence and its targets fit: at least context_length + 1 ids.
 * @retval CS336_ERANGE
 */
CS336_MUST_CHECK Status token_file_check_context(const TokenFile *tokens, size_t context_length);

/**
 * @brief Appends ids to a raw file that is being written.
 * @retval CS336_ERANGE  an id is not below the vocabulary size
 * @retval CS336_EIO     as file_write()
 */
CS336_MUST_CHECK Status token_file_write(FileWriter *writer, const int32_t *ids, size_t count, size_t vocab_size);

#endif

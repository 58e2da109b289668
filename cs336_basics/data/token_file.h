/**
 * @file
 * @brief A file of token ids (handout section 2.7, problem tokenizer_experiments).
 *
 * - A raw file holds little-endian numbers without a header: uint16 for a vocabulary of up to 65 536 entries, else
 *   uint32. FILE.json beside it says width and vocabulary (data/token_sidecar.h). Without it, a file whose first ids
 *   have the pattern of the other width is refused.
 * - NumPy's .npy files with one dimension and dtype '<u2', '<u4' or '<i4' are read too; their first bytes identify them
 *   (data/token_npy.h).
 * - The file stays open, and each call reads the ids that it asks for. They are checked against the vocabulary size
 *   then, so a large file opens at once. The kernel keeps files that were read in memory (the page cache), so reading
 *   a window of 256 ids takes less than a microsecond.
 * @see data/token_writer.h, which writes such files
 */
#ifndef CS336_DATA_TOKEN_FILE_H
#define CS336_DATA_TOKEN_FILE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Token ids that are only read: an open file, which the struct owns, or an array of the caller. */
typedef struct {
    FileReader file;       /**< closed if the ids are an array in memory */
    char *path;            /**< for messages; NULL if the ids are an array in memory */
    const uint8_t *memory; /**< first byte of the caller's array; NULL if the ids are in a file */
    size_t offset;         /**< byte of the file at which the ids begin */
    size_t count;          /**< number of ids */
    size_t width;          /**< bytes per id: 2 or 4 */
    size_t vocab_size;     /**< every id must be below it */
    size_t source_size;    /**< tokens of the vocabulary that the ids come from, as the sidecar says; 0: unknown */
} TokenFile;

/** @brief Returns the bytes per id of a raw file: 2 for a vocabulary of up to 65 536 entries, else 4. */
size_t token_file_width(size_t vocab_size);

/**
 * @brief Opens a file.
 * @param[out] tokens      the ids; zeroed on failure
 * @param[in]  path        a raw file or an .npy file
 * @param[in]  vocab_size  the ids' upper bound; it gives the width of a raw file that has no sidecar
 * @retval CS336_EIO      the file cannot be read; the message names the command that makes one
 * @retval CS336_EFORMAT  no ids, a fraction of an id at the end, an .npy file that is cut short or of another kind, a
 *                        sidecar that does not fit the file, raw ids that look like the other width, or no ids but a
 *                        text or compressed data (data/token_form.h)
 * @retval CS336_ERANGE   the sidecar says that the ids come from a vocabulary of more than @p vocab_size tokens
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_file_open(TokenFile *tokens, const char *path, size_t vocab_size);

/** @brief Opens a file like token_file_open(), but it may have no ids: an empty text has none. */
CS336_MUST_CHECK Status token_file_open_any(TokenFile *tokens, const char *path, size_t vocab_size);

/** @brief Returns a TokenFile that reads an array of the caller. Nothing is copied, and it need not be closed. */
TokenFile token_file_view(const int32_t *ids, size_t count, size_t vocab_size);

/**
 * @brief The same for an array of another type, such as a uint16 file that the caller has mapped into memory
 * (numpy.memmap).
 * @param numbers  (count) uint16, uint32 or int32
 * @param width    bytes of each: 2 or 4
 */
TokenFile token_file_view_numbers(const void *numbers, size_t count, size_t width, size_t vocab_size);

/** @brief Closes the file. A zeroed or closed TokenFile is fine. */
void token_file_close(TokenFile *tokens);

/**
 * @brief Reads and checks ids.
 * @param[out] ids     (count)
 * @param[in]  tokens  an open file
 * @param[in]  start   position of the first id
 * @param[in]  count   number of ids
 * @retval CS336_ERANGE  the file ends earlier, or an id is not below the vocabulary size; the message names the file,
 *                       the id, its position and the vocabulary size
 * @retval CS336_EIO     the file cannot be read, such as when another process has cut it since it was opened
 */
CS336_MUST_CHECK Status token_file_read(int32_t *ids, const TokenFile *tokens, size_t start, size_t count);

/**
 * @brief Reads all ids once, to check them. Otherwise a bad id would end a training hours later, when a batch first
 * contains it.
 * @retval CS336_ERANGE, CS336_EIO  as token_file_read()
 */
CS336_MUST_CHECK Status token_file_check_ids(const TokenFile *tokens);

/**
 * @brief Converts ids from the bytes of a raw file, and checks them. For streams, which have no positions to read from.
 * @param[out] ids         (count)
 * @param[in]  bytes       (count * width), little-endian
 * @param[in]  count       number of ids
 * @param[in]  width       bytes per id
 * @param[in]  vocab_size  every id must be below it
 * @param[in]  name        the stream's name, for messages
 * @param[in]  position    position of the first id in the stream, for messages
 * @retval CS336_ERANGE  an id is not below the vocabulary size
 */
CS336_MUST_CHECK Status token_ids_from_bytes(int32_t *ids, const uint8_t *bytes, size_t count, size_t width,
                                             size_t vocab_size, const char *name, size_t position);

/**
 * @brief Checks that the first bytes of a raw file or stream do not look like ids of the other width: uint32 ids read
 * as uint16 have a 0 in every second place, and uint16 ids read as uint32 are mostly beyond the vocabulary.
 * @param[in]  bytes       the first bytes; less than 256 are not looked at
 * @param[in]  length      number of bytes
 * @param[in]  width       bytes per id, as they would be read
 * @param[in]  vocab_size  of the ids
 * @param[in]  name        the stream's name, for messages
 * @retval CS336_EFORMAT  they do; the message says which width they look like
 */
CS336_MUST_CHECK Status token_ids_check_width(const uint8_t *bytes, size_t length, size_t width, size_t vocab_size,
                                              const char *name);

/**
 * @brief Checks that the file holds one sequence and its targets: at least context_length + 1 ids.
 * @retval CS336_ERANGE  there are fewer ids
 */
CS336_MUST_CHECK Status token_file_check_context(const TokenFile *tokens, size_t context_length);

/**
 * @brief Writes ids to a raw file, without a sidecar. token_writer_append() writes them with one.
 * @retval CS336_ERANGE  an id is not below the vocabulary size
 * @retval CS336_EIO     as file_write()
 */
CS336_MUST_CHECK Status token_file_write(FileWriter *writer, const int32_t *ids, size_t count, size_t vocab_size);

CS336_API_END

#endif

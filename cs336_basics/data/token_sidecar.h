/**
 * @file
 * @brief FILE.json beside a raw FILE of token ids: the width of the ids and the size of their vocabulary.
 *
 * Raw ids say neither. A reader that takes uint32 ids for uint16 would see every second id as 0 and train on that.
 * - The sidecar is one object: `{"dtype":"uint16","vocab_size":300,"tokens":141223}`. dtype is "uint16" or "uint32".
 * - It is beside the file itself, not beside a symbolic link to the file.
 * - A sidecar whose number of ids does not fit the size of FILE is an error: one of the two was replaced.
 * - A FILE.json that is no object with a dtype has nothing to do with token ids. Readers ignore it, and writers refuse
 *   to replace it.
 */
#ifndef CS336_DATA_TOKEN_SIDECAR_H
#define CS336_DATA_TOKEN_SIDECAR_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief What a sidecar says of the ids. */
typedef struct {
    bool found;     /**< false: there is no sidecar, and the other fields are 0 */
    size_t width,   /**< bytes per id: 2 or 4 */
        vocab_size, /**< number of tokens of the vocabulary that the ids come from */
        tokens;     /**< number of ids */
} TokenSidecar;

/**
 * @brief Reads the sidecar of a file of ids, if there is one, and compares it with the size of that file.
 * @param[out] sidecar  what it says
 * @param[in]  path     the file of ids
 * @param[in]  bytes    its size
 * @retval CS336_EFORMAT  the sidecar is damaged, or does not fit the size; the message says what to do
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_sidecar_read(TokenSidecar *sidecar, const char *path, size_t bytes);

/**
 * @brief Opens the sidecar of a file that is being written, and writes nothing yet.
 * @param[out] writer  the sidecar, for token_sidecar_write()
 * @param[in]  ids     the file of ids, from file_create(); it must be one that file_is_replaced()
 * @retval CS336_EIO   it cannot be written, or a file of that name is no sidecar
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_sidecar_create(FileWriter *writer, const FileWriter *ids);

/** @brief Writes the object. The caller commits. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status token_sidecar_write(FileWriter *writer, size_t width, size_t vocab_size, size_t tokens);

CS336_INTERNAL_END

#endif

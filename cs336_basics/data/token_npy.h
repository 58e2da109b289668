/**
 * @file
 * @brief Headers of NumPy's .npy files of token ids: one dimension, dtype '<u2', '<u4' or '<i4'.
 *
 * An .npy file is: the magic bytes "\x93NUMPY", major and minor version (a byte each), the length of the header (2
 * bytes in version 1, else 4), the header, then the ids. The header is a Python dictionary as text, with blanks and a
 * line feed at its end: `{'descr': '<u2', 'fortran_order': False, 'shape': (10,), }`.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef CS336_DATA_TOKEN_NPY_H
#define CS336_DATA_TOKEN_NPY_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    TOKEN_NPY_MAGIC_BYTES = 6,   /**< of the magic bytes */
    TOKEN_NPY_HEADER_BYTES = 128 /**< of all that stands before the ids in a file that we write, as NumPy writes it */
};

/** @brief True if a file that begins with these bytes is an .npy file. */
bool token_npy_begins(const uint8_t *bytes, size_t length);

/** @brief What the header says of the ids. */
typedef struct {
    size_t offset, /**< byte of the file at which the ids begin */
        count,     /**< number of ids */
        width;     /**< bytes per id: 2 or 4 */
} TokenNpy;

/**
 * @brief Reads the header of an .npy file of version 1, 2 or 3, and compares it with the size of the file.
 * @retval CS336_EFORMAT  it is cut short, or of another version, dtype or number of dimensions
 * @retval CS336_EIO
 */
CS336_MUST_CHECK Status token_npy_read(TokenNpy *npy, const FileReader *file);

/** @brief Writes the header of version 1.0 for `count` ids of `width` bytes. Its length does not depend on them. */
void token_npy_header(uint8_t header[TOKEN_NPY_HEADER_BYTES], size_t count, size_t width);

CS336_INTERNAL_END

#endif

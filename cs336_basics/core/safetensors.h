/**
 * @file
 * @brief The safetensors format: named arrays and a table of strings.
 *
 * - Layout: the header's length as a little-endian 64-bit integer, the header in JSON, then the arrays without gaps.
 * - safetensors_open() checks types, shapes and offsets of the header against the file, so that no entry points
 *   outside the file. The header stays in memory; arrays are read from the file when they are asked for.
 * - Writing replaces the file in one step (core/file.h). The same contents give the same bytes.
 * @see https://github.com/huggingface/safetensors, section Format
 */
#ifndef CS336_CORE_SAFETENSORS_H
#define CS336_CORE_SAFETENSORS_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "core/tensor.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief The element type of an array: unsigned (U), signed (I) or floating-point (F), with its number of bits. */
typedef enum {
    SAFETENSORS_BOOL, /**< one byte, 0 or 1 */
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_U16,
    SAFETENSORS_I16,
    SAFETENSORS_F16,  /**< IEEE half precision: 5 bits of exponent, 10 of fraction */
    SAFETENSORS_BF16, /**< bfloat16, the upper half of a float32: 8 bits of exponent, 7 of fraction */
    SAFETENSORS_U32,
    SAFETENSORS_I32,
    SAFETENSORS_F32,
    SAFETENSORS_U64,
    SAFETENSORS_I64,
    SAFETENSORS_F64
} SafetensorsType;

/** @brief An array of a file that is open or to be written. */
typedef struct {
    const char *name;              /**< unique in the file; in an open file, the file owns it */
    SafetensorsType type;          /**< of the elements; the model's weights are SAFETENSORS_F32 */
    int rank;                      /**< 0 to TENSOR_MAX_RANK */
    size_t shape[TENSOR_MAX_RANK]; /**< extents, outermost first; the first rank are in use */
    const void *data;              /**< of an array to be written: row-major, little-endian. NULL in an open file */
    size_t offset; /**< in an open file: the byte of the file at which the array begins. Ignored in writing */
} SafetensorsEntry;

/** @brief An entry of the file's metadata, which is a table of strings. */
typedef struct {
    const char *key, /**< unique in the file */
        *value;      /**< any UTF-8 text; both end in a zero byte */
} SafetensorsText;

/** @brief An open file. It owns all that its entries point to. */
typedef struct {
    FileReader file;           /**< open, so that arrays can be read; a file that replaces it later changes nothing */
    char *path;                /**< for messages */
    void *header;              /**< json_t, the parsed header; it owns the names and the metadata */
    SafetensorsEntry *entries; /**< in the order of their data in the file */
    const SafetensorsEntry **by_name; /**< (count) the same entries in the order of their names, to search in */
    size_t count;                     /**< number of entries */
} SafetensorsFile;

/**
 * @brief Opens a file, reads its header and checks it.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  the file is of another kind (core/weight_form.h), it is cut short, its header is not JSON, a
 *                        type is unknown, an array has more than 8 dimensions, the shape does not fit the number of
 *                        bytes, or the arrays overlap or leave gaps
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status safetensors_open(SafetensorsFile *file, const char *path);

/** @brief Closes the file and frees its entries; a zeroed or closed file is fine. */
void safetensors_close(SafetensorsFile *file);

/** @brief Returns the array of that name, or NULL. A binary search: a file may have hundreds of thousands of arrays. */
const SafetensorsEntry *safetensors_find(const SafetensorsFile *file, const char *name);

/** @brief Returns the array whose name is @p prefix followed by @p name, or NULL. */
const SafetensorsEntry *safetensors_find_joined(const SafetensorsFile *file, const char *prefix, const char *name);

/** @brief Returns the metadata string of that key, or NULL. */
const char *safetensors_metadata(const SafetensorsFile *file, const char *key);

/** @brief Returns the bytes of an array's data. */
size_t safetensors_bytes(const SafetensorsEntry *entry);

/**
 * @brief Reads an array as it is in the file, row-major and little-endian.
 * @param[out] destination  safetensors_bytes(entry) bytes
 * @param[in]  file         an open file
 * @param[in]  entry        one of its entries
 * @retval CS336_EIO  such as when another process has cut the file since it was opened
 */
CS336_MUST_CHECK Status safetensors_read_bytes(void *destination, const SafetensorsFile *file,
                                               const SafetensorsEntry *entry);

/**
 * @brief Reads a float32 array into a tensor, which may be any view.
 * @retval CS336_EIO      as safetensors_read_bytes(); the tensor may be partly overwritten
 * @retval CS336_EFORMAT  there is no array of that name, or it is not float32
 * @retval CS336_ESHAPE   its shape is not that of @p destination
 */
CS336_MUST_CHECK Status safetensors_read(Tensor destination, const SafetensorsFile *file, const char *name);

/**
 * @brief Reads a part of an array, as safetensors_read_bytes() reads it whole.
 * @param[out] destination  @p bytes bytes
 * @param[in]  first        byte of the array at which the part begins
 * @param[in]  bytes        first + bytes is at most safetensors_bytes(entry)
 * @retval CS336_EIO  as safetensors_read_bytes()
 */
CS336_MUST_CHECK Status safetensors_read_part(void *destination, const SafetensorsFile *file,
                                              const SafetensorsEntry *entry, size_t first, size_t bytes);

/** @brief True if the elements are floating-point numbers: F16, BF16, F32 or F64. */
bool safetensors_is_float(SafetensorsType type);

/** @brief Returns the name of a type as files have it: "F32". */
const char *safetensors_type_name(SafetensorsType type);

/**
 * @brief Reads an array of floating-point numbers of any type as float32.
 *
 * F16 and BF16 numbers are float32 numbers too, so they come out exactly, with subnormals, infinities and NaN. An F64
 * number becomes the nearest float32 number (ties to even, infinite beyond the range), as in PyTorch's float().
 * @param[out] destination  any view with as many elements: the elements of both are matched in row-major order. A view
 *                          whose dimensions are split or exchanged permutes the array while it is read
 * @param[in]  file         an open file
 * @param[in]  entry        one of its entries
 * @retval CS336_EIO      as safetensors_read_bytes(); the tensor may be partly overwritten
 * @retval CS336_EFORMAT  its elements are not floating-point numbers
 * @retval CS336_ESHAPE   @p destination has another number of elements
 * @see test_safetensors_widens_as_pytorch
 */
CS336_MUST_CHECK Status safetensors_read_as_float(Tensor destination, const SafetensorsFile *file,
                                                  const SafetensorsEntry *entry);

/**
 * @brief Writes a file with the arrays and strings in the given order. Blanks pad the header to a multiple of 8 bytes,
 * so that the arrays begin aligned.
 * @retval CS336_EIO      such as a full disk or a directory without write permission
 * @retval CS336_EFORMAT  a name or a key is given twice, an array is named "__metadata__", or a text is not UTF-8
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status safetensors_write(const char *path, const SafetensorsEntry *entries, size_t count,
                                          const SafetensorsText *metadata, size_t metadata_count);

/** @brief Gives the data of arrays that are not in this process's memory, in the order of the file. */
typedef struct {
    /** Writes the next @p bytes bytes to @p destination; any status but CS336_OK ends the writing with that status. */
    Status (*next)(void *context, void *destination, size_t bytes);
    void *context; /**< passed to next() */
} SafetensorsSource;

/**
 * @brief Does what safetensors_write() does. The entries whose data is NULL get theirs from a source, one after the
 * other.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM  as safetensors_write(); and what the source returns
 */
CS336_MUST_CHECK Status safetensors_write_from(const char *path, const SafetensorsEntry *entries, size_t count,
                                               const SafetensorsText *metadata, size_t metadata_count,
                                               const SafetensorsSource *source);

/**
 * @brief Does what safetensors_write() does, with a writer from file_create(). The caller commits or abandons it, as
 * for several files that belong together.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM  as safetensors_write()
 */
CS336_MUST_CHECK Status safetensors_write_to(FileWriter *writer, const SafetensorsEntry *entries, size_t count,
                                             const SafetensorsText *metadata, size_t metadata_count);

CS336_API_END

#endif

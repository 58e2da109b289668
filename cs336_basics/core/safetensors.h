/**
 * @file
 * @brief The safetensors format: named arrays and a table of strings, memory-mapped when read.
 *
 * - Layout: 8 bytes little-endian header length, a JSON header, then the arrays without gaps.
 * - Reading checks everything the header promises against the file before a pointer is handed out.
 * - Writing is atomic (core/file) and gives the same bytes for the same contents.
 * @see https://github.com/huggingface/safetensors, section Format
 */
#ifndef CS336_CORE_SAFETENSORS_H
#define CS336_CORE_SAFETENSORS_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

typedef enum {
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_U16,
    SAFETENSORS_I16,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_U32,
    SAFETENSORS_I32,
    SAFETENSORS_F32,
    SAFETENSORS_U64,
    SAFETENSORS_I64,
    SAFETENSORS_F64
} SafetensorsType;

/** @brief One array of a file, or one to be written. */
typedef struct {
    const char *name;
    SafetensorsType type;
    int rank; /**< 0 to TENSOR_MAX_RANK */
    size_t shape[TENSOR_MAX_RANK];
    const void *data; /**< row-major, little-endian; in a file at any address, so copy it out with memcpy */
} SafetensorsEntry;

/** @brief A pair of strings of the file's metadata. */
typedef struct {
    const char *key, *value;
} SafetensorsText;

typedef struct {
    MappedFile file;
    char *path;                /**< for messages */
    void *header;              /**< parsed JSON, owner of the strings */
    SafetensorsEntry *entries; /**< in the order of their data in the file */
    size_t count;
} SafetensorsFile;

/**
 * @brief Maps and checks a file.
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, header not JSON, offsets outside the file, overlapping or with gaps, unknown type,
 *                        more than 8 dimensions, extents that do not give the number of bytes
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status safetensors_open(SafetensorsFile *file, const char *path);
void safetensors_close(SafetensorsFile *file);

/** @brief The array of that name, or NULL. */
const SafetensorsEntry *safetensors_find(const SafetensorsFile *file, const char *name);

/** @brief The metadata string of that key, or NULL. */
const char *safetensors_metadata(const SafetensorsFile *file, const char *key);

/**
 * @brief A float32 array copied into a view.
 * @retval CS336_EFORMAT  no array of that name, or another type
 * @retval CS336_ESHAPE   other extents than the view
 */
CS336_MUST_CHECK Status safetensors_read(Tensor to, const SafetensorsFile *file, const char *name);

/** @brief Bytes of one element. */
size_t safetensors_element_size(SafetensorsType type);

/**
 * @brief Writes a file atomically, arrays and strings in the given order, the header padded to 8 bytes.
 * @retval CS336_EIO      the disk is full, the directory unwritable
 * @retval CS336_EFORMAT  two arrays or two strings of one name, an array named "__metadata__", text that is not UTF-8
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status safetensors_write(const char *path, const SafetensorsEntry *entries, size_t count,
                                          const SafetensorsText *metadata, size_t metadata_count);

CS336_API_END

#endif

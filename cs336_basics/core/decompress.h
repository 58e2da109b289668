/**
 * @file
 * @brief Decompresses gzip (RFC 1952) with zlib, and Zstandard (RFC 8878) with libzstd, where the build has them.
 *
 * - A file may have several members (gzip) or frames (zstd), one after the other, as `cat a.gz b.gz` makes them. Their
 *   texts follow each other.
 * - The end of the input inside a member or frame is an error, and so is a checksum that is not that of the text.
 * - Memory is bounded: 50 KB for gzip, and for zstd the window that the file asks for, at most 128 MiB. zlib allocates
 *   through core/memory.h; libzstd has its own allocator, as jansson has.
 */
#ifndef CS336_CORE_DECOMPRESS_H
#define CS336_CORE_DECOMPRESS_H

#include "core/api.h"
#include "core/status.h"
#include "core/text_form.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief A stream of compressed bytes that is being decompressed. */
typedef struct Decompressor Decompressor;

/** @brief True if this build can decompress the form; also for TEXT_PLAIN, which needs nothing. */
bool decompressor_exists(TextForm form);

/**
 * @brief Makes a decompressor.
 * @param[out] decompressor  NULL on failure; free it with decompressor_destroy()
 * @param[in]  form          TEXT_GZIP or TEXT_ZSTD
 * @param[in]  path          of the file, for messages; the caller's string, which must outlive the decompressor
 * @retval CS336_EFORMAT  this build has no library for the form; the message names the library and the pipe to use
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status decompressor_create(Decompressor **decompressor, TextForm form, const char *path);

/** @brief Compressed bytes that the caller has read. */
typedef struct {
    const uint8_t *next; /**< the first byte that is not decompressed; moves with each call */
    size_t left;         /**< bytes from there */
    bool ended;          /**< true if the file ends behind them */
} CompressedBytes;

/**
 * @brief Decompresses until the input is used up or @p bytes is full.
 * @param[out] bytes   room for @p capacity bytes, at least 1
 * @param[out] length  bytes of text; if it is 0 then all input is used up
 * @retval CS336_EFORMAT  the input is damaged or truncated
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status decompressor_run(Decompressor *decompressor, CompressedBytes *input, uint8_t *bytes,
                                         size_t capacity, size_t *length);

/** @brief Frees a decompressor; NULL is fine. */
void decompressor_destroy(Decompressor *decompressor);

CS336_INTERNAL_END

#endif

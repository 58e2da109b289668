/**
 * @file
 * @brief Reads a file or standard input once, from beginning to end: its bytes, or the text that they hold.
 *
 * Text that is compressed with gzip or zstd is decompressed as it is read (core/decompress.h), so it takes no more
 * memory than plain text. Other formats are refused with the pipe that turns them into text. The first bytes decide
 * (core/text_form.h), never the name.
 */
#ifndef CS336_CORE_INPUT_STREAM_H
#define CS336_CORE_INPUT_STREAM_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/decompress.h"
#include "core/status.h"
#include "core/text_form.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/** @brief An input that is being read. A zeroed one is closed. */
typedef struct {
    FILE *stream;               /**< the open file, or stdin; NULL: closed */
    const char *path;           /**< for messages: the caller's string, or TEXT_STANDARD_INPUT */
    size_t size;                /**< bytes of a regular file; 0 if the size is known at the end only */
    size_t bytes;               /**< bytes passed on so far */
    size_t taken;               /**< bytes of the file read so far */
    TextForm form;              /**< how the text is compressed */
    Decompressor *decompressor; /**< NULL for plain text and for bytes */
    uint8_t *buffer;            /**< what was read of the file and is not passed on */
    CompressedBytes unread;     /**< the part of `buffer` that is left */
} InputStream;

/**
 * @brief Opens a file or standard input, to read its bytes as they are.
 * @param[out] input  zeroed on failure; close it with input_close()
 * @param[in]  path   "-" is standard input; the string must outlive the input
 * @retval CS336_EIO  it cannot be opened
 */
CS336_MUST_CHECK Status input_open(InputStream *input, const char *path);

/**
 * @brief Opens a file or standard input, to read its text. The first bytes are read at once.
 * @retval CS336_EFORMAT  it is no text, or is compressed and this build cannot decompress it; the message says what to
 * do. Or it is empty, and its name is that of a compressed file
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status input_open_text(InputStream *input, const char *path);

/**
 * @brief Reads up to @p capacity bytes.
 * @param[out] bytes  number of bytes read; 0 at the end only
 * @retval CS336_EIO          the input cannot be read
 * @retval CS336_EINTERRUPTED a signal came while the call waited for bytes, or the flag of input_stop_on() is set
 * @retval CS336_EFORMAT      compressed text is damaged or truncated
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status input_read(InputStream *input, void *buffer, size_t capacity, size_t *bytes);

/**
 * @brief Gives all inputs of the process a flag that ends a read which waits for bytes, for example from a pipe whose
 * writer does nothing: input_read() then returns CS336_EINTERRUPTED within INPUT_PATIENCE milliseconds after the flag
 * is set.
 *
 * Without a flag a signal ends such a read, but only one that the kernel delivers to the thread that reads.
 * @param stop  set by a signal handler, for example; NULL: none
 */
void input_stop_on(const atomic_int *stop);

/** @brief Milliseconds from one look at the flag to the next, while no bytes come. */
enum { INPUT_PATIENCE = 50 };

/** @brief Closes the file. Standard input stays open; a zeroed or closed input is fine. */
void input_close(InputStream *input);

CS336_INTERNAL_END

#endif

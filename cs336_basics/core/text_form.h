/**
 * @file
 * @brief Tells by the first bytes of a file whether it is plain text, compressed text, or something else.
 *
 * The name of a file says nothing: x.txt may be compressed, and x.gz may be plain. A compressed file that is taken for
 * text gives a vocabulary of noise and no error. So every reader of text asks here first. Readers of other files ask
 * too, when a file is not what they expect. Only an empty file has no first bytes: then its name counts, since no
 * compressed file is empty.
 */
#ifndef CS336_CORE_TEXT_FORM_H
#define CS336_CORE_TEXT_FORM_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief What the first bytes of a file say. */
typedef enum {
    TEXT_PLAIN,  /**< none of the others */
    TEXT_GZIP,   /**< gzip, RFC 1952 */
    TEXT_ZSTD,   /**< Zstandard, RFC 8878; pzstd's files begin with a skippable frame */
    TEXT_FOREIGN /**< bzip2, xz, lz4, zip, 7z, tar or Parquet, which other programs turn into text */
} TextForm;

enum { TEXT_FORM_BYTES = 512 /**< first bytes of a file that tell its form: those of a tar archive come last */ };

/** @brief The name that messages give to standard input. */
#define TEXT_STANDARD_INPUT "standard input"

/** @brief Returns the form of a text. @param length  bytes in @p start: all of the text, or at least TEXT_FORM_BYTES */
TextForm text_form(const uint8_t *start, size_t length);

/**
 * @brief Returns the name of a file for the command in a message: @p path, or "FILE" for TEXT_STANDARD_INPUT and for
 * names that a shell would not take as they are, such as one with a blank or a quotation mark.
 */
const char *text_form_file(const char *path);

/**
 * @brief Refuses bytes that are TEXT_FOREIGN.
 * @param path  the file, or TEXT_STANDARD_INPUT
 * @retval CS336_EFORMAT  always; the message names the format, and the pipe that turns it into text
 */
CS336_MUST_CHECK Status text_form_refuse(const uint8_t *start, size_t length, const char *path);

/**
 * @brief True if bytes that are not TEXT_PLAIN cannot be numbers that begin so by chance: the format is known by five
 * bytes or more, or the name of the file ends as names of that format do, such as "ids.bin.gz".
 * @param path  the file, or TEXT_STANDARD_INPUT
 */
bool text_form_is_certain(const uint8_t *start, size_t length, const char *path);

/**
 * @brief Refuses bytes that are not TEXT_PLAIN in a file that should hold something else than text.
 * @param path      the file, or TEXT_STANDARD_INPUT
 * @param expected  what the file should hold: "token ids"
 * @param output    a name for the file that the command in the message writes: "ids.bin"
 * @retval CS336_EFORMAT  always; the message names the format, and the command that decompresses the file
 */
CS336_MUST_CHECK Status text_form_refuse_as(const uint8_t *start, size_t length, const char *path, const char *expected,
                                            const char *output);

/**
 * @brief Checks the name of an empty file. One that ends in .gz or .zst is what a failed download leaves, and no text
 * without bytes.
 * @param path  the file, or TEXT_STANDARD_INPUT
 * @retval CS336_EFORMAT  the name ends like that of a file compressed with gzip or zstd
 */
CS336_MUST_CHECK Status text_form_check_empty(const char *path);

/**
 * @brief Checks that an open file is plain text, for a function that cannot decompress.
 * @retval CS336_EFORMAT  it is not; the message says what it is, and the pipe that turns it into text. Or as
 *                        text_form_check_empty()
 * @retval CS336_EIO      it cannot be read
 */
CS336_MUST_CHECK Status text_form_check_plain(const FileReader *file);

CS336_INTERNAL_END

#endif

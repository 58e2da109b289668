/**
 * @file
 * @brief Text from a model or a file on its way to standard output.
 *
 * Such text may hold any bytes, also escape sequences that a terminal would obey. A file or a pipe gets the bytes as
 * they are. A terminal gets `\xNN` for what core/printable.h calls unsafe, except line feeds and tabs.
 */
#ifndef CS336_CLI_SCREEN_H
#define CS336_CLI_SCREEN_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief True if @p output is standard output, as "-", and standard output is a terminal. */
bool screen_is_terminal(const char *output);

/** @brief Returns the columns of the terminal on standard output: as it says, or COLUMNS, or 80. */
size_t screen_columns(void);

/** @brief True if LC_ALL, LC_CTYPE or LANG, the first that is set, says that the terminal shows UTF-8. */
bool screen_is_utf8(void);

/** @brief A stream of text that comes in pieces. Zeroed: the bytes stay as they are. */
typedef struct {
    bool terminal;    /**< true: make the text safe, and return whole characters */
    bool whole;       /**< true: return whole characters, whose bytes stay as they are */
    ByteList pending; /**< bytes of a character whose end is still to come, then those of the latest piece */
    ByteList safe;    /**< what the latest screen_text() returned */
} Screen;

/**
 * @brief Returns the text that may be written for the next piece of a stream.
 * @param[out]    shown   valid until the next call with this screen, and as long as @p piece
 * @param[in,out] screen  keeps the bytes of a character that ends in a later piece
 * @param[in]     piece   any bytes
 * @param[in]     last    true: the stream ends here, so an incomplete character is not kept
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status screen_text(ByteString *shown, Screen *screen, ByteString piece, bool last);

/** @brief Frees the lists; a zeroed screen is fine. */
void screen_deinit(Screen *screen);

CS336_INTERNAL_END

#endif

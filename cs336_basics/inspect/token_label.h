/**
 * @file
 * @brief The text that stands for a token on a page.
 */
#ifndef CS336_INSPECT_TOKEN_LABEL_H
#define CS336_INSPECT_TOKEN_LABEL_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

CS336_API_BEGIN

/**
 * @brief Appends a token as text that can be seen whole and that nothing obeys: valid UTF-8 without control characters.
 *
 * A space becomes U+2423 (an open box), a line feed U+21B5 (an arrow to the left), a tab U+2192 (an arrow to the
 * right). Each byte of a piece of UTF-8, of a control character, of a change of text direction, of another blank or of
 * a character without width becomes `\xNN`, and so do the bytes of those three marks themselves: a mark is always a
 * blank. HTML and JSON are not escaped here; html_page.h does that.
 * @retval CS336_ENOMEM
 * @see token_printable(); test_token_labels_show_every_byte
 */
CS336_MUST_CHECK Status token_label(ByteList *label, ByteString token);

CS336_API_END

#endif

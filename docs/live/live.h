/**
 * @file
 * @brief What the figures of the book call: the library, with plain arrays instead of tensors.
 *
 * `make docs` compiles the library and the .c files of this folder to WebAssembly, and each figure of a chapter calls
 * these functions from JavaScript (live.js). `make docs-check` compiles the same files for this computer, makes each
 * call of the pages again, and compares the numbers.
 *
 * - Every function returns a Status. JavaScript gets status_message() as an exception.
 * - Arguments are numbers and arrays of float, double, int32_t or uint8_t. An array may be read, written or both.
 * - Text is UTF-8 with its length in bytes.
 * - A call's results depend on its arguments alone, or on earlier calls of functions with the same prefix.
 */
#ifndef CS336_LIVE_H
#define CS336_LIVE_H

#include "core/status.h"
#include "core/tensor.h"

#include <stdint.h>

/** @brief Marks a function that the figures call. The linker keeps it and exports its name. */
#define LIVE __attribute__((used, visibility("default"))) Status

/** @brief Returns the message of the last failure of a call, for live.js. */
const char *live_message(void);

#endif

/**
 * @file
 * @brief Encoding files, or standard input, one after the other, with a line of progress.
 *
 * Each file is a text of its own: no pre-token and no special token reaches from one into the next.
 */
#ifndef CS336_CLI_ENCODE_INPUTS_H
#define CS336_CLI_ENCODE_INPUTS_H

#include "cli/options.h"
#include "cli/work.h"
#include "tokenizer/encode/encoder.h"

typedef struct {
    const TextList *paths;  /**< "-" is standard input */
    size_t done, total;     /**< bytes; total 0: not known before the end */
    WorkProgress *progress; /**< NULL: nothing is shown */
} EncodeInputs;

/**
 * @brief Looks at all files before the first is read.
 * @retval CS336_EIO  one is missing, empty or a directory, or standard input is named twice
 */
CS336_MUST_CHECK Status encode_inputs_begin(EncodeInputs *inputs, const TextList *paths, WorkProgress *progress);

/**
 * @brief Encodes one of them from its beginning to its end.
 * @param index   its place in paths
 * @param encoder at the start of a text, and again afterwards
 * @param[out] bytes  how long the text was
 * @retval CS336_EIO, CS336_ENOMEM, CS336_EINTERRUPTED  or what the encoder's sink returned
 */
CS336_MUST_CHECK Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes);

/**
 * @brief The same for ids that go to a sink: files by all threads, streams by one.
 * @retval CS336_EIO, CS336_ENOMEM, CS336_EINTERRUPTED  or what the sink returned
 */
CS336_MUST_CHECK Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer,
                                         TokenSink *sink, void *context);

#endif

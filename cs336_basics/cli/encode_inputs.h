/**
 * @file
 * @brief Encodes the input files of a command one after the other, and shows a line of progress.
 *
 * - Each file is a separate text: no pre-token and no special token crosses from one file to the next.
 * - If a text has the separator of documents as no special token, a line says so (cli/separator_hint.h).
 */
#ifndef CS336_CLI_ENCODE_INPUTS_H
#define CS336_CLI_ENCODE_INPUTS_H

#include "cli/options.h"
#include "cli/separator_hint.h"
#include "cli/text_options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/api.h"
#include "tokenizer/encode/encoder.h"

CS336_INTERNAL_BEGIN

/** @brief The input files of a command, and how far it has read them. */
typedef struct {
    InputTexts texts;       /**< owned */
    size_t done,            /**< bytes of text encoded so far, of all files */
        plain_done;         /**< those of files of plain text */
    double reading;         /**< seconds that encode_inputs_one() took to read and decompress */
    SeparatorHint hint;     /**< about a token that the texts have, and that is no special token */
    WorkProgress *progress; /**< NULL: show no progress */
} EncodeInputs;

/**
 * @brief Checks all files before the first is read (text_options_begin()).
 * @param[out] inputs    ready; it looks for no separator. Free it with encode_inputs_end()
 * @param      command   name of the command, for notes
 * @param      paths     names of the files
 * @param      field     how documents are found in them
 * @param      progress  may be NULL
 */
CS336_MUST_CHECK Status encode_inputs_begin(EncodeInputs *inputs, const char *command, const TextList *paths,
                                            TextField field, WorkProgress *progress);

/**
 * @brief Chooses the ending of documents for `--text-field`, and checks that the tokenizer has it.
 * @param[out] field       for encode_inputs_begin()
 * @param[in]  tokenizer   of the options
 * @param[in]  field_name  NULL if the option is not given
 * @retval CS336_EFORMAT  no --special-token is given, and the vocabulary has no `<|endoftext|>`
 */
CS336_MUST_CHECK Status encode_inputs_field(TextField *field, const Tokenizer *tokenizer,
                                            const TokenizerOptions *options, const char *field_name);

/**
 * @brief Loads the tokenizer of a command with `--text-field`, for which the ending of documents is a special token.
 * @param[out] field       for encode_inputs_begin()
 * @param[in]  field_name  NULL if the option is not given: the same as tokenizer_options_load()
 * @retval CS336_EFORMAT  as encode_inputs_field()
 * @retval others         as tokenizer_options_load() and tokenizer_options_encode()
 */
CS336_MUST_CHECK Status encode_inputs_load(Tokenizer **tokenizer, TextField *field, const TokenizerOptions *options,
                                           const char *field_name);

/** @brief Frees the inputs; zeroed ones are fine. */
void encode_inputs_end(EncodeInputs *inputs);

/**
 * @brief Encodes one file with one thread.
 * @param inputs      all files
 * @param index       index of the file in paths
 * @param encoder     at the start of a text, before and after the call
 * @param[out] bytes  length of the text
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM, CS336_EINTERRUPTED  or what the encoder's sink returned
 */
CS336_MUST_CHECK Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes);

/**
 * @brief Encodes one file with all threads, and passes the ids to a sink.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM, CS336_EINTERRUPTED  or what the sink returned
 */
CS336_MUST_CHECK Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer,
                                         TokenSink *sink, void *context);

/**
 * @brief Encodes all files with all ranks (tokenizer/encode/encode_ranks.h); rank 0 passes the ids to its sink.
 * Collective.
 * @param text_ended  called on rank 0 after the ids of each text
 * @retval others  as encode_ranks()
 */
CS336_MUST_CHECK Status encode_inputs_with_ranks(EncodeInputs *inputs, const Tokenizer *tokenizer, TokenSink *sink,
                                                 void (*text_ended)(void *context), void *context);

CS336_INTERNAL_END

#endif

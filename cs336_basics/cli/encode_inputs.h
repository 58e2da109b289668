/**
 * @file
 * @brief Encodes the input files of a command one after the other, and shows a line of progress.
 *
 * - Each file is a separate text: no pre-token and no special token crosses from one file to the next.
 * - If a text has the separator, one line on stderr says so when the first one is found. Only the first megabyte of
 *   each text is searched: a separator stands between all documents.
 */
#ifndef CS336_CLI_ENCODE_INPUTS_H
#define CS336_CLI_ENCODE_INPUTS_H

#include "cli/options.h"
#include "cli/work.h"
#include "core/api.h"
#include "tokenizer/encode/encoder.h"

CS336_INTERNAL_BEGIN

/** @brief The input files of a command, and how far it has read them. */
typedef struct {
    const TextList *paths;  /**< "-" is standard input */
    size_t done,            /**< bytes encoded so far, of all files */
        total;              /**< bytes of all files; 0 if the size of one is known at its end only */
    WorkProgress *progress; /**< NULL: show no progress */
    const char *separator;  /**< a token to look for in the texts, for a hint; NULL: none, or found */
} EncodeInputs;

/**
 * @brief Checks all files before the first is read, and adds up their sizes. Files may be empty.
 * @param[out] inputs     ready; its separator is NULL
 * @param      paths      names of the files
 * @param      progress   may be NULL
 * @retval CS336_EIO  a file is missing or a directory, or standard input is named twice
 */
CS336_MUST_CHECK Status encode_inputs_begin(EncodeInputs *inputs, const TextList *paths, WorkProgress *progress);

/**
 * @brief Encodes one file with one thread.
 * @param inputs      all files
 * @param index       index of the file in paths
 * @param encoder     at the start of a text, before and after the call
 * @param[out] bytes  length of the text
 * @retval CS336_EIO, CS336_ENOMEM, CS336_EINTERRUPTED  or what the encoder's sink returned
 */
CS336_MUST_CHECK Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes);

/**
 * @brief Encodes one file and passes the ids to a sink. Regular files use all threads, pipes and standard input one.
 * @retval CS336_EIO, CS336_ENOMEM, CS336_EINTERRUPTED  or what the sink returned
 */
CS336_MUST_CHECK Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer,
                                         TokenSink *sink, void *context);

CS336_INTERNAL_END

#endif

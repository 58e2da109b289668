/**
 * @file
 * @brief The option `--text-field`, and the texts that a command reads.
 */
#ifndef CS336_CLI_TEXT_OPTIONS_H
#define CS336_CLI_TEXT_OPTIONS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/status.h"
#include "tokenizer/input_texts.h"

CS336_INTERNAL_BEGIN

/** @brief The line of an option table for `--text-field`. @param variable  address of a const char * */
#define OPTION_TEXT_FIELD(variable)                                                                                  \
    OPTION_TEXT("text-field", variable, "NAME", OPTION_UNSHOWN,                                                      \
                "the files are JSON Lines, also compressed: each line is an object, and its field NAME a document; " \
                "after each document comes <|endoftext|>, or the first --special-token if that names others only")

/**
 * @brief Does what input_texts_begin() does, and prints a note for each file that is named *.jsonl but is read as plain
 * text.
 * @param[out] texts    zeroed on failure; free it with input_texts_end()
 * @param[in]  command  name of the command, for the notes; NULL: print none
 * @param[in]  paths    the files
 * @param[in]  field    for all files
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM  as input_texts_begin()
 */
CS336_MUST_CHECK Status text_options_begin(InputTexts *texts, const char *command, const TextList *paths,
                                           TextField field);

CS336_INTERNAL_END

#endif

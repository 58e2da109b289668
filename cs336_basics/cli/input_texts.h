/**
 * @file
 * @brief The texts that a command reads: files of plain text, files and standard input that are decompressed while they
 * are read, and JSON Lines with `--text-field`.
 *
 * A regular file of plain text is left to functions that take its path, because several threads can read it at the same
 * time. Everything else is a stream, which is opened when it is first read, because there may be more files than a
 * process may open.
 */
#ifndef CS336_CLI_INPUT_TEXTS_H
#define CS336_CLI_INPUT_TEXTS_H

#include "cli/options.h"
#include "core/api.h"
#include "core/atomic.h"
#include "core/input_stream.h"
#include "core/json_lines.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief `--text-field`: how documents are found in the files. A zeroed one: each file is a text. */
typedef struct {
    const char *name;   /**< field of each line's object; NULL: the files are no JSON Lines */
    const char *ending; /**< the special token that is put after each document */
} TextField;

/** @brief The line of an option table for `--text-field`. @param variable  address of a const char * */
#define OPTION_TEXT_FIELD(variable)                                                                                  \
    OPTION_TEXT("text-field", variable, "NAME", OPTION_UNSHOWN,                                                      \
                "the files are JSON Lines, also compressed: each line is an object, and its field NAME a document; " \
                "after each document comes <|endoftext|>, or the first --special-token if that names others only")

/** @brief One of the texts. */
typedef struct {
    const char *path;    /**< "-" is standard input */
    TextField field;     /**< of all texts */
    size_t size;         /**< bytes of the file; 0 if they are known at its end only */
    bool is_plain;       /**< true for a regular file of plain text, which is no stream */
    InputStream input;   /**< closed before the first read, and after the last */
    JsonLines lines;     /**< with a field */
    bool opened;         /**< true from the first read on */
    atomic_size_t taken; /**< bytes of the file read so far */
    TextStream stream;   /**< reads the text, if it is no plain file */
} InputText;

/** @brief The texts in the order of the command line. It owns them. */
typedef struct {
    InputText *items; /**< (count) */
    size_t count;     /**< number of texts */
    size_t total;     /**< bytes of all files; 0 if those of one are known at its end only */
    bool has_streams; /**< true if one of them is a stream */
    bool has_plain;   /**< true if one of them is a regular file of plain text */
} InputTexts;

/**
 * @brief Chooses the ending of documents among the special tokens: `<|endoftext|>` if it is named or if none is, else
 * the first one.
 */
const char *input_texts_ending(const TextList *special);

/**
 * @brief Checks all files before the first is read. Files may be empty. It prints a note for a file that is named
 * *.jsonl but would be read as plain text.
 * @param[out] texts    zeroed on failure; free it with input_texts_end()
 * @param[in]  command  name of the command, for notes; NULL: print none
 * @param[in]  paths    the files
 * @param[in]  field    for all files
 * @retval CS336_EIO      a file is missing or a directory, or standard input is named twice
 * @retval CS336_EFORMAT  a file is no text, or this build cannot decompress it
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status input_texts_begin(InputTexts *texts, const char *command, const TextList *paths,
                                          TextField field);

/** @brief Returns the bytes of all streams' files that were read so far; they may be compressed. */
size_t input_texts_taken(const InputTexts *texts);

/** @brief Frees the texts and closes those that are open. */
void input_texts_end(InputTexts *texts);

CS336_INTERNAL_END

#endif

/**
 * @file
 * @brief The texts of a corpus as files have them: plain text, text that is decompressed while it is read, standard
 * input and pipes, and the documents of JSON Lines.
 *
 * - A regular file of plain text is left to functions that take its path, because several threads can read it at the
 *   same time. Everything else is a stream, which is opened when it is first read, because there may be more files than
 *   a process may open.
 * - The first bytes of a file say what it is (core/text_form.h), never its name.
 * @see bpe_train_inputs(), encode_input()
 */
#ifndef CS336_TOKENIZER_INPUT_TEXTS_H
#define CS336_TOKENIZER_INPUT_TEXTS_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/input_stream.h"
#include "core/json_lines.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief How documents are found in the files. A zeroed one: each file is a text. */
typedef struct {
    const char *name;   /**< field of each line's object; NULL: the files are no JSON Lines */
    const char *ending; /**< the special token that is put after each document */
} TextField;

/**
 * @brief Chooses the ending of documents among special tokens: TOKENIZER_DOCUMENT_END if it is one of them or if there
 * are none, else the first one.
 */
const char *text_field_ending(const char *const *special_tokens, size_t count);

/** @brief True if the name of a file ends like that of JSON Lines, compressed or not: .jsonl, .ndjson.gz and so on. */
bool text_is_named_json_lines(const char *path);

/** @brief One of the texts. */
typedef struct {
    const char *path;    /**< "-" is standard input; the caller's string */
    TextField field;     /**< of all texts */
    size_t size;         /**< bytes of the file; 0 if they are known at its end only */
    bool is_plain;       /**< true for a regular file of plain text, which is no stream */
    InputStream input;   /**< closed before the first read, and after the last */
    JsonLines lines;     /**< with a field */
    bool opened;         /**< true from the first read on */
    atomic_size_t taken; /**< bytes of the file read so far */
    TextStream stream;   /**< reads the text, if it is no plain file */
} InputText;

/** @brief The texts in the order in which they were given. It owns them. */
typedef struct {
    InputText *items; /**< (count) */
    size_t count;     /**< number of texts */
    size_t total;     /**< bytes of all files; 0 if those of one are known at its end only */
    bool has_streams; /**< true if one of them is a stream */
    bool has_plain;   /**< true if one of them is a regular file of plain text */
} InputTexts;

/**
 * @brief Checks all files before the first is read. Files may be empty.
 * @param[out] texts  zeroed on failure; free it with input_texts_end()
 * @param[in]  paths  (count) the files; "-" is standard input; the strings must outlive the texts
 * @param[in]  field  for all files; its strings must outlive the texts
 * @retval CS336_EIO      a file is missing or a directory, or standard input is named twice
 * @retval CS336_EFORMAT  a file is no text, or this build cannot decompress it
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status input_texts_begin(InputTexts *texts, const char *const *paths, size_t count, TextField field);

/** @brief Returns the bytes of all streams' files that were read so far; they may be compressed. */
size_t input_texts_taken(const InputTexts *texts);

/** @brief Frees the texts and closes those that are open. */
void input_texts_end(InputTexts *texts);

CS336_API_END

#endif

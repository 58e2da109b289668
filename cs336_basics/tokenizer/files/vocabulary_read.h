/**
 * @file
 * @brief Reads the object `"token": id` of vocab.json and of tokenizer.json, whose entries may come in any order.
 *
 * Call vocabulary_read_init(), then vocabulary_read_entries() and vocabulary_read_token(), and vocabulary_read_finish()
 * at the end. vocabulary_read_deinit() frees the memory in any case.
 */
#ifndef CS336_TOKENIZER_FILES_VOCABULARY_READ_H
#define CS336_TOKENIZER_FILES_VOCABULARY_READ_H

#include "core/api.h"
#include "core/json.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief Where a token's bytes are in the list of all bytes. */
typedef struct {
    size_t begin, /**< its first byte */
        length;   /**< 0: no entry has had this id yet */
    bool special; /**< true if its text is not in the alphabet: only a special token is written so */
    bool named;   /**< true if the file says that it is a special token */
} TokenBytes;

/** @brief The tokens that were read so far. The strings are the caller's. */
typedef struct {
    const char *path;   /**< of the file, for messages */
    const char *object; /**< what messages call the object in the file, as "model.vocab"; NULL: they name the line */
    ByteString text;    /**< of the file, to find lines in; not used with @p object */
    size_t count;       /**< ids are below it */
    TokenBytes *tokens; /**< (count) by id, owned */
    ByteList bytes;     /**< of all tokens, owned */
} VocabularyReader;

/** @brief Makes room for @p count ids; path, object and text are set already. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status vocabulary_read_init(VocabularyReader *reader, size_t count);

/**
 * @brief Reads all entries of an object.
 * @retval CS336_EFORMAT  a token is empty, or an id is no whole number, out of range or taken
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status vocabulary_read_entries(VocabularyReader *reader, json_t *object);

/**
 * @brief Gives an id, which must be free and below the count, to bytes as they stand.
 * @param special  true if the file says that it is a special token
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status vocabulary_read_token(VocabularyReader *reader, size_t id, ByteString token, bool special);

/**
 * @brief Adds all tokens to an empty model. An id without an entry becomes a hole. A token whose text is not in the
 * alphabet becomes a special token: SPECIAL_OWN if the file says that it is one, else SPECIAL_UNNAMED.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status vocabulary_read_finish(VocabularyReader *reader, BPEModel *model);

/** @brief Frees the memory; a zeroed reader is fine. */
void vocabulary_read_deinit(VocabularyReader *reader);

/**
 * @brief Checks that a model has an ordinary token for each byte.
 * @param where  of the vocabulary, for the message
 * @retval CS336_EFORMAT  a byte has none; the message says so if the vocabulary is SentencePiece's
 */
CS336_MUST_CHECK Status vocabulary_check_bytes(const BPEModel *model, const TokenIndex *index, const char *where);

CS336_INTERNAL_END

#endif

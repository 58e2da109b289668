/**
 * @file
 * @brief Text to token ids and back (handout section 2.6, problem tokenizer).
 *
 * - Special tokens are found first, the longest one where several begin. The text between them is split into
 * pre-tokens, and each pre-token is merged, lower ranks first.
 * - Text is any bytes. Decoding gives back exactly the bytes that were encoded, malformed UTF-8 too.
 * - Threads may share a Tokenizer: it never changes, but for tables that the first long pre-token makes under a lock.
 * - A tokenizer of a BPEModel that is decode_only (llama2.c's) decodes; encoder.h refuses it.
 * @see encoder.h for text to ids; this header has ids to text
 */
#ifndef CS336_TOKENIZER_ENCODE_TOKENIZER_H
#define CS336_TOKENIZER_ENCODE_TOKENIZER_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/bpe_merge.h"
#include "tokenizer/encode/long_pretoken.h"
#include "tokenizer/encode/word_cache.h"
#include "tokenizer/split/special_tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Longest ordinary token, in bytes, of a model that ignores its merges: longer pre-tokens are not kept whole.
 */
enum { WHOLE_TOKEN_BYTES = 4096 };

/** @brief All that encoding and decoding need. The struct owns it. */
typedef struct Tokenizer {
    BPEModel model;              /**< with all special tokens */
    TokenIndex index;            /**< finds an id by the bytes of its token */
    MergeTable merges;           /**< finds the rank of a pair of tokens */
    LazyLongTables *long_tables; /**< finds the tokens of long pre-tokens; made when the first one comes */
    WordCache single_tokens;     /**< pre-tokens that become one token: nearly all of them, for a cache may evict some;
                                    none of a model that ignores its merges */
    SpecialTokens special;       /**< the texts that are never split */
    int32_t *special_ids;        /**< by index in special.tokens */
    bool has_holes;              /**< some ids have no token; else decoding need not look for them */
} Tokenizer;

/**
 * @brief Makes a tokenizer from a copy of a model.
 * @param[out] tokenizer       NULL on failure; free it with tokenizer_destroy()
 * @param[in]  model           with a token for each of the 256 bytes, unless it is decode_only. Of merges with the
 * same pair the first one counts; what reads merges from files or from Python refuses a second one
 * @param[in]  special_tokens  those that the vocabulary does not have are appended to it in the given order
 * @retval CS336_ERANGE  a byte has no token, a merge does not fit the vocabulary, a special token is empty, a model
 * that ignores its merges has a token of more than WHOLE_TOKEN_BYTES, or the model is decode_only and special tokens
 * are given
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_create(Tokenizer **tokenizer, const BPEModel *model, const ByteString *special_tokens,
                                         size_t special_count);

/**
 * @brief The same as tokenizer_create(), for a model that is from a file.
 * @param[in] where  the file's path, with which messages about the model begin
 */
CS336_MUST_CHECK Status tokenizer_create_named(Tokenizer **tokenizer, const BPEModel *model, const char *where,
                                               const ByteString *special_tokens, size_t special_count);

/**
 * @brief Makes a tokenizer from the files of a model.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ERANGE, CS336_ENOMEM  as bpe_model_read() and tokenizer_create()
 */
CS336_MUST_CHECK Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                                       const ByteString *special_tokens, size_t special_count);

/**
 * @brief The same as tokenizer_create(), but special tokens that the model's file names are special tokens too: those
 * of a tokenizer.json (all of BPEModel.specials but SPECIAL_UNNAMED).
 * @param[in] path  the file, for messages
 * @retval CS336_ERANGE, CS336_ENOMEM  as tokenizer_create()
 */
CS336_MUST_CHECK Status tokenizer_create_from_file(Tokenizer **tokenizer, const BPEModel *model, const char *path,
                                                   const ByteString *special_tokens, size_t special_count);

/**
 * @brief Makes a tokenizer from one file: a tokenizer.json, whose added tokens are special tokens, or a rank file.
 * @param pattern         as for tokenizer_file_read()
 * @param special_tokens  further special tokens; those that the vocabulary does not have are appended to it
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ERANGE, CS336_ENOMEM  as tokenizer_file_read() and tokenizer_create()
 */
CS336_MUST_CHECK Status tokenizer_load_file(Tokenizer **tokenizer, const char *path, int pattern,
                                            const ByteString *special_tokens, size_t special_count);

/** @brief Frees a tokenizer; NULL is fine. */
void tokenizer_destroy(Tokenizer *tokenizer);

/** @brief Returns the number of ids; they are below it. A few may be holes, without a token. */
size_t tokenizer_vocab_size(const Tokenizer *tokenizer);

/**
 * @brief Finds the ids that have a token: those that a text can have.
 * @param[out] has_token  (count) by id: true if it is below the vocabulary's size and no hole
 * @param[in]  count      any number, such as the vocabulary's size of a model
 * @return how many of them have one
 */
size_t tokenizer_find_tokens(bool *has_token, size_t count, const Tokenizer *tokenizer);

/** @brief Returns the bytes of a token, valid as long as the tokenizer; @p id must be below the vocabulary's size. */
ByteString tokenizer_token(const Tokenizer *tokenizer, int32_t id);

/** @brief Returns the id of the special token with this text, else the lowest id of a token with these bytes, or -1. */
int32_t tokenizer_find(const Tokenizer *tokenizer, ByteString token);

/**
 * @brief Returns the id of the token between documents, which starts a text and ends it: TOKENIZER_DOCUMENT_END, or -1
 * if the vocabulary lacks it. With a tokenizer of llama2.c it is LLAMA2C_BOS, which its program run.c takes for both.
 */
int32_t tokenizer_document_end(const Tokenizer *tokenizer);

/**
 * @brief Returns the id of a pre-token that is a token itself, if the model then ignores its merges; else -1.
 * @see BPEModel.ignore_merges
 */
int32_t tokenizer_whole_token(const Tokenizer *tokenizer, ByteString pretoken);

/* ---- decoding ---- */

/**
 * @brief Returns the bytes that a token adds to a text.
 *
 * They are those of tokenizer_token(), but for one case: SentencePiece puts a blank before each text that it encodes.
 * So with a tokenizer that is decode_only, a token loses the blank at its beginning if the token that starts a text,
 * LLAMA2C_BOS, comes before it.
 * @param tokenizer  the tokenizer
 * @param previous   the id before it, or -1 if there is none
 * @param id         below the vocabulary's size
 */
ByteString tokenizer_token_after(const Tokenizer *tokenizer, int32_t previous, int32_t id);

/**
 * @brief Checks that all ids have a token.
 * @param tokenizer  the tokenizer
 * @param ids        any numbers; @p count of them
 * @param name       where they come from, for the message
 * @param position   of the first one there, for the message
 * @retval CS336_ERANGE  an id is not in the vocabulary, or is a hole
 */
CS336_MUST_CHECK Status tokenizer_check_ids(const Tokenizer *tokenizer, const int32_t *ids, size_t count,
                                            const char *name, size_t position);

/**
 * @brief Appends the exact bytes of the tokens.
 * @retval CS336_ERANGE  an id is not in the vocabulary, or is a hole; the message names it, and text is unchanged
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_decode(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count);

/**
 * @brief The same as tokenizer_decode() for ids that go on a text: @p previous is the last id before them, or -1. Only
 * a tokenizer that is decode_only takes notice of it: see tokenizer_token_after().
 * @retval CS336_ERANGE, CS336_ENOMEM  as tokenizer_decode()
 */
CS336_MUST_CHECK Status tokenizer_decode_after(const Tokenizer *tokenizer, ByteList *text, int32_t previous,
                                               const int32_t *ids, size_t count);

/**
 * @brief The same as tokenizer_decode(), but malformed UTF-8 becomes U+FFFD as with Python's `errors="replace"`.
 * For tokens that come one by one, see utf8_replace().
 * @retval CS336_ERANGE, CS336_ENOMEM  as tokenizer_decode()
 */
CS336_MUST_CHECK Status tokenizer_decode_replace(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids,
                                                 size_t count);

CS336_API_END

#endif

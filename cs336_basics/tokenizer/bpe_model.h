/**
 * @file
 * @brief What BPE training produces and a tokenizer is built from: the vocabulary, and the merges by rank.
 *
 * - Ids are 0 to vocab_size - 1. An id that a file skips is a hole: a token without bytes. No text is encoded to it,
 *   generating never draws it, and decoding refuses it.
 * - A token is ordinary if it is a byte or if text may be merged to it. A special token may have the same bytes as an
 *   ordinary one and yet another id.
 * - A zeroed model is empty and ready. It owns its bytes. A token's ByteString is valid until the model changes.
 */
#ifndef CS336_TOKENIZER_BPE_MODEL_H
#define CS336_TOKENIZER_BPE_MODEL_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/pattern.h"
#include "tokenizer/text_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief The token between documents, in the course's texts and in GPT-2's vocabulary. */
#define TOKENIZER_DOCUMENT_END "<|endoftext|>"

enum { BYTE_VALUES = 256 /**< values of a byte; the vocabulary has a token for each */ };

/** @brief A merge: the bytes of token `merged` are those of `left`, followed by those of `right`. */
typedef struct {
    int32_t left, /**< id of the first token of the pair */
        right,    /**< id of the second */
        merged;   /**< id of the token that replaces both */
} BPEMerge;

/** @brief Which entry of the vocabulary a special token has. */
typedef enum {
    SPECIAL_OWN,      /**< an entry of its own, whose bytes are its text */
    SPECIAL_UNNAMED,  /**< the same, of a file that has it although the caller did not name it */
    SPECIAL_AS_BYTES, /**< that of the ordinary token with the same bytes */
    SPECIAL_SHARED /**< that of an ordinary token with other bytes, since a file writes both alike; decoding gives the
                        ordinary token's bytes */
} BPESpecialKind;

/** @brief A special token of a model. Its text is the one of the same number in BPEModel.special_texts. */
typedef struct {
    int32_t id;          /**< of its entry */
    BPESpecialKind kind; /**< says whose entry it is */
    bool late;           /**< found only between the tokens that are not late: "normalized" in a tokenizer.json */
} BPESpecial;

/** @brief Steps around the encoding that a tokenizer.json may ask for, and that are left out here. */
typedef enum {
    LEFT_OUT_POST_PROCESSOR = 1, /**< adds tokens to each text, such as one that begins it */
    LEFT_OUT_TRUNCATION = 2,     /**< cuts long texts */
    LEFT_OUT_PADDING = 4,        /**< makes texts equally long */
    LEFT_OUT_SPELLING = 8        /**< without a decoder, decoding keeps the tokens as the file spells them */
} BPELeftOut;

/** @brief A vocabulary and its merges. It owns all its arrays. */
typedef struct {
    size_t vocab_size,       /**< number of tokens; ids are below it */
        merge_count;         /**< number of merges; ranks are below it */
    BPEMerge *merges;        /**< by rank: in the order in which they were learned */
    ByteList bytes;          /**< of all tokens, without gaps, by id */
    size_t *ends;            /**< by id: where the token ends in bytes */
    size_t token_capacity,   /**< tokens that there is room for */
        merge_capacity;      /**< merges that there is room for */
    BPESpecial *specials;    /**< the special tokens that the model knows */
    size_t special_count,    /**< number of special tokens */
        special_capacity;    /**< special tokens that there is room for */
    TextTable special_texts; /**< of the special tokens, in the order of specials */
    PretokenPattern pattern; /**< how text is split before the merges are applied */
    bool decode_only;        /**< it is llama2.c's (files/llama2c_tokenizer.h): no merges, so no text can be encoded */
    bool ignore_merges;      /**< a pre-token that is an ordinary token becomes it, even if no merges lead there */
    unsigned left_out;       /**< BPELeftOut bits: what the file asks for beyond the ids of a text */
} BPEModel;

/**
 * @brief Checks that a model can encode, or be written in a format that has merges.
 * @param function  the caller's name, for the message
 * @param model     any model
 * @retval CS336_ERANGE  it is decode_only
 */
CS336_MUST_CHECK Status bpe_model_check_merges(const char *function, const BPEModel *model);

/** @brief Returns the bytes of a token; @p id must be below vocab_size. */
ByteString bpe_model_token(const BPEModel *model, int32_t id);

/**
 * @brief Adds a token; its id is vocab_size before the call.
 * @retval CS336_ERANGE  the model has INT32_MAX tokens
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_model_add_token(BPEModel *model, ByteString token);

/** @brief Adds a merge of three tokens that the model has. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_model_add_merge(BPEModel *model, BPEMerge merge);

/**
 * @brief Adds the token that joins two others, and the merge that makes it.
 * @retval CS336_ERANGE, CS336_ENOMEM  as bpe_model_add_token()
 */
CS336_MUST_CHECK Status bpe_model_merge(BPEModel *model, int32_t left, int32_t right);

/**
 * @brief Gives tokens other bytes, all at once. No merge may have such a token.
 * @param tokens  (vocab_size) by id: the bytes; a token stays as it is where they are NULL
 * @retval CS336_ENOMEM  the model is unchanged
 */
CS336_MUST_CHECK Status bpe_model_replace_tokens(BPEModel *model, const ByteString *tokens);

/** @brief Copies a model; the copy shares no memory with the original. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_model_copy(BPEModel *copy, const BPEModel *model);

/** @brief Frees the memory and leaves an empty model, which may be used again. */
void bpe_model_deinit(BPEModel *model);

/**
 * @brief Returns what is left out of what the model's file asks for, a sentence without the file's name and the full
 * stop.
 * @param index  0, 1, ...: which one
 * @return NULL from the number of such sentences on
 */
const char *bpe_model_note(const BPEModel *model, size_t index);

/* ---- special tokens ---- */

/** @brief Returns the text of special token @p index, which must be below special_count. */
ByteString bpe_model_special_text(const BPEModel *model, size_t index);

/** @brief Returns the index of a special token in BPEModel.specials, or -1. */
int64_t bpe_model_find_special(const BPEModel *model, ByteString text);

/** @brief Returns the index of the special token whose own entry this is, so that no text is merged to it; or -1. */
int64_t bpe_model_special_of(const BPEModel *model, int32_t id);

/** @brief True if the token is the entry of a special token alone: see bpe_model_special_of(). */
bool bpe_model_is_special(const BPEModel *model, int32_t id);

/**
 * @brief Records that a text is a special token with this id.
 * @param kind  SPECIAL_OWN or SPECIAL_UNNAMED only if the text is the bytes of token @p id
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_model_set_special(BPEModel *model, ByteString text, int32_t id, BPESpecialKind kind);

/**
 * @brief Adds a special token with an entry of its own.
 * @retval CS336_ERANGE, CS336_ENOMEM  as bpe_model_add_token()
 */
CS336_MUST_CHECK Status bpe_model_add_special(BPEModel *model, ByteString text);

/**
 * @brief Makes texts special tokens, in the given order: each keeps the id that the model has for it as a special
 * token, or gets that of the token with the same bytes, or a new one.
 * @retval CS336_ERANGE, CS336_ENOMEM  as bpe_model_add_token()
 */
CS336_MUST_CHECK Status bpe_model_name_specials(BPEModel *model, const ByteString *texts, size_t count);

/* ---- finding pairs and tokens ---- */

/**
 * @brief Returns the hash of a pair of neighbouring tokens, for tables of merges and of pairs.
 * Multiplying by a large odd number carries each bit upwards; `z >> 32` brings the upper half back down.
 */
static inline uint64_t token_pair_hash(int32_t left, int32_t right)
{
    uint64_t z = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93U;
    return z ^ (z >> 32);
}

/** @brief A hash table from bytes to ids, with open addressing. */
typedef struct {
    const BPEModel *model; /**< the caller's; it has the bytes of the tokens */
    int32_t *slots;        /**< ids; -1: a free slot */
    size_t slot_mask;      /**< number of slots - 1, a power of two minus 1 */
} TokenIndex;

/**
 * @brief Indexes the tokens of a model. Tokens that are added to the model later are not found; otherwise the model
 * must not change while the index is used.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_index_init(TokenIndex *index, const BPEModel *model);

/** @brief Returns the lowest id of an ordinary token with these bytes, else of a special token's entry, or -1. */
int32_t token_index_find(const TokenIndex *index, ByteString token);

/** @brief The same as token_index_find() of a single byte. */
int32_t token_index_find_byte(const TokenIndex *index, uint8_t byte);

/** @brief Frees the slots; a zeroed index is fine. The model stays. */
void token_index_deinit(TokenIndex *index);

CS336_API_END

#endif

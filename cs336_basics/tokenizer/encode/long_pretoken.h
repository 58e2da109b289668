/**
 * @file
 * @brief Encodes a pre-token of any length from left to right, in a time that is proportional to its length: exactly,
 * and without keeping its text.
 *
 * Merges are applied by rank, wherever they are: the first one may be at the end of a gigabyte of letters. So this
 * module does not merge. It finds the ids from the rule of token_pairs.h: tokens are the encoding of their bytes if
 * each is canonical and each is compatible with the next.
 *
 * **The last token of each prefix.** Each prefix of the pre-token has one encoding, and this ends with one token. That
 * token ends where the prefix ends, and is compatible with the last token of the prefix without it. No other canonical
 * token has these two properties, because by the rule it would end another encoding of the same prefix. So the last
 * tokens are found one after the other: last[i], of the prefix of i bytes, is the one token t that ends at byte i (the
 * automaton knows them all) and is compatible with last[i - length(t)].
 *
 *     merges: a + a, aa + a
 *     text    a    a    a    a    a
 *     last    a    aa   aaa  aa   aaa
 *
 *     Three tokens end at byte 4. aaa would stand behind last[1] = a, but the bytes of both become aa aa: not
 * compatible. aa stands behind last[2] = aa, and the bytes of both stay aa aa: compatible, so last[4] = aa.
 *
 * The encoding of a prefix is read backwards: its last token, then the last token of what is before it, and so on.
 * Above, from byte 5: aaa, then last[2] = aa.
 *
 * **What can go out.** After n bytes, the next tokens are not known. But a token that goes on beyond byte n begins at
 * one of few places: where the text up to n begins a token. From each such place the way back is known. Where all these
 * ways have come together, everything before is final and goes out. One sweep finds that place. It is made when what is
 * not final has doubled since the last sweep (and is at least 4096 bytes), so it costs a constant time for each byte.
 *
 * **Memory** is 9 bytes for each byte that is not final. For text and for runs of any kind that is a small multiple of
 * the longest token. But there are vocabularies and texts in which the first id hangs on the last byte, however far
 * it is (a chain of merges, each of which waits for the one to its right). Then nothing can go out before the end, and
 * memory grows with the pre-token.
 *
 * **Time** is constant for each byte where the text repeats itself: its last tokens repeat themselves too, so that one
 * test finds each of them. Elsewhere a byte costs as many tests as there are canonical tokens that end there, at most.
 * A small cache has the answers to most tests.
 */
#ifndef CS336_TOKENIZER_ENCODE_LONG_PRETOKEN_H
#define CS336_TOKENIZER_ENCODE_LONG_PRETOKEN_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"
#include "tokenizer/encode/token_automaton.h"
#include "tokenizer/encode/token_pairs.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/* ---- what all long pre-tokens of a tokenizer share ---- */

/** @brief The canonical tokens of a model, and what finds them in text. */
typedef struct {
    TokenPairs pairs;         /**< pairs.in_order: false if this model cannot be encoded from left to right */
    TokenAutomaton automaton; /**< empty unless the model is in order */
} LongTables;

/**
 * @brief The tables of a tokenizer. They are made when its first long pre-token comes: most texts have none, and a
 * tokenizer is to be ready at once. Any thread may be the first.
 */
typedef struct LazyLongTables LazyLongTables;

/** @brief Makes an empty place for the tables. @param[out] lazy  NULL on failure @retval CS336_ENOMEM */
CS336_MUST_CHECK Status lazy_long_tables_create(LazyLongTables **lazy);

/** @brief Frees the tables; NULL is fine. */
void lazy_long_tables_destroy(LazyLongTables *lazy);

/**
 * @brief Returns the tables, and makes them if no thread has done so. Several threads may call it at once.
 * @param[out] tables  valid as long as @p lazy
 * @param[in]  model   the tokenizer's
 * @param[in]  merges  of the same model
 * @retval CS336_ENOMEM, CS336_ERANGE  as token_pairs_init() and token_automaton_init()
 */
CS336_MUST_CHECK Status lazy_long_tables_get(LazyLongTables *lazy, const LongTables **tables, const BPEModel *model,
                                             const MergeTable *merges);

/* ---- one long pre-token ---- */

/** @brief A pre-token of which some bytes have come. Zeroed, it is empty and has no memory. */
typedef struct {
    const LongTables *tables; /**< of a model in order */
    /**
     * last[0] is the last token that is final, -1: none. last[i] is the last token of the text up to the i-th byte that
     * is not final.
     */
    int32_t *last;
    int32_t *longest;     /**< by index in last: the longest token that ends there */
    uint8_t *open;        /**< by index in last: 1 if a way back goes through; used by a sweep only */
    size_t count,         /**< bytes that are not final */
        capacity,         /**< room in last */
        longest_capacity, /**< room in longest */
        open_capacity,    /**< room in open */
        period,           /**< the guess for last[i] is last[i - period]; at least 1 */
        next_sweep,       /**< when count reaches it, a sweep looks for what is final */
        least_sweep;      /**< the lowest such count; 0 becomes 4096. Tests set it lower, before a pre-token begins */
    int32_t node;         /**< of the automaton, after all bytes that have come */
    PairAnswer *answers;  /**< a direct-mapped cache of pairs: see token_pairs_fit() */
} LongPretoken;

/**
 * @brief Begins a pre-token.
 * @param tables  of a model in order, the same ones each time for one LongPretoken
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status long_pretoken_begin(LongPretoken *pretoken, const LongTables *tables);

/**
 * @brief Takes the next bytes, and passes on the ids that no further byte can change.
 * @retval CS336_ENOMEM  or what the sink returned; the pre-token cannot go on then
 */
CS336_MUST_CHECK Status long_pretoken_feed(LongPretoken *pretoken, const uint8_t *bytes, size_t length, TokenSink *sink,
                                           void *context);

/** @brief Ends the pre-token and passes on the remaining ids. @return CS336_OK, or what the sink returned */
CS336_MUST_CHECK Status long_pretoken_finish(LongPretoken *pretoken, TokenSink *sink, void *context);

/** @brief Frees the memory and leaves an empty struct, which may be used again. */
void long_pretoken_deinit(LongPretoken *pretoken);

CS336_INTERNAL_END

#endif

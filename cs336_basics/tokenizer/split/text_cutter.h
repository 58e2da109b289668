/**
 * @file
 * @brief Cuts a stream into chunks that can be tokenized without each other, so that several threads share it.
 *
 * A chunk ends at the last safe cut (cut.h) of the bytes read so far. What is behind the cut begins the next chunk.
 * Nearly every text has a safe cut in its last kilobyte. A text without white space may have none for long; then the
 * caller chooses: the chunk grows until it has one, or it is passed on unfinished and the next chunk continues it.
 */
#ifndef CS336_TOKENIZER_SPLIT_TEXT_CUTTER_H
#define CS336_TOKENIZER_SPLIT_TEXT_CUTTER_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/pattern.h"
#include "tokenizer/split/special_tokens.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief What becomes of a chunk without a safe cut. */
typedef enum {
    CUT_GROW,    /**< it grows: for a caller that needs the whole of each pre-token */
    CUT_CONTINUE /**< it ends anyway, so that memory is bounded; only its last CUT_SEARCH_MOST bytes are searched */
} CutPolicy;

/** @brief A stream that is being cut. It owns what it has read ahead. */
typedef struct {
    const TextStream *stream;     /**< the caller's */
    const SpecialTokens *special; /**< the caller's; no chunk ends inside one */
    PretokenPattern pattern;      /**< splits the text between them; no chunk ends inside a pre-token */
    size_t chunk_bytes;           /**< nominal length of a chunk, at least 1 */
    CutPolicy policy;             /**< what becomes of a chunk without a safe cut */
    ByteList ahead;               /**< read, but behind the latest cut */
    bool ended;                   /**< the stream has ended */
    bool unfinished;              /**< the latest chunk has no safe cut at its end */
} TextCutter;

/** @brief Some bytes of the stream. A zeroed one is empty; it keeps its memory from one use to the next. */
typedef struct {
    ByteList bytes; /**< the chunk and what follows it: all of them may be read */
    size_t length;  /**< bytes of the chunk; 0: the stream has ended */
    bool begins;    /**< the chunk begins at a safe cut or with the stream */
    bool ends;      /**< it ends at a safe cut or with the stream */
} TextChunk;

/** @brief Prepares to cut a stream; nothing is read yet. */
void text_cutter_begin(TextCutter *cutter, const TextStream *stream, const SpecialTokens *special,
                       PretokenPattern pattern, size_t chunk_bytes, CutPolicy policy);

/**
 * @brief Reads the next chunk.
 * @retval CS336_ENOMEM  or what the stream returned; the cutter can then only be ended
 */
CS336_MUST_CHECK Status text_cutter_next(TextCutter *cutter, TextChunk *chunk);

/** @brief Frees what the cutter owns. A zeroed cutter is fine. */
void text_cutter_end(TextCutter *cutter);

CS336_INTERNAL_END

#endif

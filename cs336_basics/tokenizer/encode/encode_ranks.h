/**
 * @file
 * @brief Encodes texts with all ranks (distributed/ranks.h), on one machine or several; rank 0 gets the ids in order.
 *
 * - The texts are cut into tasks, numbered in the order of the texts: each chunk of a file of plain text, and each
 *   stream as a whole. A rank asks rank 0 for a task before it has finished the one before. So a rank that is slower,
 *   or rank 0, which also writes, encodes fewer of them.
 * - Ids travel to rank 0 in pieces of at most ENCODE_PIECE_IDS ids, two bytes each if the vocabulary has at most 65536
 *   tokens, else four. Rank 0 receives only pieces of the task whose turn it is. A rank keeps at most ENCODE_PIECES
 *   pieces; then it waits. So memory is bounded on all ranks, whatever the length of the texts.
 * - No rank but 0 writes a file, so the ranks need no directory that all of them can reach.
 * - Each rank has one thread that sends and receives, beside those that encode. It looks for messages every 0.1 ms, and
 *   sleeps in between.
 * - Rank 0 alone reads standard input and pipes, which other hosts do not have.
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODE_RANKS_H
#define CS336_TOKENIZER_ENCODE_ENCODE_RANKS_H

#include "core/api.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/input_texts.h"

CS336_INTERNAL_BEGIN

enum {
    ENCODE_PIECE_IDS = 1 << 17, /**< 256 KiB at two bytes for each: about the ids of a chunk */
    ENCODE_PIECES = 8           /**< pieces that a rank keeps until rank 0 receives them: 4 MiB at most */
};

/** @brief Where the ids go. Only rank 0 calls the functions, and one thread at a time; it may be another one than the
 * caller of encode_ranks(). */
typedef struct {
    TokenSink *sink;                                             /**< gets the ids of all texts */
    void (*text_ended)(void *context, size_t index);             /**< all ids of a text have gone to the sink */
    void (*progress)(void *context, size_t index, size_t bytes); /**< so many more bytes of a text are encoded */
    void *context;                                               /**< passed to all three */
} EncodeOutput;

/**
 * @brief Encodes texts; each rank reads them from its own disk. Collective.
 * @param tokenizer  the same on all ranks
 * @param texts      the same on all ranks; streams are read to their ends
 * @param output     used by rank 0
 * @param config     its progress, context and share are not used
 * @return the same on all ranks, as ranks_agree() gives it
 * @retval CS336_EFORMAT  a rank's tokenizer is another one than rank 0's
 * @retval CS336_EIO      a rank's files differ from rank 0's (input_texts_agree()), or cannot be read
 * @retval others         as encode_input(), or what the sink returned
 */
CS336_MUST_CHECK Status encode_ranks(const Tokenizer *tokenizer, const InputTexts *texts, const EncodeOutput *output,
                                     const EncodeConfig *config);

CS336_INTERNAL_END

#endif

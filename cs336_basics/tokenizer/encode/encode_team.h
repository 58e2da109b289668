/**
 * @file
 * @brief What the threads of one rank share in encode_ranks(): those that encode, and the one that sends and receives.
 *
 * The messages:
 *
 *     to rank 0     ASK      give me a task
 *     to the others TASK     the number of a task; at last NO_TASK if all is written, or STOP if a rank has failed
 *     to rank 0     PIECE    a PieceHead and ids, in the order of the sender's tasks
 *     to rank 0     FAILED   this rank cannot go on
 *     to rank 0     LEFT     nothing follows from this rank
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODE_TEAM_H
#define CS336_TOKENIZER_ENCODE_ENCODE_TEAM_H

#include "core/api.h"
#include "core/parallel.h"
#include "distributed/ranks.h"
#include "tokenizer/encode/encode_ranks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief The beginning of a piece. */
typedef struct {
    uint64_t task,  /**< the ids are of this task */
        text_bytes; /**< of the text, since the piece before */
    uint32_t count, /**< ids */
        last;       /**< 1 if no piece of this task follows */
} PieceHead;

/** @brief A piece as it is sent: the head, and as many ids as it says, of Team.width bytes. */
typedef struct {
    PieceHead head;                                  /**< which task, and how many ids */
    uint8_t ids[ENCODE_PIECE_IDS * sizeof(int32_t)]; /**< room for the most ids, at their largest width */
} Piece;

enum { TEAM_OWNERS = 1 << 16 /**< most tasks that are given out and not written */ };

/** @brief What only rank 0 has. Its sending thread alone uses it. */
typedef struct {
    const EncodeOutput *output; /**< where the ids are written */
    size_t next,                /**< the first task that was not given out */
        written;                /**< the first task that is not written */
    int *owners;                /**< by task, modulo TEAM_OWNERS: who encodes it. Tasks from `written` to `next` */
    size_t *kept,               /**< tasks that only rank 0 can do, and that were passed over when others asked */
        kept_count,             /**< elements of `kept` */
        kept_taken;             /**< how many of them rank 0 has taken */
    size_t *asked;              /**< by rank: tasks that it has asked for and not got */
    size_t text;                /**< the text of task `written` */
    int left;                   /**< ranks that have left */
    bool ended;                 /**< NO_TASK or STOP was sent */
    Piece *incoming;            /**< the latest piece of another rank */
    int32_t *ids;               /**< its ids */
} TeamLead;

/** @brief What the threads of a rank share. Fields below `mutex` are read and written while it is held. */
typedef struct {
    const Tokenizer *tokenizer; /**< borrowed, as the next two */
    const InputTexts *texts;    /**< what is encoded */
    const EncodeConfig *config; /**< how */
    size_t *first_task;         /**< (texts->count + 1) by text: number of its first task; then the number of tasks */
    size_t width,               /**< bytes of an id in a piece */
        ahead,                  /**< tasks that are asked for before a thread needs them */
        ring;                   /**< elements of `tasks` */
    TeamLead lead;              /**< of rank 0 */
    /* the threads that encode, one at a time */
    Piece *open;       /**< the piece that is being filled, or NULL */
    size_t text_bytes; /**< encoded since the last piece */
    size_t text_turn;  /**< the rank's first task of the text, counted from the rank's first task on */
    size_t text;       /**< the text that is being encoded */
    /* the thread that sends */
    size_t asked;                           /**< tasks that this rank has asked for */
    size_t sending;                         /**< pieces whose transfer has begun */
    RanksTransfer transfers[ENCODE_PIECES]; /**< of `pieces` */
    bool told_failure;                      /**< FAILED was sent */

    pthread_mutex_t mutex;   /**< of the fields below */
    pthread_cond_t changed;  /**< a task has come, `beyond` is smaller, a piece is free, or the end */
    size_t *tasks;           /**< by the rank's own count, modulo `ring`: the tasks that it was given */
    size_t given,            /**< how many it was given */
        needed,              /**< how many threads have needed so far */
        beyond;              /**< the first of them that is not of the text that is being encoded, or SIZE_MAX */
    Piece *pieces;           /**< (ENCODE_PIECES) a ring */
    size_t first,            /**< the oldest piece that is not sent */
        filled;              /**< how many are filled */
    bool stopped,            /**< this or another rank has failed: nothing more is encoded */
        failed,              /**< this rank has failed, before another one stopped it */
        no_task,             /**< no further task comes */
        finished;            /**< the threads that encode have ended */
    ParallelFailure failure; /**< of the thread that sends */
} Team;

/**
 * @brief Waits for a task of this rank.
 * @param      turn  the rank's tasks before it, since the beginning
 * @param[out] task  its number
 * @return false: there is none, or it is of a later text than the one that is being encoded
 */
bool team_take_task(Team *team, size_t turn, size_t *task);

/**
 * @brief The `take` of an EncodeShare: waits for a chunk of the text that is being encoded.
 * @param      team   a Team
 * @param      turn   the rank's chunks of this text before it
 * @param[out] chunk  its number within the text
 * @return false: no further chunk of this text is for this rank
 */
bool team_take_chunk(void *team, size_t turn, size_t *chunk);

/** @brief The thread that sends and receives. @param team  a Team @return NULL */
void *team_communicate(void *team);

CS336_INTERNAL_END

#endif

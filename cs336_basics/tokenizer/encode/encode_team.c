#define _POSIX_C_SOURCE 200809L
#include "tokenizer/encode/encode_team.h"

#include "core/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAP = 100000 /* nanoseconds between two looks for messages; encoding a chunk takes some 2 ms */ };

/* Tags of messages. */
enum { TO_LEAD, TASK, PIECE };

/* What a message to rank 0 says, apart from pieces. */
typedef enum { ASK, FAILED, LEFT } Word;

/* In place of the number of a task. */
static const uint64_t NO_TASK = UINT64_MAX, STOP = UINT64_MAX - 1;

/* Sends a message of a few bytes, which MPI keeps until it is received. */
static void send_short(int to, int tag, const void *data, size_t bytes)
{
    RanksTransfer transfer;
    if (ranks_start_send(&transfer, to, tag, data, bytes)) /* the other rank waits for the message */
        ranks_abort(EXIT_FAILURE);
    while (!ranks_transfer_is_complete(&transfer))
        ;
}

static void tell_lead(Word word)
{
    send_short(0, TO_LEAD, &word, sizeof word);
}

/* ---- the tasks of this rank ---- */

/* The mutex is held. */
static bool wait_for_task(Team *team, size_t turn, size_t *task)
{
    if (turn >= team->beyond)
        return false;
    if (team->needed < turn + 1)
        team->needed = turn + 1;
    while (team->given <= turn && turn < team->beyond && !team->no_task && !team->stopped)
        pthread_cond_wait(&team->changed, &team->mutex);
    if (team->given <= turn || turn >= team->beyond || team->stopped)
        return false;
    *task = team->tasks[turn % team->ring];
    return true;
}

bool team_take_task(Team *team, size_t turn, size_t *task)
{
    pthread_mutex_lock(&team->mutex);
    const bool taken = wait_for_task(team, turn, task);
    pthread_mutex_unlock(&team->mutex);
    return taken;
}

/*
 * A thread that finds a task of a later text wakes those that wait for tasks behind it: they are of a later text, too,
 * and may not come before this text is left.
 */
bool team_take_chunk(void *context, size_t turn, size_t *chunk)
{
    Team *team = context;
    const size_t own_turn = team->text_turn + turn;
    pthread_mutex_lock(&team->mutex);
    bool taken = wait_for_task(team, own_turn, chunk);
    if (taken && *chunk >= team->first_task[team->text + 1]) {
        taken = false;
        team->beyond = own_turn;
        pthread_cond_broadcast(&team->changed);
    }
    pthread_mutex_unlock(&team->mutex);
    *chunk -= taken ? team->first_task[team->text] : 0;
    return taken;
}

/* ---- what the threads that encode see ---- */

static void give_task(Team *team, size_t task)
{
    pthread_mutex_lock(&team->mutex);
    assert(team->given < team->needed + team->ahead);
    team->tasks[team->given++ % team->ring] = task;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

static void end_tasks(Team *team, bool stopped)
{
    pthread_mutex_lock(&team->mutex);
    team->no_task = true;
    team->stopped = team->stopped || stopped;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

/* Ends the encoding on this rank with the failure of the calling thread. */
static void fail(Team *team, Status s)
{
    parallel_fail(&team->failure, s);
    pthread_mutex_lock(&team->mutex);
    team->stopped = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

/* The fields that the threads that encode change. */
typedef struct {
    size_t wanted, filled;
    bool stopped, finished;
} Seen;

static Seen look(Team *team)
{
    pthread_mutex_lock(&team->mutex);
    const Seen seen = {.wanted = team->needed + team->ahead - team->asked,
                       .filled = team->filled,
                       .stopped = team->stopped,
                       .finished = team->finished};
    pthread_mutex_unlock(&team->mutex);
    return seen;
}

/* Frees the oldest piece. */
static void drop_piece(Team *team)
{
    pthread_mutex_lock(&team->mutex);
    team->first = (team->first + 1) % ENCODE_PIECES;
    team->filled--;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

/* A thread that waits for a task or a piece does not look at the flag, so this one does. */
static void check_stop(Team *team, Seen seen)
{
    if (!seen.stopped && !seen.finished && parallel_stop_asked(team->config->stop))
        fail(team, status_fail(CS336_EINTERRUPTED, "interrupted"));
}

/* ---- the other ranks ---- */

static size_t piece_bytes(const Team *team, const Piece *piece)
{
    return sizeof piece->head + piece->head.count * team->width;
}

/* Begins to send what is filled, and frees what was sent. True if something was. */
static bool send_pieces(Team *team, size_t filled)
{
    const size_t before = team->sending;
    for (; team->sending < filled; team->sending++) {
        const size_t slot = (team->first + team->sending) % ENCODE_PIECES;
        if (ranks_start_send(&team->transfers[slot], 0, PIECE, &team->pieces[slot],
                             piece_bytes(team, &team->pieces[slot])))
            ranks_abort(EXIT_FAILURE);
    }
    bool sent = team->sending > before;
    for (; team->sending > 0 && ranks_transfer_is_complete(&team->transfers[team->first]); team->sending--) {
        drop_piece(team);
        sent = true;
    }
    return sent;
}

/* Asks for tasks, and passes on those that have come. True if one has. */
static bool receive_tasks(Team *team, size_t wanted)
{
    uint64_t task;
    size_t bytes;
    int lead = 0;
    bool received = false;
    for (; !team->no_task && wanted > 0; wanted--, team->asked++)
        tell_lead(ASK);
    while (!team->no_task && ranks_receive(&lead, TASK, &task, sizeof task, &bytes)) {
        received = true;
        if (task == NO_TASK || task == STOP)
            end_tasks(team, task == STOP);
        else
            give_task(team, (size_t)task);
    }
    return received;
}

static void follow(Team *team)
{
    static const struct timespec nap = {.tv_nsec = NAP};
    for (bool left = false; !left;) {
        Seen seen = look(team);
        check_stop(team, seen);
        if (seen.stopped && !team->told_failure && !team->no_task) {
            tell_lead(FAILED);
            team->told_failure = true;
        }
        const bool received = receive_tasks(team, seen.stopped ? 0 : seen.wanted);
        const bool sent = send_pieces(team, seen.filled);
        left = seen.finished && team->no_task && seen.filled == 0;
        if (!left && !received && !sent)
            nanosleep(&nap, NULL);
    }
    tell_lead(LEFT);
}

/* ---- rank 0 ---- */

static size_t task_count(const Team *team)
{
    return team->first_task[team->texts->count];
}

/* True if only rank 0 can read the text of a task: standard input or a pipe. */
static bool is_for_lead(const Team *team, size_t task)
{
    size_t low = 0, high = team->texts->count; /* the last text whose first task is not behind this one */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (team->first_task[middle] <= task)
            low = middle;
        else
            high = middle;
    }
    return !team->texts->items[low].is_plain && team->texts->items[low].size == 0;
}

/* Chooses the next task for a rank. False: there is none at the moment. */
static bool next_task(Team *team, int rank, size_t *task)
{
    TeamLead *lead = &team->lead;
    if (rank == 0 && lead->kept_taken < lead->kept_count) {
        *task = lead->kept[lead->kept_taken++];
        return true;
    }
    while (lead->next < task_count(team) && lead->next - lead->written < TEAM_OWNERS) {
        *task = lead->next++;
        const bool kept = rank != 0 && is_for_lead(team, *task);
        lead->owners[*task % TEAM_OWNERS] = kept ? 0 : rank;
        if (!kept)
            return true;
        lead->kept[lead->kept_count++] = *task;
    }
    return false;
}

/* Gives tasks to all ranks that have asked for one, the same number to each in turn. True if one was given. */
static bool give_tasks(Team *team)
{
    bool given = false;
    for (bool again = true; again;) {
        again = false;
        for (int rank = 0; rank < ranks_count(); rank++) {
            size_t task;
            if (team->lead.asked[rank] == 0 || !next_task(team, rank, &task))
                continue;
            const uint64_t number = task;
            if (rank == 0)
                give_task(team, task);
            else
                send_short(rank, TASK, &number, sizeof number);
            team->lead.asked[rank]--;
            given = again = true;
        }
    }
    return given;
}

/* Reads the messages of the other ranks. True if there was one. */
static bool hear(Team *team)
{
    Word word;
    size_t bytes;
    bool heard = false;
    for (int from = -1; ranks_receive(&from, TO_LEAD, &word, sizeof word, &bytes); from = -1) {
        heard = true;
        if (word == ASK)
            team->lead.asked[from]++;
        else if (word == LEFT)
            team->lead.left++;
        else
            end_tasks(team, true);
    }
    return heard;
}

/* Says so when all ids of a text are written; a text may be empty. */
static void end_texts(Team *team)
{
    TeamLead *lead = &team->lead;
    for (; lead->text < team->texts->count && team->first_task[lead->text + 1] <= lead->written; lead->text++)
        lead->output->text_ended(lead->output->context, lead->text);
}

/* Passes a piece of the task whose turn it is on to the output. */
static void write_piece(Team *team, const Piece *piece)
{
    TeamLead *lead = &team->lead;
    const EncodeOutput *output = lead->output;
    const size_t count = piece->head.count;
    if (team->width == sizeof *lead->ids)
        memcpy(lead->ids, piece->ids, count * team->width);
    else
        for (size_t i = 0; i < count; i++) {
            uint16_t id;
            memcpy(&id, piece->ids + i * sizeof id, sizeof id);
            lead->ids[i] = id;
        }
    const Status s = count ? output->sink(output->context, lead->ids, count) : CS336_OK;
    if (s) {
        fail(team, s);
        return;
    }
    output->progress(output->context, lead->text, (size_t)piece->head.text_bytes);
    if (piece->head.last) {
        assert(piece->head.task == lead->written);
        lead->written++;
        end_texts(team);
    }
}

/* Writes the next piece, if it is here. True if it was. */
static bool write_next(Team *team, size_t filled)
{
    TeamLead *lead = &team->lead;
    if (lead->written == lead->next)
        return false;
    int owner = lead->owners[lead->written % TEAM_OWNERS];
    size_t bytes;
    if (owner == 0 && filled > 0) {
        write_piece(team, &team->pieces[team->first]);
        drop_piece(team);
        return true;
    }
    if (owner == 0 || !ranks_receive(&owner, PIECE, lead->incoming, sizeof *lead->incoming, &bytes))
        return false;
    write_piece(team, lead->incoming);
    return true;
}

/* After a failure: receives what other ranks still send. True if there was something. */
static bool discard(Team *team)
{
    size_t bytes;
    bool discarded = false;
    for (int from = -1; ranks_receive(&from, PIECE, team->lead.incoming, sizeof *team->lead.incoming, &bytes);
         from = -1)
        discarded = true;
    return discarded;
}

/* Tells all ranks that no task follows. */
static void end_all(Team *team, bool stopped)
{
    for (int rank = 1; rank < ranks_count(); rank++)
        send_short(rank, TASK, stopped ? &STOP : &NO_TASK, sizeof NO_TASK);
    team->lead.ended = true;
    end_tasks(team, stopped);
}

static void lead_all(Team *team)
{
    static const struct timespec nap = {.tv_nsec = NAP};
    end_texts(team);
    for (bool over = false; !over;) {
        bool busy = hear(team);
        Seen seen = look(team);
        check_stop(team, seen);
        team->lead.asked[0] += seen.wanted;
        team->asked += seen.wanted;
        if (seen.stopped) {
            busy = discard(team) || busy;
        } else if (!team->lead.ended) {
            busy = give_tasks(team) || busy;
            busy = write_next(team, seen.filled) || busy;
        }
        if (!team->lead.ended && (seen.stopped || team->lead.written == task_count(team)))
            end_all(team, seen.stopped);
        over = team->lead.ended && seen.finished && team->lead.left == ranks_count() - 1;
        if (!over && !busy)
            nanosleep(&nap, NULL);
    }
    if (ranks_count() > 1)
        discard(team);
}

void *team_communicate(void *team)
{
    if (ranks_own() == 0)
        lead_all(team);
    else
        follow(team);
    return NULL;
}

#include "tokenizer/encode/encode_ranks.h"

#include "core/memory.h"
#include "tokenizer/encode/encode_team.h"
#include "tokenizer/input_ranks.h"

#include <string.h>

/* Ends the encoding of this rank. It is the `failed` of an EncodeShare, too. */
static void fail(void *context)
{
    Team *team = context;
    pthread_mutex_lock(&team->mutex);
    team->failed = team->failed || !team->stopped;
    team->stopped = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

/* ---- the ids of this rank ---- */

/* Makes team->open a free piece; waits until there is one. */
static Status open_piece(Team *team)
{
    pthread_mutex_lock(&team->mutex);
    while (team->filled == ENCODE_PIECES && !team->stopped)
        pthread_cond_wait(&team->changed, &team->mutex);
    team->open = team->stopped ? NULL : &team->pieces[(team->first + team->filled) % ENCODE_PIECES];
    pthread_mutex_unlock(&team->mutex);
    if (!team->open)
        return status_fail(CS336_EINTERRUPTED, "encode_ranks: another rank has failed");
    team->open->head = (PieceHead){0};
    return CS336_OK;
}

/* Gives the open piece to the thread that sends. */
static void close_piece(Team *team)
{
    team->open->head.text_bytes = team->text_bytes;
    team->text_bytes = 0;
    team->open = NULL;
    pthread_mutex_lock(&team->mutex);
    team->filled++;
    pthread_mutex_unlock(&team->mutex);
}

static void write_ids(uint8_t *to, const int32_t *ids, size_t count, size_t width)
{
    if (width == sizeof *ids)
        memcpy(to, ids, count * width);
    else
        for (size_t i = 0; i < count; i++) {
            const uint16_t id = (uint16_t)ids[i];
            memcpy(to + i * sizeof id, &id, sizeof id);
        }
}

/* The sink of the encoders: puts ids into pieces. */
static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    Team *team = context;
    Status s = CS336_OK;
    while (!s && count > 0) {
        if (!team->open)
            s = open_piece(team);
        if (s)
            return s;
        Piece *piece = team->open;
        const size_t room = ENCODE_PIECE_IDS - piece->head.count, taken = count < room ? count : room;
        write_ids(piece->ids + piece->head.count * team->width, ids, taken, team->width);
        piece->head.count += (uint32_t)taken;
        ids += taken;
        count -= taken;
        if (piece->head.count == ENCODE_PIECE_IDS)
            close_piece(team);
    }
    return s;
}

/* Closes the last piece of a task, which may be empty. */
static Status end_task(Team *team, size_t task)
{
    const Status s = team->open ? CS336_OK : open_piece(team);
    if (s)
        return s;
    team->open->head.task = task;
    team->open->head.last = 1;
    close_piece(team);
    return CS336_OK;
}

/* The `end` of an EncodeShare. */
static Status end_chunk(void *context, size_t chunk, size_t bytes)
{
    Team *team = context;
    team->text_bytes += bytes;
    return end_task(team, team->first_task[team->text] + chunk);
}

/* ---- the texts ---- */

/* The progress of a stream: `done` are the bytes so far. */
typedef struct {
    Team *team;
    size_t done;
} StreamProgress;

static void report_stream(void *context, size_t done, size_t total)
{
    StreamProgress *progress = context;
    (void)total;
    progress->team->text_bytes += done - progress->done;
    progress->done = done;
}

static Status encode_whole_stream(Team *team, size_t task)
{
    StreamProgress progress = {.team = team};
    const EncodeConfig config = {.threads = team->config->threads,
                                 .chunk_bytes = team->config->chunk_bytes,
                                 .stop = team->config->stop,
                                 .progress = report_stream,
                                 .context = &progress};
    Status s = encode_stream(team->tokenizer, &team->texts->items[team->text].stream, take_ids, team, &config);
    if (!s)
        s = end_task(team, task);
    team->text_turn++;
    return s;
}

static Status encode_chunks(Team *team)
{
    const InputText *text = &team->texts->items[team->text];
    const EncodeShare share = {.take = team_take_chunk, .end = end_chunk, .failed = fail, .length = text->size};
    const EncodeConfig config = {.threads = team->config->threads,
                                 .chunk_bytes = team->config->chunk_bytes,
                                 .stop = team->config->stop,
                                 .context = team,
                                 .share = &share};
    const size_t chunks = team->first_task[team->text + 1] - team->first_task[team->text];
    const Status s = encode_file(team->tokenizer, text->path, take_ids, team, &config);
    team->text_turn = team->beyond < team->text_turn + chunks ? team->beyond : team->text_turn + chunks;
    team->beyond = SIZE_MAX;
    return s;
}

/* Encodes the tasks that rank 0 gives to this rank, until there is none left. */
static Status encode_tasks(Team *team)
{
    Status s = CS336_OK;
    for (size_t task; !s;) {
        if (!team_take_task(team, team->text_turn, &task))
            break;
        while (task >= team->first_task[team->text + 1])
            team->text++;
        s = team->texts->items[team->text].is_plain ? encode_chunks(team) : encode_whole_stream(team, task);
    }
    if (s)
        fail(team);
    return s;
}

/* ---- the team ---- */

/* Numbers the tasks of all texts. */
static Status number_tasks(Team *team, const InputTexts *texts)
{
    const size_t chunk_bytes = team->config->chunk_bytes;
    team->first_task = memory_allocate_zeroed(texts->count + 1, sizeof *team->first_task);
    if (!team->first_task)
        return status_fail(CS336_ENOMEM, "encode_ranks: no memory for %zu texts", texts->count);
    for (size_t i = 0; i < texts->count; i++) {
        const InputText *text = &texts->items[i];
        const size_t chunks = text->size / chunk_bytes + (text->size % chunk_bytes != 0);
        team->first_task[i + 1] = team->first_task[i] + (text->is_plain ? chunks : 1);
    }
    return CS336_OK;
}

static Status make_lead(TeamLead *lead, const InputTexts *texts)
{
    const size_t ranks = (size_t)ranks_count();
    lead->owners = memory_allocate(TEAM_OWNERS * sizeof *lead->owners);
    lead->kept = memory_allocate(texts->count * sizeof *lead->kept);
    lead->asked = memory_allocate_zeroed(ranks, sizeof *lead->asked);
    lead->incoming = memory_allocate(sizeof *lead->incoming);
    lead->ids = memory_allocate(ENCODE_PIECE_IDS * sizeof *lead->ids);
    if (lead->owners && lead->kept && lead->asked && lead->incoming && lead->ids)
        return CS336_OK;
    return status_fail(CS336_ENOMEM, "encode_ranks: no memory for the pieces of %zu ranks", ranks);
}

static Status make_team(Team *team, const InputTexts *texts, size_t threads)
{
    Status s = number_tasks(team, texts);
    team->width = tokenizer_vocab_size(team->tokenizer) <= 1 << 16 ? sizeof(uint16_t) : sizeof(int32_t);
    team->ahead = threads + 1;
    team->ring =
        3 * threads + 2; /* the threads' own tasks, those that are asked for ahead, and as many needed in vain */
    team->tasks = memory_allocate(team->ring * sizeof *team->tasks);
    team->pieces = memory_allocate(ENCODE_PIECES * sizeof *team->pieces);
    if (!s && (!team->tasks || !team->pieces))
        s = status_fail(CS336_ENOMEM, "encode_ranks: no memory for %d pieces of ids", ENCODE_PIECES);
    if (!s && ranks_own() == 0)
        s = make_lead(&team->lead, texts);
    return s;
}

static void free_team(Team *team)
{
    memory_release(team->first_task);
    memory_release(team->tasks);
    memory_release(team->pieces);
    memory_release(team->lead.owners);
    memory_release(team->lead.kept);
    memory_release(team->lead.asked);
    memory_release(team->lead.incoming);
    memory_release(team->lead.ids);
}

/* Encodes while another thread sends and receives. */
static Status encode_and_send(Team *team)
{
    pthread_t sender;
    const bool started = pthread_create(&sender, NULL, team_communicate, team) == 0;
    Status s = CS336_OK;
    if (started)
        s = encode_tasks(team);
    else
        fail(team);
    pthread_mutex_lock(&team->mutex);
    team->finished = true;
    const bool failed = team->failed;
    pthread_mutex_unlock(&team->mutex);
    if (started)
        pthread_join(sender, NULL);
    else
        team_communicate(team); /* the others must hear of the failure */
    if (!started)
        return status_fail(CS336_ENOMEM, "encode_ranks: the system starts no further thread");
    /* A rank that another one has stopped has not failed. */
    return failed ? s : parallel_result(&team->failure);
}

/* ---- do all ranks have the same tokenizer ---- */

static uint64_t combine(uint64_t hash, uint64_t next)
{
    return (hash ^ next) * UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t model_hash(const BPEModel *model)
{
    const ByteString ends = {.bytes = (const uint8_t *)model->ends, .length = model->vocab_size * sizeof *model->ends};
    const ByteString merges = {.bytes = (const uint8_t *)model->merges,
                               .length = model->merge_count * sizeof *model->merges};
    uint64_t hash = byte_string_hash(byte_list_view(&model->bytes));
    hash = combine(combine(hash, byte_string_hash(ends)), byte_string_hash(merges));
    for (size_t i = 0; i < model->special_count; i++)
        hash =
            combine(combine(hash, byte_string_hash(bpe_model_special_text(model, i))), (uint64_t)model->specials[i].id);
    return combine(combine(hash, (uint64_t)model->pattern), model->ignore_merges);
}

static Status tokenizers_agree(const Tokenizer *tokenizer)
{
    const uint64_t own = model_hash(&tokenizer->model);
    uint64_t first = own;
    Status s = CS336_OK;
    ranks_broadcast(&first, sizeof first);
    if (own != first)
        s = status_fail(CS336_EFORMAT, "the tokenizer is not that of rank 0; all ranks need the same files");
    return ranks_agree(s);
}

Status encode_ranks(const Tokenizer *tokenizer, const InputTexts *texts, const EncodeOutput *output,
                    const EncodeConfig *config)
{
    EncodeConfig own = *config;
    Team team = {.tokenizer = tokenizer,
                 .texts = texts,
                 .config = &own,
                 .lead.output = output,
                 .beyond = SIZE_MAX,
                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                 .changed = PTHREAD_COND_INITIALIZER};
    own.threads = config->threads ? config->threads : parallel_threads();
    own.chunk_bytes = config->chunk_bytes ? config->chunk_bytes : ENCODE_CHUNK_BYTES;
    Status s = tokenizers_agree(tokenizer);
    if (!s)
        s = input_texts_agree(texts);
    if (!s)
        s = ranks_agree(make_team(&team, texts, (size_t)own.threads));
    if (!s) {
        s = encode_and_send(&team);
        /* The message of encode_file() has the bytes of one text, which say little of all texts. */
        if (s == CS336_EINTERRUPTED && parallel_stop_asked(config->stop))
            s = status_fail(CS336_EINTERRUPTED, "interrupted");
        s = ranks_agree(s);
    }
    free_team(&team);
    return s;
}

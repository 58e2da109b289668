#include "tokenizer/encode/encode_file.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/text_form.h"
#include "tokenizer/split/cut.h"
#include "tokenizer/split/text_cutter.h"

enum {
    FEED_BYTES = 1 << 15,   /* 32 KiB encoded between two looks at the stop flag */
    KEPT_IDS = 1 << 18,     /* ids of a chunk that are kept until its turn, 1 MiB: most chunks are kept whole */
    SEARCH_BYTES = 1 << 12, /* 4 KiB searched for a safe cut at a time; they nearly always have one */
    KEPT_ROOM = KEPT_IDS + FEED_BYTES, /* the bytes of the last feed may give one id each */
    THREADS_BYTES = 46 << 20,          /* caches and kept ids of all threads together */
    LEAST_CACHE = 1 << 20,             /* bytes of a thread's cache, however many threads there are */
    ROUNDS = 256 /* chunks of a stream for each thread in one parallel loop, which must know where it ends: 128 MiB */
};

static const size_t NONE = SIZE_MAX;

typedef struct {
    const Tokenizer *tokenizer;
    const uint8_t *text;    /* NULL: the text is in the file */
    const FileReader *file; /* NULL: the text is not in a file */
    size_t length;          /* bytes of the text; of a stream 0, because it is unknown */
    size_t cut_context;     /* CUT_CONTEXT and the length of the longest special token */
    const EncodeConfig *config;
    TokenSink *sink;
    void *context;
    size_t chunk_bytes, chunks;
    TextCutter cutter;     /* of a stream */
    TextChunk *ahead;      /* (ahead_count) of a stream: chunk i is read into ahead[i % ahead_count]. NULL: no stream */
    size_t ahead_count;    /* as many as threads */
    Encoder *long_encoder; /* NULL, or for chunks without a safe cut at both ends, one after the other */
    bool long_text;        /* long_encoder is inside a text */
    atomic_size_t done;    /* bytes whose ids are written */
    ParallelFailure failure;
} Job;

typedef struct {
    Job *job;
    Encoder *encoder;
    TokenList kept;
    ByteList bytes;         /* what was read of the file */
    const TextChunk *chunk; /* of a stream: `begin` and `end` are counted from its beginning */
    bool in_turn;           /* all chunks before this one are written */
    size_t number;          /* of the chunk; NONE: no chunk is left for this turn */
    size_t begin, end;      /* what is not encoded of the chunk; both NONE: it belongs to the one before it */
    size_t length;          /* of the chunk */
} Worker;

/* ---- the text ---- */

/* Makes *bytes point to bytes [begin, end) of the text, until the worker's next call. */
static Status text_between(Worker *worker, size_t begin, size_t end, const uint8_t **bytes)
{
    const Job *job = worker->job;
    if (!job->file) {
        *bytes = (job->ahead ? worker->chunk->bytes.bytes : job->text) + begin;
        return CS336_OK;
    }
    Status s = array_reserve(&worker->bytes.bytes, &worker->bytes.capacity, end - begin, 1);
    if (!s)
        s = file_read_at(job->file, worker->bytes.bytes, end - begin, begin);
    *bytes = worker->bytes.bytes;
    return s;
}

/* ---- chunks ---- */

/*
 * Finds the first safe cut in [begin, end), or NONE. It looks at SEARCH_BYTES at a time, with the context on both sides
 * that decides whether a cut is safe.
 */
static Status first_safe_cut(Worker *worker, size_t begin, size_t end, size_t *cut)
{
    const Job *job = worker->job;
    Status s = CS336_OK;
    *cut = NONE;
    for (size_t search = begin; !s && *cut == NONE && search < end; search += SEARCH_BYTES) {
        const size_t search_end = end - search > SEARCH_BYTES ? search + SEARCH_BYTES : end;
        const size_t view = search > job->cut_context ? search - job->cut_context : 0;
        const size_t view_end =
            job->length - search_end > job->cut_context ? search_end + job->cut_context : job->length;
        const uint8_t *bytes;
        s = text_between(worker, view, view_end, &bytes);
        for (size_t i = search; !s && *cut == NONE && i < search_end; i++)
            if (text_may_be_cut(&job->tokenizer->special, job->tokenizer->model.pattern, bytes, view_end - view,
                                i - view, view_end == job->length))
                *cut = i;
    }
    return s;
}

/*
 * Finds where chunk `index` begins: at the first safe cut of its nominal bytes. NONE: there is none in the first
 * CUT_SEARCH_MOST of them.
 */
static Status begin_of_chunk(Worker *worker, size_t index, size_t *begin)
{
    const Job *job = worker->job;
    if (index == 0 || index >= job->chunks) {
        *begin = index ? job->length : 0;
        return CS336_OK;
    }
    const size_t nominal = index * job->chunk_bytes;
    const size_t bytes = job->chunk_bytes < CUT_SEARCH_MOST ? job->chunk_bytes : CUT_SEARCH_MOST;
    const size_t end = job->length - nominal > bytes ? nominal + bytes : job->length;
    return first_safe_cut(worker, nominal, end, begin);
}

/* Finds the bytes of chunk `index`. A chunk without a beginning belongs to the one before it. */
static Status find_chunk(Worker *worker, size_t index)
{
    Status s = begin_of_chunk(worker, index, &worker->begin);
    worker->end = worker->begin;
    worker->length = 0;
    if (s || worker->begin == NONE)
        return s;
    do
        s = begin_of_chunk(worker, ++index, &worker->end);
    while (!s && worker->end == NONE);
    worker->length = worker->end - worker->begin;
    return s;
}

/* ---- one chunk ---- */

/* The sink of a worker's encoder. */
static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    Worker *worker = context;
    const Job *job = worker->job;
    return worker->in_turn ? job->sink(job->context, ids, count) : token_list_append(&worker->kept, ids, count);
}

static Status check_stop(const Job *job)
{
    if (!parallel_stop_asked(job->config->stop))
        return CS336_OK;
    if (job->ahead)
        return status_fail(CS336_EINTERRUPTED, "interrupted after %zu bytes", atomic_load(&job->done));
    return status_fail(CS336_EINTERRUPTED, "interrupted after %zu of %zu bytes", atomic_load(&job->done), job->length);
}

/* Encodes the rest of the chunk, or as much of it as can be kept. */
static Status encode_rest(Worker *worker)
{
    const Job *job = worker->job;
    const uint8_t *bytes;
    Status s = CS336_OK;
    while (!s && worker->begin < worker->end && worker->kept.count < KEPT_IDS) {
        const size_t left = worker->end - worker->begin, length = left < FEED_BYTES ? left : FEED_BYTES;
        s = check_stop(job);
        if (s)
            return s;
        s = text_between(worker, worker->begin, worker->begin + length, &bytes);
        if (!s)
            s = encoder_feed(worker->encoder, bytes, length);
        worker->begin += length;
        if (!s && worker->begin == worker->end)
            s = encoder_finish(worker->encoder);
    }
    return s;
}

/* Returns the number of the chunk of a turn; NONE: there is none. */
static size_t chunk_of_turn(const Job *job, size_t turn)
{
    const EncodeShare *share = job->config->share;
    size_t number = turn;
    return share && !share->take(job->config->context, turn, &number) ? NONE : number;
}

/* Records the failure of a thread. */
static void fail(Job *job, Status s)
{
    parallel_fail(&job->failure, s);
    if (job->config->share)
        job->config->share->failed(job->config->context);
}

/* Runs at the same time as other threads. */
static void encode_before_turn(Worker *worker, size_t turn)
{
    worker->in_turn = false;
    worker->kept.count = 0;
    worker->number = NONE;
    if (parallel_failed(&worker->job->failure))
        return;
    worker->number = chunk_of_turn(worker->job, turn);
    if (worker->number == NONE)
        return;
    Status s = find_chunk(worker, worker->number);
    if (!s)
        s = encode_rest(worker);
    if (s)
        fail(worker->job, s);
}

/* Runs when all chunks before this one are written: writes the kept ids, then the rest of the chunk. */
static void encode_in_turn(Worker *worker)
{
    Job *job = worker->job;
    const EncodeShare *share = job->config->share;
    if (parallel_failed(&job->failure) || worker->number == NONE)
        return;
    worker->in_turn = true;
    Status s = worker->kept.count ? job->sink(job->context, worker->kept.ids, worker->kept.count) : CS336_OK;
    worker->kept.count = 0;
    if (!s)
        s = encode_rest(worker);
    if (!s && share)
        s = share->end(job->config->context, worker->number, worker->length);
    if (s) {
        fail(job, s);
        return;
    }
    if (worker->end == NONE)
        return;
    atomic_store(&job->done, worker->end);
    if (job->config->progress)
        job->config->progress(job->config->context, worker->end, job->length);
}

/* ---- all chunks ---- */

/* Gives each worker its share of THREADS_BYTES: room for kept ids, and a cache. A single thread gets half. */
static Status make_encoders(Job *job, Worker *workers, size_t threads)
{
    const size_t share = THREADS_BYTES / (threads < 2 ? 2 : threads), kept = KEPT_ROOM * sizeof *workers->kept.ids;
    const size_t cache_bytes = share > kept + LEAST_CACHE ? share - kept : LEAST_CACHE;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < threads; i++) {
        workers[i].job = job;
        s = encoder_create_small(&workers[i].encoder, job->tokenizer, cache_bytes, take_ids, &workers[i]);
        if (!s && threads > 1)
            s = array_reserve(&workers[i].kept.ids, &workers[i].kept.capacity, KEPT_ROOM, sizeof *workers[i].kept.ids);
    }
    return s;
}

/* Makes a worker, with an encoder of its own, for each thread. */
static Status make_workers(Job *job, Worker **workers, size_t threads)
{
    *workers = memory_allocate_zeroed(threads, sizeof **workers);
    if (!*workers)
        return status_fail(CS336_ENOMEM, "encode_text: no memory for %zu threads", threads);
    return make_encoders(job, *workers, threads);
}

static void destroy_workers(Worker *workers, size_t threads)
{
    for (size_t i = 0; workers && i < threads; i++) {
        encoder_destroy(workers[i].encoder);
        token_list_deinit(&workers[i].kept);
        byte_list_deinit(&workers[i].bytes);
    }
    memory_release(workers);
}

static size_t threads_of(const EncodeConfig *config)
{
    return (size_t)(config->threads ? config->threads : parallel_threads());
}

/* Encodes the text of a job, of which tokenizer, text or file, length, config, sink and context are set. */
static Status encode_job(Job *job)
{
    job->chunk_bytes = job->config->chunk_bytes ? job->config->chunk_bytes : ENCODE_CHUNK_BYTES;
    job->chunks = job->length / job->chunk_bytes + (job->length % job->chunk_bytes != 0);
    job->cut_context = CUT_CONTEXT + job->tokenizer->special.longest;
    size_t threads = threads_of(job->config);
    threads = threads < job->chunks ? threads : job->chunks;
    if (job->chunks == 0)
        return CS336_OK;
    Worker *workers;
    Status s = make_workers(job, &workers, threads);
    if (!s) {
        /* Each thread takes the next chunk; the ordered region runs in the order of the chunks. */
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads((int)threads)
        for (size_t i = 0; i < job->chunks; i++) {
            Worker *worker = &workers[parallel_thread()];
            encode_before_turn(worker, i);
#pragma omp ordered
            encode_in_turn(worker);
        }
        s = parallel_result(&job->failure);
    }
    destroy_workers(workers, threads);
    return s;
}

/* ---- streams ---- */

/* Runs at the same time as other threads. A chunk that is not a text of its own is left for its turn. */
static void encode_stream_before_turn(Worker *worker, const TextChunk *chunk)
{
    /* Another thread may have read the chunk; it added to `done` after that, so that its bytes are seen here. */
    (void)atomic_load(&worker->job->done);
    worker->in_turn = false;
    worker->kept.count = 0;
    worker->chunk = chunk;
    worker->begin = 0;
    worker->end = chunk->begins && chunk->ends ? chunk->length : NONE;
    if (parallel_failed(&worker->job->failure) || worker->end == NONE)
        return;
    const Status s = encode_rest(worker);
    if (s)
        parallel_fail(&worker->job->failure, s);
}

/* Encodes a chunk that continues the one before it, or that the next one continues, and passes the ids on. */
static Status encode_long_chunk(Job *job, const TextChunk *chunk)
{
    Status s = CS336_OK;
    if (!job->long_encoder)
        s = encoder_create_small(&job->long_encoder, job->tokenizer, LEAST_CACHE, job->sink, job->context);
    for (size_t begin = 0; !s && begin < chunk->length; begin += FEED_BYTES) {
        const size_t left = chunk->length - begin;
        s = check_stop(job);
        if (!s)
            s = encoder_feed(job->long_encoder, chunk->bytes.bytes + begin, left < FEED_BYTES ? left : FEED_BYTES);
    }
    job->long_text = !chunk->ends;
    return !s && chunk->ends ? encoder_finish(job->long_encoder) : s;
}

/*
 * Runs when all chunks before this one are written: writes its ids, and reads the chunk that will be ahead_count behind
 * it. When a thread takes that one, this turn is over: at most ahead_count chunks are taken and not written.
 */
static void encode_stream_in_turn(Worker *worker, TextChunk *chunk)
{
    Job *job = worker->job;
    if (chunk->length == 0 || parallel_failed(&job->failure))
        return;
    const size_t length = chunk->length;
    Status s;
    if (worker->end == NONE) {
        s = encode_long_chunk(job, chunk);
    } else {
        worker->in_turn = true;
        s = worker->kept.count ? job->sink(job->context, worker->kept.ids, worker->kept.count) : CS336_OK;
        worker->kept.count = 0;
        if (!s)
            s = encode_rest(worker);
    }
    if (!s)
        s = text_cutter_next(&job->cutter, chunk);
    const size_t done = atomic_fetch_add(&job->done, length) + length;
    if (s) {
        parallel_fail(&job->failure, s);
        return;
    }
    if (job->config->progress)
        job->config->progress(job->config->context, done, 0);
}

/* Encodes the chunks until the stream ends. */
static Status encode_stream_chunks(Job *job, Worker *workers)
{
    Status s = CS336_OK;
    while (!s && job->ahead[0].length) {
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads((int)job->ahead_count)
        for (size_t i = 0; i < ROUNDS * job->ahead_count; i++) {
            Worker *worker = &workers[parallel_thread()];
            TextChunk *chunk = &job->ahead[i % job->ahead_count];
            encode_stream_before_turn(worker, chunk);
#pragma omp ordered
            encode_stream_in_turn(worker, chunk);
        }
        s = parallel_result(&job->failure);
    }
    return !s && job->long_text ? encoder_finish(job->long_encoder) : s;
}

/* Reads the first chunk of each thread. A text of one chunk needs one thread. */
static Status read_first_chunks(Job *job, size_t threads)
{
    job->ahead = memory_allocate_zeroed(threads, sizeof *job->ahead);
    if (!job->ahead)
        return status_fail(CS336_ENOMEM, "encode_stream: no memory for %zu chunks", threads);
    Status s = CS336_OK;
    do
        s = text_cutter_next(&job->cutter, &job->ahead[job->ahead_count++]);
    while (!s && job->ahead_count < threads && !job->cutter.ended);
    return s;
}

Status encode_stream(const Tokenizer *tokenizer, const TextStream *stream, TokenSink *sink, void *context,
                     const EncodeConfig *config)
{
    Job job = {.tokenizer = tokenizer, .config = config, .sink = sink, .context = context};
    text_cutter_begin(&job.cutter, stream, &tokenizer->special, tokenizer->model.pattern,
                      config->chunk_bytes ? config->chunk_bytes : ENCODE_CHUNK_BYTES, CUT_CONTINUE);
    Worker *workers = NULL;
    Status s = read_first_chunks(&job, threads_of(config));
    if (!s)
        s = make_workers(&job, &workers, job.ahead_count);
    if (!s)
        s = encode_stream_chunks(&job, workers);
    destroy_workers(workers, job.ahead_count);
    for (size_t i = 0; job.ahead && i < job.ahead_count; i++)
        byte_list_deinit(&job.ahead[i].bytes);
    memory_release(job.ahead);
    encoder_destroy(job.long_encoder);
    text_cutter_end(&job.cutter);
    return s;
}

Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                   const EncodeConfig *config)
{
    Job job = {.tokenizer = tokenizer,
               .text = text.bytes,
               .length = text.length,
               .config = config,
               .sink = sink,
               .context = context};
    return encode_job(&job);
}

Status encode_file(const Tokenizer *tokenizer, const char *path, TokenSink *sink, void *context,
                   const EncodeConfig *config)
{
    FileReader file;
    Status s = file_open(&file, path);
    if (s)
        return s;
    Job job = {
        .tokenizer = tokenizer, .file = &file, .length = file.size, .config = config, .sink = sink, .context = context};
    s = text_form_check_plain(&file);
    if (!s && config->share && config->share->length != file.size)
        s = status_fail(CS336_EIO, "%s: has %zu bytes, and had %zu when the processes began to share it", path,
                        file.size, config->share->length);
    if (!s)
        s = encode_job(&job);
    file_close(&file);
    return s;
}

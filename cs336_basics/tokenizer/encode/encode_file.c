#include "tokenizer/encode/encode_file.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/split/cut.h"

enum {
    CHUNK_BYTES = 1 << 19, /* 512 KiB, a few milliseconds: some 130 000 ids, so most chunks are kept whole */
    FEED_BYTES = 1 << 15,  /* 32 KiB encoded between two looks at the stop flag */
    KEPT_IDS = 1 << 18,    /* ids of a chunk that are kept until its turn: 1 MiB */
    KEPT_ROOM = KEPT_IDS + FEED_BYTES, /* the bytes of the last feed may give one id each */
    THREADS_BYTES = 46 << 20,          /* caches and kept ids of all threads together */
    LEAST_CACHE = 1 << 20              /* bytes of a thread's cache, however many threads there are */
};

static const size_t NONE = SIZE_MAX;

typedef struct {
    const Tokenizer *tokenizer;
    ByteString text;
    const EncodeConfig *config;
    TokenSink *sink;
    void *context;
    size_t chunk_bytes, chunks;
    atomic_size_t done; /* bytes whose ids are written */
    ParallelFailure failure;
} Job;

typedef struct {
    Job *job;
    Encoder *encoder;
    TokenList kept;
    bool in_turn;      /* all chunks before this one are written */
    size_t begin, end; /* what is not encoded of the chunk */
} Worker;

/* ---- chunks ---- */

/* Returns where chunk `index` begins: at the first safe cut of its nominal bytes. NONE: they have no safe cut. */
static size_t begin_of_chunk(const Job *job, size_t index)
{
    const ByteString text = job->text;
    if (index == 0)
        return 0;
    if (index >= job->chunks)
        return text.length;
    size_t cut = index * job->chunk_bytes;
    const size_t end = text.length - cut > job->chunk_bytes ? cut + job->chunk_bytes : text.length;
    while (cut < end && !text_may_be_cut(&job->tokenizer->special, text.bytes, text.length, cut, true))
        cut++;
    return cut < end ? cut : NONE;
}

/* Finds the bytes of chunk `index`. A chunk without a beginning belongs to the one before it. */
static void find_chunk(Worker *worker, size_t index)
{
    worker->begin = begin_of_chunk(worker->job, index);
    worker->end = worker->begin;
    if (worker->begin == NONE)
        return;
    do
        worker->end = begin_of_chunk(worker->job, ++index);
    while (worker->end == NONE);
}

/* ---- one chunk ---- */

/* The sink of a worker's encoder. */
static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    Worker *worker = context;
    const Job *job = worker->job;
    return worker->in_turn ? job->sink(job->context, ids, count) : token_list_append(&worker->kept, ids, count);
}

/* Encodes the rest of the chunk, or as much of it as can be kept. */
static Status encode_rest(Worker *worker)
{
    const Job *job = worker->job;
    Status s = CS336_OK;
    while (!s && worker->begin < worker->end && worker->kept.count < KEPT_IDS) {
        const size_t left = worker->end - worker->begin, length = left < FEED_BYTES ? left : FEED_BYTES;
        if (parallel_stop_asked(job->config->stop))
            return status_fail(CS336_EINTERRUPTED, "encode_text: stopped after %zu of %zu bytes",
                               atomic_load(&job->done), job->text.length);
        s = encoder_feed(worker->encoder, job->text.bytes + worker->begin, length);
        worker->begin += length;
        if (!s && worker->begin == worker->end)
            s = encoder_finish(worker->encoder);
    }
    return s;
}

/* Runs at the same time as other threads. */
static void encode_before_turn(Worker *worker, size_t index)
{
    worker->in_turn = false;
    worker->kept.count = 0;
    if (parallel_failed(&worker->job->failure))
        return;
    find_chunk(worker, index);
    const Status s = encode_rest(worker);
    if (s)
        parallel_fail(&worker->job->failure, s);
}

/* Runs when all chunks before this one are written: writes the kept ids, then the rest of the chunk. */
static void encode_in_turn(Worker *worker)
{
    Job *job = worker->job;
    if (parallel_failed(&job->failure) || worker->end == NONE)
        return;
    worker->in_turn = true;
    Status s = worker->kept.count ? job->sink(job->context, worker->kept.ids, worker->kept.count) : CS336_OK;
    worker->kept.count = 0;
    if (!s)
        s = encode_rest(worker);
    if (s) {
        parallel_fail(&job->failure, s);
        return;
    }
    atomic_store(&job->done, worker->end);
    if (job->config->progress)
        job->config->progress(job->config->context, worker->end, job->text.length);
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

Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                   const EncodeConfig *config)
{
    const size_t chunk_bytes = config->chunk_bytes ? config->chunk_bytes : CHUNK_BYTES;
    const size_t chunks = text.length / chunk_bytes + (text.length % chunk_bytes != 0);
    size_t threads = (size_t)(config->threads ? config->threads : parallel_threads());
    threads = threads < chunks ? threads : chunks;
    Job job = {.tokenizer = tokenizer,
               .text = text,
               .config = config,
               .sink = sink,
               .context = context,
               .chunk_bytes = chunk_bytes,
               .chunks = chunks};
    if (chunks == 0)
        return CS336_OK;
    /* A worker, with an encoder of its own, for each thread. */
    Worker *workers = memory_allocate_zeroed(threads, sizeof *workers);
    Status s = CS336_OK;
    if (!workers)
        s = status_fail(CS336_ENOMEM, "encode_text: no memory for %zu threads", threads);
    if (!s)
        s = make_encoders(&job, workers, threads);
    if (!s) {
        /* Each thread takes the next chunk; the ordered region runs in the order of the chunks. */
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads((int)threads)
        for (size_t i = 0; i < chunks; i++) {
            Worker *worker = &workers[parallel_thread()];
            encode_before_turn(worker, i);
#pragma omp ordered
            encode_in_turn(worker);
        }
        s = parallel_result(&job.failure);
    }
    for (size_t i = 0; workers && i < threads; i++) {
        encoder_destroy(workers[i].encoder);
        token_list_deinit(&workers[i].kept);
    }
    memory_release(workers);
    return s;
}

Status encode_file(const Tokenizer *tokenizer, const char *path, TokenSink *sink, void *context,
                   const EncodeConfig *config)
{
    LoadedFile file;
    Status s = file_load(&file, path);
    if (!s)
        s = encode_text(tokenizer, (ByteString){.bytes = file.data, .length = file.size}, sink, context, config);
    file_unload(&file);
    return s;
}

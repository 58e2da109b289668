#include "tokenizer/encode/encode_file.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/split/cut.h"

enum {
    CHUNK_BYTES = 1 << 19,
    SLICE_BYTES = 1 << 15, /* fed between two looks at the stop flag */
    KEPT_IDS = 1 << 18,    /* of a chunk whose turn has not come */
    KEPT_ROOM = KEPT_IDS + SLICE_BYTES,
    THREADS_BYTES = 46 << 20, /* kept ids and caches of all threads */
    LEAST_CACHE = 1 << 20
};

static const size_t NONE = SIZE_MAX;

typedef struct {
    const Tokenizer *tokenizer;
    ByteString text;
    const EncodeConfig *config;
    TokenSink *sink;
    void *context;
    size_t chunk_bytes, chunks;
    atomic_size_t done; /* bytes written */
    ParallelFailure failure;
} Job;

typedef struct {
    Job *job;
    Encoder *encoder;
    TokenList kept;
    bool in_turn;   /* whether all chunks before are written */
    size_t at, end; /* what is left of the chunk */
} Worker;

/* ---- chunks ---- */

/* Where chunk `index` begins: at the first place of its share of the text where that may be cut. NONE: there is none.
 */
static size_t begin_of_chunk(const Job *job, size_t index)
{
    const ByteString text = job->text;
    if (index == 0)
        return 0;
    if (index >= job->chunks)
        return text.length;
    size_t at = index * job->chunk_bytes;
    const size_t end = text.length - at > job->chunk_bytes ? at + job->chunk_bytes : text.length;
    while (at < end && (!pretoken_surely_begins(text.bytes, text.length, at) ||
                        special_tokens_cross(&job->tokenizer->special, text.bytes, text.length, at, true)))
        at++;
    return at < end ? at : NONE;
}

/* A chunk without a beginning belongs to the one before it. */
static void find_chunk(Worker *worker, size_t index)
{
    worker->at = begin_of_chunk(worker->job, index);
    worker->end = worker->at;
    if (worker->at == NONE)
        return;
    do
        worker->end = begin_of_chunk(worker->job, ++index);
    while (worker->end == NONE);
}

/* ---- one chunk ---- */

static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    Worker *worker = context;
    const Job *job = worker->job;
    return worker->in_turn ? job->sink(job->context, ids, count) : token_list_append(&worker->kept, ids, count);
}

/* Encodes the rest of the chunk, or as much of it as can be kept. */
static Status encode_on(Worker *worker)
{
    const Job *job = worker->job;
    Status s = CS336_OK;
    while (!s && worker->at < worker->end && worker->kept.count < KEPT_IDS) {
        const size_t left = worker->end - worker->at, slice = left < SLICE_BYTES ? left : SLICE_BYTES;
        if (parallel_stop_asked(job->config->stop))
            return status_fail(CS336_EINTERRUPTED, "encode_text: stopped after %zu of %zu bytes",
                               atomic_load(&job->done), job->text.length);
        s = encoder_feed(worker->encoder, job->text.bytes + worker->at, slice);
        worker->at += slice;
        if (!s && worker->at == worker->end)
            s = encoder_finish(worker->encoder);
    }
    return s;
}

static void encode_before_turn(Worker *worker, size_t index)
{
    worker->in_turn = false;
    worker->kept.count = 0;
    if (parallel_failed(&worker->job->failure))
        return;
    find_chunk(worker, index);
    const Status s = encode_on(worker);
    if (s)
        parallel_fail(&worker->job->failure, s);
}

static void encode_in_turn(Worker *worker)
{
    Job *job = worker->job;
    if (parallel_failed(&job->failure) || worker->end == NONE)
        return;
    worker->in_turn = true;
    Status s = worker->kept.count ? job->sink(job->context, worker->kept.ids, worker->kept.count) : CS336_OK;
    worker->kept.count = 0;
    if (!s)
        s = encode_on(worker);
    if (s) {
        parallel_fail(&job->failure, s);
        return;
    }
    atomic_store(&job->done, worker->end);
    if (job->config->progress)
        job->config->progress(job->config->context, worker->end, job->text.length);
}

/* ---- all chunks ---- */

static Status make_encoders(Job *job, Worker *workers, size_t threads)
{
    const size_t share = THREADS_BYTES / (threads < 2 ? 2 : threads), kept = KEPT_ROOM * sizeof *workers->kept.ids;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < threads; i++) {
        workers[i].job = job;
        s = encoder_create_small(&workers[i].encoder, job->tokenizer,
                                 share > kept + LEAST_CACHE ? share - kept : LEAST_CACHE, take_ids, &workers[i]);
        if (!s && threads > 1)
            s = array_reserve(&workers[i].kept.ids, &workers[i].kept.capacity, KEPT_ROOM, sizeof *workers[i].kept.ids);
    }
    return s;
}

static void encode_chunks(Job *job, Worker *workers, int threads)
{
    (void)threads;
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
    for (size_t i = 0; i < job->chunks; i++) {
        Worker *worker = &workers[parallel_thread()];
        encode_before_turn(worker, i);
#pragma omp ordered
        encode_in_turn(worker);
    }
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
    Worker *workers = memory_allocate_zeroed(threads, sizeof *workers);
    Status s = CS336_OK;
    if (!workers)
        s = status_fail(CS336_ENOMEM, "encode_text: no memory for %zu threads", threads);
    if (!s)
        s = make_encoders(&job, workers, threads);
    if (!s) {
        encode_chunks(&job, workers, (int)threads);
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
    MappedFile file;
    Status s = file_map(&file, path);
    if (!s)
        s = encode_text(tokenizer, (ByteString){.bytes = file.data, .length = file.size}, sink, context, config);
    file_unmap(&file);
    return s;
}

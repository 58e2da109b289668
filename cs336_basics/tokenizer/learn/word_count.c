#include "tokenizer/learn/word_count.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/learn/word_tally.h"
#include "tokenizer/split/cut.h"
#include "tokenizer/split/pretokenize.h"
#include "tokenizer/split/text_cutter.h"

#include <pthread.h>

enum {
    CHUNK_BYTES = 1 << 19, /* 512 KiB: half an L2 cache, and some 0.5 ms of work for one visit to the shared counter */
    MARGIN = 1 << 12,      /* bytes read beyond a chunk at first: 4 KiB nearly always have a safe cut */
};

/* ---- what the threads share ---- */

typedef struct {
    const WordCountConfig *config;
    const WordSource *sources;
    size_t source_count, chunk_bytes, total;
    size_t context;          /* bytes on each side that decide whether a cut is safe: see CUT_CONTEXT */
    size_t *first_chunk;     /* by source: number of its first chunk; behind the last one: number of chunks */
    RanksTasks *tasks,       /* numbers of chunks */
        all;                 /* `tasks` if no other rank counts */
    atomic_size_t done;      /* bytes counted */
    pthread_mutex_t reading; /* of the two fields below */
    size_t stream;           /* number of the source that is read as a stream, or of the next one */
    TextCutter cutter;       /* of that stream */
    ParallelFailure failure;
} Job;

/* Computes the context, and numbers the chunks of all sources but streams. */
static Status begin_job(Job *job)
{
    job->chunk_bytes = job->config->chunk_bytes ? job->config->chunk_bytes : CHUNK_BYTES;
    bool has_stream = false;
    job->all = (RanksTasks){.group = 1, .step = 1, .taken = &job->all.own_taken};
    job->tasks = job->config->tasks ? job->config->tasks : &job->all;
    job->context = CUT_CONTEXT + job->config->special->longest;
    job->first_chunk = memory_allocate_zeroed(job->source_count + 1, sizeof *job->first_chunk);
    if (!job->first_chunk)
        return status_fail(CS336_ENOMEM, "count_words: no memory for %zu texts", job->source_count);
    for (size_t i = 0; i < job->source_count; i++) {
        const size_t length = job->sources[i].content.length;
        job->first_chunk[i + 1] = job->first_chunk[i] + length / job->chunk_bytes + (length % job->chunk_bytes != 0);
        job->total += length;
        has_stream = has_stream || job->sources[i].stream.read;
    }
    if (has_stream)
        job->total = 0;
    return CS336_OK;
}

/* ---- the bytes of a source that a thread sees ---- */

typedef struct {
    FileReader file;
    size_t open_source;  /* number of the source that `file` reads, plus 1; 0: none */
    ByteList buffer;     /* what was read of the file */
    const uint8_t *text; /* bytes [begin, end) of the source */
    size_t begin, end;
} View;

static void close_view(View *view)
{
    if (view->open_source)
        file_close(&view->file);
    byte_list_deinit(&view->buffer);
    *view = (View){0};
}

/* Makes view->file read source `number`, which is open already if the chunk before was of the same source. */
static Status open_source(View *view, size_t number, const char *path)
{
    if (view->open_source == number + 1)
        return CS336_OK;
    if (view->open_source)
        file_close(&view->file);
    view->open_source = 0;
    const Status s = file_open(&view->file, path);
    if (!s)
        view->open_source = number + 1;
    return s;
}

/* Makes view->text bytes [begin, end) of a source. */
static Status show(View *view, const Job *job, size_t number, size_t begin, size_t end)
{
    const WordSource *source = &job->sources[number];
    view->begin = begin;
    view->end = end;
    if (!source->path) {
        view->text = source->content.bytes + begin;
        return CS336_OK;
    }
    Status s = open_source(view, number, source->path);
    if (!s)
        s = array_reserve(&view->buffer.bytes, &view->buffer.capacity, end - begin, 1);
    if (!s)
        s = file_read_at(&view->file, view->buffer.bytes, end - begin, begin);
    view->text = view->buffer.bytes;
    return s;
}

/* ---- chunks ---- */

typedef struct {
    size_t begin, end; /* bytes of the source; equal: the chunk is empty */
} Chunk;

/*
 * Returns the first safe cut at or after `begin`, or the end of the view if there is none. Unless the source ends there
 * too, a cut is known to be safe only if `context` bytes behind it are in view. The view begins `context` bytes before
 * `begin`, or with the source.
 */
static size_t first_safe_cut(const View *view, const Job *job, size_t begin, bool ended)
{
    const size_t length = view->end - view->begin;
    if (begin == 0)
        return 0;
    for (size_t cut = begin - view->begin; ended ? cut < length : cut + job->context <= length; cut++)
        if (text_may_be_cut(job->config->special, job->config->pattern, view->text, length, cut, ended))
            return view->begin + cut;
    return view->end;
}

/* Finds chunk `index` of a source and shows it. As long as it does not find the chunk's end it reads further. */
static Status find_chunk(View *view, Chunk *chunk, const Job *job, size_t number, size_t index)
{
    const size_t length = job->sources[number].content.length, begin = index * job->chunk_bytes,
                 nominal_end = length - begin > job->chunk_bytes ? begin + job->chunk_bytes : length,
                 context = begin < job->context ? begin : job->context;
    for (size_t margin = MARGIN + job->context;; margin *= 2) {
        const size_t end = length - nominal_end > margin ? nominal_end + margin : length;
        const bool ended = end == length;
        const Status s = show(view, job, number, begin - context, end);
        if (s)
            return s;
        chunk->begin = first_safe_cut(view, job, begin, ended);
        chunk->end = chunk->begin;
        if (chunk->begin >= nominal_end) /* no safe cut: the chunk before counts these bytes */
            return CS336_OK;
        chunk->end = nominal_end < length ? first_safe_cut(view, job, nominal_end, ended) : length;
        if (chunk->end < end || ended)
            return CS336_OK;
    }
}

/* Counts the pre-tokens of a text without special tokens. Bytes up to `readable` may be read. */
static Status count_pretokens(WordTally *words, PretokenPattern pattern, const uint8_t *text, size_t length,
                              const uint8_t *readable)
{
    const uint8_t *begin = text, *ends[WORD_TALLY_BATCH];
    Pretokenizer pretokenizer;
    Status s = CS336_OK;
    pretokenizer_begin(&pretokenizer, pattern);
    pretokenizer_feed(&pretokenizer, text, length, true);
    for (size_t count; !s && (count = pretokenizer_next(&pretokenizer, ends, WORD_TALLY_BATCH)) > 0;) {
        s = word_tally_count(words, begin, ends, count, readable);
        begin = ends[count - 1];
    }
    return s;
}

/* Counts the segments of a chunk, one after the other. */
static Status count_chunk(WordTally *words, const WordCountConfig *config, const View *view, Chunk chunk)
{
    const SpecialTokens *special = config->special;
    const uint8_t *text = view->text + (chunk.begin - view->begin), *readable = view->text + (view->end - view->begin);
    const size_t length = chunk.end - chunk.begin;
    Status s = CS336_OK;
    for (size_t begin = 0; !s && begin < length;) {
        const SpecialMatch next = special_tokens_find(special, text, length, begin, true);
        s = count_pretokens(words, config->pattern, text + begin, next.begin - begin, readable);
        begin = next.index < 0 ? length : next.begin + special->tokens[next.index].length;
    }
    return s;
}

/* ---- threads ---- */

static void report_progress(const Job *job)
{
    if (job->config->progress)
        job->config->progress(job->config->context, atomic_load(&job->done), job->total);
}

/* True if the counting has failed, here or on another rank. */
static bool is_over(const Job *job)
{
    return parallel_failed(&job->failure) || ranks_tasks_abandoned(job->tasks);
}

/* Takes chunks and counts them until none is left. The numbers of a thread's chunks ascend, and so do their sources. */
static Status count_chunks(Job *job, WordTally *words)
{
    View view = {0};
    Status s = CS336_OK;
    size_t source = 0, number;
    while (!s && !is_over(job) && (number = ranks_tasks_take(job->tasks)) < job->first_chunk[job->source_count]) {
        Chunk chunk = {0};
        /* The source that the chunk belongs to. */
        while (number >= job->first_chunk[source + 1])
            source++;
        if (parallel_stop_asked(job->config->stop))
            s = status_fail(CS336_EINTERRUPTED, "interrupted after %zu of %zu bytes", atomic_load(&job->done),
                            job->total);
        if (!s)
            s = find_chunk(&view, &chunk, job, source, number - job->first_chunk[source]);
        if (!s && chunk.begin < chunk.end)
            s = count_chunk(words, job->config, &view, chunk);
        if (!s)
            atomic_fetch_add(&job->done, chunk.end - chunk.begin);
        if (!s && parallel_thread() == 0)
            report_progress(job);
    }
    close_view(&view);
    return s;
}

/*
 * Reads the next chunk of the streams; an empty chunk: there is none. Only one thread at a time calls it. After a
 * failure it finds no further chunk.
 */
static Status read_chunk(Job *job, TextChunk *chunk)
{
    Status s = CS336_OK;
    chunk->length = 0;
    while (!s && chunk->length == 0 && job->stream < job->source_count) {
        const TextStream *stream = &job->sources[job->stream].stream;
        if (stream->read && !job->cutter.stream)
            text_cutter_begin(&job->cutter, stream, job->config->special, job->config->pattern, job->chunk_bytes,
                              CUT_GROW);
        if (stream->read)
            s = text_cutter_next(&job->cutter, chunk);
        if (chunk->length == 0) {
            text_cutter_end(&job->cutter);
            job->stream++;
        }
    }
    if (s)
        job->stream = job->source_count;
    return s;
}

/* Takes chunks of the streams and counts them until none is left. */
static Status count_streams(Job *job, WordTally *words)
{
    TextChunk chunk = {0};
    Status s = CS336_OK;
    do {
        if (parallel_stop_asked(job->config->stop))
            s = status_fail(CS336_EINTERRUPTED, "interrupted after %zu bytes", atomic_load(&job->done));
        if (!s) {
            pthread_mutex_lock(&job->reading);
            s = read_chunk(job, &chunk);
            pthread_mutex_unlock(&job->reading);
        }
        const View view = {.text = chunk.bytes.bytes, .end = chunk.bytes.length};
        if (!s && chunk.length)
            s = count_chunk(words, job->config, &view, (Chunk){.end = chunk.length});
        if (!s)
            atomic_fetch_add(&job->done, chunk.length);
        if (!s && parallel_thread() == 0)
            report_progress(job);
    } while (!s && chunk.length && !is_over(job));
    byte_list_deinit(&chunk.bytes);
    return s;
}

Status count_words(WordTable *words, const WordSource *sources, size_t source_count, const WordCountConfig *config)
{
    Job job = {
        .config = config, .sources = sources, .source_count = source_count, .reading = PTHREAD_MUTEX_INITIALIZER};
    *words = (WordTable){0};
    Status s = begin_job(&job);
    if (!s) {
        /* Each thread counts in a tally of its own, which passes words on to the table. */
#pragma omp parallel num_threads(config->threads)
        {
            WordTally *tally;
            Status thread_status = word_tally_new(&tally, words);
            if (!thread_status)
                thread_status = count_chunks(&job, tally);
            if (!thread_status)
                thread_status = count_streams(&job, tally);
            if (!thread_status)
                thread_status = word_tally_finish(tally);
            word_tally_free(tally);
            if (thread_status)
                parallel_fail(&job.failure, thread_status);
        }
        s = parallel_result(&job.failure);
    }
    if (s)
        word_table_deinit(words);
    else
        report_progress(&job);
    text_cutter_end(&job.cutter);
    memory_release(job.first_chunk);
    return s;
}

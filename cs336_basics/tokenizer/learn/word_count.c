#include "tokenizer/learn/word_count.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/learn/word_tally.h"
#include "tokenizer/split/pretokenize.h"

enum {
    CHUNK_BYTES = 1 << 19,
    MARGIN = 1 << 12, /* bytes beyond a chunk in which a safe cut is to be expected */
    CONTEXT = 8,      /* characters around a cut, on each side */
    END_CAPACITY = WORD_BATCH
};

/* ---- the threads' common work ---- */

typedef struct {
    const WordCountConfig *config;
    const WordSource *sources;
    size_t source_count, chunk_bytes, total;
    size_t context;           /* bytes around a cut that decide whether it is safe, on each side */
    size_t *first_chunk;      /* of each source, and behind the last one */
    atomic_size_t next_chunk; /* to be taken */
    atomic_size_t done;       /* bytes counted */
    ParallelFailure failure;
} Job;

static Status begin_job(Job *job)
{
    job->chunk_bytes = job->config->chunk_bytes ? job->config->chunk_bytes : CHUNK_BYTES;
    job->context = CONTEXT;
    for (size_t i = 0; i < job->config->special->count; i++)
        if (job->context < job->config->special->tokens[i].length)
            job->context = job->config->special->tokens[i].length;
    job->first_chunk = memory_allocate_zeroed(job->source_count + 1, sizeof *job->first_chunk);
    if (!job->first_chunk)
        return status_fail(CS336_ENOMEM, "count_words: no memory for %zu texts", job->source_count);
    for (size_t i = 0; i < job->source_count; i++) {
        const size_t length = job->sources[i].content.length;
        job->first_chunk[i + 1] = job->first_chunk[i] + length / job->chunk_bytes + (length % job->chunk_bytes != 0);
        job->total += length;
    }
    return CS336_OK;
}

/* ---- the part of a source that a thread sees ---- */

typedef struct {
    FileReader file;
    size_t open; /* number of the source that `file` reads, plus 1; 0: none */
    ByteList buffer;
    const uint8_t *text; /* bytes [begin, end) of the source */
    size_t begin, end;
} Window;

static void close_window(Window *window)
{
    if (window->open)
        file_close(&window->file);
    byte_list_deinit(&window->buffer);
    *window = (Window){0};
}

static Status open_file(Window *window, size_t number, const char *path)
{
    if (window->open == number + 1)
        return CS336_OK;
    if (window->open)
        file_close(&window->file);
    window->open = 0;
    const Status s = file_open(&window->file, path);
    if (!s)
        window->open = number + 1;
    return s;
}

/* Shows bytes [begin, end) of a source. */
static Status show(Window *window, const Job *job, size_t number, size_t begin, size_t end)
{
    const WordSource *source = &job->sources[number];
    window->begin = begin;
    window->end = end;
    if (!source->path) {
        window->text = source->content.bytes + begin;
        return CS336_OK;
    }
    Status s = open_file(window, number, source->path);
    if (!s)
        s = array_reserve(&window->buffer.bytes, &window->buffer.capacity, end - begin, 1);
    if (!s)
        s = file_read_at(&window->file, window->buffer.bytes, end - begin, begin);
    window->text = window->buffer.bytes;
    return s;
}

/* ---- chunks ---- */

/*
 * The first safe cut at or after `from`, or where the view ends. A cut nearer than `context` bytes to that end is not
 * known to be safe unless the source ends there too. The window begins `context` bytes before `from`.
 */
static size_t safe_cut(const Window *window, const Job *job, size_t from, bool ended)
{
    const size_t length = window->end - window->begin;
    size_t cut = from - window->begin;
    if (from == 0)
        return 0;
    for (; ended ? cut < length : cut + job->context <= length; cut++)
        if (pretoken_surely_begins(window->text, length, cut) &&
            !special_tokens_span(job->config->special, window->text, length, cut, ended))
            return window->begin + cut;
    return window->end;
}

typedef struct {
    size_t begin, end; /* in the source; equal: nothing */
} Span;

/* Shows chunk `index` of a source, reading on as long as it takes to find its end. */
static Status find_chunk(Window *window, Span *chunk, const Job *job, size_t number, size_t index)
{
    const size_t length = job->sources[number].content.length;
    const size_t from = index * job->chunk_bytes,
                 to = length - from > job->chunk_bytes ? from + job->chunk_bytes : length;
    const size_t before = from < job->context ? from : job->context;
    for (size_t more = MARGIN + job->context;; more *= 2) {
        const size_t end = length - to > more ? to + more : length;
        const bool ended = end == length;
        const Status s = show(window, job, number, from - before, end);
        if (s)
            return s;
        chunk->begin = safe_cut(window, job, from, ended);
        chunk->end = chunk->begin;
        if (chunk->begin >= to) /* the chunk before reads on, over this one */
            return CS336_OK;
        chunk->end = to < length ? safe_cut(window, job, to, ended) : length;
        if (chunk->end < end || ended)
            return CS336_OK;
    }
}

static Status count_segment(WordTally *words, const uint8_t *text, size_t length, const uint8_t *readable)
{
    const uint8_t *begin = text, *ends[END_CAPACITY];
    Pretokenizer pretokenizer;
    Status s = CS336_OK;
    pretokenizer_begin(&pretokenizer);
    pretokenizer_feed(&pretokenizer, text, length, true);
    for (size_t count; !s && (count = pretokenizer_next(&pretokenizer, ends, END_CAPACITY)) > 0;) {
        s = word_tally_count(words, begin, ends, count, readable);
        begin = ends[count - 1];
    }
    return s;
}

static Status count_chunk(WordTally *words, const SpecialTokens *special, ByteString chunk, const uint8_t *readable)
{
    Status s = CS336_OK;
    for (size_t at = 0; !s && at < chunk.length;) {
        const SpecialMatch next = special_tokens_find(special, chunk.bytes, chunk.length, at, true);
        s = count_segment(words, chunk.bytes + at, next.at - at, readable);
        at = next.index < 0 ? chunk.length : next.at + special->tokens[next.index].length;
    }
    return s;
}

/* ---- threads ---- */

static void tell(const Job *job)
{
    if (job->config->progress)
        job->config->progress(job->config->context, atomic_load(&job->done), job->total);
}

/* One thread's share: the chunks that it gets, their numbers ascending. */
static Status take_chunks(Job *job, WordTally *words)
{
    Window window = {0};
    Status s = CS336_OK;
    size_t source = 0, chunk;
    while (!s && !parallel_failed(&job->failure) &&
           (chunk = atomic_fetch_add(&job->next_chunk, 1)) < job->first_chunk[job->source_count]) {
        Span span = {0};
        while (chunk >= job->first_chunk[source + 1])
            source++;
        if (parallel_stop_asked(job->config->stop))
            s = status_fail(CS336_EINTERRUPTED, "count_words: stopped after %zu of %zu bytes", atomic_load(&job->done),
                            job->total);
        if (!s)
            s = find_chunk(&window, &span, job, source, chunk - job->first_chunk[source]);
        if (!s && span.begin < span.end)
            s = count_chunk(
                words, job->config->special,
                (ByteString){.bytes = window.text + (span.begin - window.begin), .length = span.end - span.begin},
                window.text + (window.end - window.begin));
        if (!s)
            atomic_fetch_add(&job->done, span.end - span.begin);
        if (!s && parallel_thread() == 0)
            tell(job);
    }
    close_window(&window);
    return s;
}

static Status count_share(Job *job, WordTable *words)
{
    WordTally *tally;
    Status s = word_tally_new(&tally, words);
    if (!s)
        s = take_chunks(job, tally);
    if (!s)
        s = word_tally_finish(tally);
    word_tally_free(tally);
    return s;
}

Status count_words(WordTable *words, const WordSource *sources, size_t source_count, const WordCountConfig *config)
{
    Job job = {.config = config, .sources = sources, .source_count = source_count};
    *words = (WordTable){0};
    Status s = begin_job(&job);
    if (!s) {
#pragma omp parallel num_threads(config->threads)
        {
            const Status share = count_share(&job, words);
            if (share)
                parallel_fail(&job.failure, share);
        }
        s = parallel_result(&job.failure);
    }
    if (s)
        word_table_deinit(words);
    else
        tell(&job);
    memory_release(job.first_chunk);
    return s;
}

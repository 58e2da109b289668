#include "tokenizer/learn/bpe_train.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/text_form.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/learn/bpe_learn.h"
#include "tokenizer/learn/bpe_train_steps.h"
#include "tokenizer/split/special_tokens.h"

/* ---- the vocabulary before the first merge ---- */

/* True for a blank and for control characters: files write them as special tokens otherwise than as bytes. */
static bool is_blank_or_control(uint8_t byte)
{
    return byte < 0x80 && byte_alphabet_character(byte) != byte;
}

/* True if a special token needs an entry besides those of the bytes. */
static bool needs_entry(ByteString token)
{
    return token.length > 1 || (token.length == 1 && is_blank_or_control(token.bytes[0]));
}

Status bpe_train_begin(BPEModel *model, const BPETrainConfig *config)
{
    Status s = CS336_OK;
    model->pattern = config->pattern;
    for (size_t i = 0; !s && i < config->special_count; i++)
        if (needs_entry(config->special_tokens[i]) && bpe_model_find_special(model, config->special_tokens[i]) < 0)
            s = bpe_model_add_special(model, config->special_tokens[i]);
    const size_t special = model->vocab_size;
    for (unsigned rank = 0; !s && rank < BYTE_VALUES; rank++) {
        const uint8_t byte = byte_alphabet_sorted(rank);
        s = bpe_model_add_token(model, (ByteString){.bytes = &byte, .length = 1});
    }
    if (!s && (config->vocab_size < model->vocab_size || config->vocab_size > INT32_MAX))
        s = status_fail(CS336_ERANGE,
                        "bpe_train: vocabulary of %zu, expected %zu to %d: 256 bytes and %zu special tokens",
                        config->vocab_size, model->vocab_size, INT32_MAX, special);
    return s;
}

Status bpe_train_check(const BPETrainConfig *config)
{
    SpecialTokens special;
    BPEModel model = {0};
    Status s = special_tokens_init(&special, config->special_tokens, NULL, config->special_count);
    if (s)
        return s;
    s = bpe_train_begin(&model, config);
    bpe_model_deinit(&model);
    special_tokens_deinit(&special);
    return s;
}

/* ---- counting, then merging ---- */

/* Passes on what count_words() reports. */
typedef struct {
    BPEProgress *progress; /* NULL: nobody listens */
    void *context;
    size_t bytes; /* counted so far; in the end those of all texts */
} Listener;

static void report_counting(void *context, size_t done, size_t total)
{
    Listener *listener = context;
    listener->bytes = done;
    if (listener->progress)
        listener->progress(listener->context, BPE_COUNTING, done, total);
}

Status bpe_train_count(WordTable *words, size_t *bytes, const WordSource *sources, size_t source_count,
                       const BPETrainConfig *config, RanksTasks *tasks)
{
    SpecialTokens special;
    Status s = special_tokens_init(&special, config->special_tokens, NULL, config->special_count);
    if (s)
        return s;
    Listener listener = {.progress = config->progress, .context = config->progress_context};
    const WordCountConfig counting = {
        .special = &special,
        .pattern = config->pattern,
        .threads = config->threads > 0 ? config->threads : parallel_threads(),
        .tasks = tasks,
        .stop = config->stop,
        .progress = report_counting,
        .context = &listener,
    };
    s = count_words(words, sources, source_count, &counting);
    *bytes = listener.bytes;
    special_tokens_deinit(&special);
    return s;
}

static Status train(BPEModel *model, BPETrainStats *stats, const WordSource *sources, size_t source_count,
                    const BPETrainConfig *config)
{
    WordTable words = {0};
    size_t bytes = 0;
    Status s = bpe_train_begin(model, config);
    if (!s)
        s = bpe_train_count(&words, &bytes, sources, source_count, config, NULL);
    if (!s && stats) {
        *stats = (BPETrainStats){.bytes = bytes, .distinct_pretokens = word_table_size(&words)};
        for (WordCursor cursor = {0}; word_table_next(&words, &cursor);)
            stats->pretokens += cursor.count;
    }
    if (!s)
        s = bpe_learn(model, &words, config);
    if (s)
        bpe_model_deinit(model);
    return s;
}

static Status allocate_sources(WordSource **sources, size_t count)
{
    *sources = memory_allocate_zeroed(count, sizeof **sources);
    return *sources ? CS336_OK : status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu texts", count);
}

Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                 const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    WordSource *sources;
    Status s = allocate_sources(&sources, text_count);
    for (size_t i = 0; !s && i < text_count; i++)
        sources[i].content = texts[i];
    if (!s)
        s = train(model, stats, sources, text_count, config);
    memory_release(sources);
    return s;
}

/* Checks a file and finds its length. */
static Status measure_file(WordSource *source, const char *path)
{
    FileReader file;
    Status s = file_open(&file, path);
    if (s)
        return s;
    s = text_form_check_plain(&file);
    *source = (WordSource){.path = path, .content.length = file.size};
    file_close(&file);
    return s;
}

Status bpe_train_texts(BPEModel *model, BPETrainStats *stats, const BPEText *texts, size_t text_count,
                       const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    WordSource *sources;
    Status s = allocate_sources(&sources, text_count);
    for (size_t i = 0; !s && i < text_count; i++)
        if (texts[i].path)
            s = measure_file(&sources[i], texts[i].path);
        else
            sources[i].stream = *texts[i].stream;
    if (!s)
        s = train(model, stats, sources, text_count, config);
    memory_release(sources);
    return s;
}

Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths, size_t path_count,
                       const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    BPEText *texts = memory_allocate_zeroed(path_count, sizeof *texts);
    if (!texts)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu texts", path_count);
    for (size_t i = 0; i < path_count; i++)
        texts[i].path = paths[i];
    const Status s = bpe_train_texts(model, stats, texts, path_count, config);
    memory_release(texts);
    return s;
}

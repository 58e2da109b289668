#include "tokenizer/learn/bpe_train.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/learn/bpe_learn.h"
#include "tokenizer/learn/word_count.h"
#include "tokenizer/split/special_tokens.h"

/* ---- the vocabulary before the first merge ---- */

/* True if tokens[index] is also given earlier in the list. */
static bool given_before(const ByteString *tokens, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (byte_string_equal(tokens[i], tokens[index]))
            return true;
    return false;
}

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

/* Adds the special tokens and the bytes to an empty model, and checks the size that is wanted. */
static Status begin_vocabulary(BPEModel *model, const BPETrainConfig *config)
{
    Status s = CS336_OK;
    model->pattern = config->pattern;
    for (size_t i = 0; !s && i < config->special_count; i++)
        if (needs_entry(config->special_tokens[i]) && !given_before(config->special_tokens, i))
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

/* ---- counting, then merging ---- */

/* Passes on what count_words() reports. */
typedef struct {
    BPEProgress *progress;
    void *context;
} Listener;

static void report_counting(void *context, size_t done, size_t total)
{
    const Listener *listener = context;
    listener->progress(listener->context, BPE_COUNTING, done, total);
}

/* Counts the words of the sources. */
static Status count_pretokens(WordTable *words, const WordSource *sources, size_t source_count,
                              const BPETrainConfig *config)
{
    SpecialTokens special;
    Status s = special_tokens_init(&special, config->special_tokens, config->special_count);
    if (s)
        return s;
    Listener listener = {.progress = config->progress, .context = config->progress_context};
    const WordCountConfig counting = {
        .special = &special,
        .pattern = config->pattern,
        .threads = config->threads > 0 ? config->threads : parallel_threads(),
        .stop = config->stop,
        .progress = config->progress ? report_counting : NULL,
        .context = &listener,
    };
    s = count_words(words, sources, source_count, &counting);
    special_tokens_deinit(&special);
    return s;
}

static Status train(BPEModel *model, BPETrainStats *stats, const WordSource *sources, size_t source_count,
                    const BPETrainConfig *config)
{
    WordTable words = {0};
    Status s = begin_vocabulary(model, config);
    if (!s)
        s = count_pretokens(&words, sources, source_count, config);
    if (!s && stats) {
        *stats = (BPETrainStats){.distinct_pretokens = word_table_size(&words)};
        for (size_t i = 0; i < source_count; i++)
            stats->bytes += sources[i].content.length;
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

Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths, size_t path_count,
                       const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    WordSource *sources;
    Status s = allocate_sources(&sources, path_count);
    for (size_t i = 0; !s && i < path_count; i++) {
        FileReader file;
        s = file_open(&file, paths[i]);
        if (s)
            break;
        sources[i] = (WordSource){.path = paths[i], .content.length = file.size};
        file_close(&file);
    }
    if (!s)
        s = train(model, stats, sources, path_count, config);
    memory_release(sources);
    return s;
}

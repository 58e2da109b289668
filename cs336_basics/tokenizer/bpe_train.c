#include "tokenizer/bpe_train.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/bpe_pairs.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/word_count.h"

/* ---- the vocabulary before the first merge ---- */

static bool given_before(const ByteString *tokens, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (byte_string_equal(tokens[i], tokens[index]))
            return true;
    return false;
}

static Status begin_vocabulary(BPEModel *model, const BPETrainConfig *config)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < config->special_count; i++)
        if (config->special_tokens[i].length > 1 && !given_before(config->special_tokens, i))
            s = bpe_model_add_token(model, config->special_tokens[i]);
    const size_t special = model->vocab_size;
    for (unsigned place = 0; !s && place < BYTE_VALUES; place++) {
        const uint8_t byte = byte_alphabet_sorted(place);
        s = bpe_model_add_token(model, (ByteString){.bytes = &byte, .length = 1});
    }
    if (!s && (config->vocab_size < model->vocab_size || config->vocab_size > INT32_MAX))
        s = status_fail(CS336_ERANGE,
                        "bpe_train: vocabulary of %zu, expected %zu to %d: 256 bytes and %zu special tokens",
                        config->vocab_size, model->vocab_size, INT32_MAX, special);
    return s;
}

/* ---- words as sequences of tokens ---- */

typedef struct {
    size_t begin;   /**< of its tokens in Trainer.symbols */
    size_t length;  /**< tokens, fewer with each merge */
    uint64_t count; /**< occurrences in the corpus */
} Sequence;

typedef struct {
    BPEModel *model;
    int32_t *symbols; /**< the tokens of all words, one word after the other */
    Sequence *words;
    size_t word_count;
    BPEPairs pairs;
} Trainer;

static Status begin_words(Trainer *trainer, const WordTable *table)
{
    int32_t byte_ids[BYTE_VALUES];
    const size_t first_byte = trainer->model->vocab_size - BYTE_VALUES;
    for (unsigned place = 0; place < BYTE_VALUES; place++)
        byte_ids[byte_alphabet_sorted(place)] = (int32_t)(first_byte + place);
    trainer->symbols = memory_allocate(table->bytes.length * sizeof *trainer->symbols);
    trainer->words = memory_allocate(table->word_count * sizeof *trainer->words);
    if (!trainer->symbols || !trainer->words || table->word_count > UINT32_MAX)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu distinct pre-tokens", table->word_count);
    for (size_t i = 0; i < table->bytes.length; i++)
        trainer->symbols[i] = byte_ids[table->bytes.bytes[i]];
    for (size_t i = 0; i < table->slot_count; i++) {
        const Word *word = &table->slots[i];
        if (word->count)
            trainer->words[trainer->word_count++] =
                (Sequence){.begin = word->at, .length = word->length, .count = word->count};
    }
    return CS336_OK;
}

static Status count_pairs(Trainer *trainer)
{
    Status s = CS336_OK;
    for (size_t w = 0; !s && w < trainer->word_count; w++) {
        const Sequence *word = &trainer->words[w];
        const int32_t *symbol = trainer->symbols + word->begin;
        for (size_t i = 1; !s && i < word->length; i++)
            s = bpe_pairs_gain(&trainer->pairs, symbol[i - 1], symbol[i], (uint32_t)w, word->count);
    }
    return s ? s : bpe_pairs_enter(&trainer->pairs, 0);
}

/* ---- one merge ---- */

/* The pairs on both sides of each occurrence of (left, right) are about to go. */
static void lose_neighbours(Trainer *trainer, const Sequence *word, int32_t left, int32_t right)
{
    const int32_t *symbol = trainer->symbols + word->begin;
    bool after = false; /* whether symbol[i - 1] belongs to an occurrence */
    for (size_t i = 0; i < word->length;) {
        const bool here = i + 1 < word->length && symbol[i] == left && symbol[i + 1] == right;
        if (i > 0 && (after || here))
            bpe_pairs_lose(&trainer->pairs, symbol[i - 1], symbol[i], word->count);
        after = here;
        i += here ? 2 : 1;
    }
}

/* Returns whether the pair occurred. */
static bool join(Trainer *trainer, Sequence *word, int32_t left, int32_t right, int32_t merged)
{
    int32_t *symbol = trainer->symbols + word->begin;
    size_t length = 0;
    for (size_t i = 0; i < word->length; length++) {
        const bool here = i + 1 < word->length && symbol[i] == left && symbol[i + 1] == right;
        symbol[length] = here ? merged : symbol[i];
        i += here ? 2 : 1;
    }
    const bool joined = length < word->length;
    word->length = length;
    return joined;
}

static Status gain_neighbours(Trainer *trainer, uint32_t w, int32_t merged)
{
    const Sequence *word = &trainer->words[w];
    const int32_t *symbol = trainer->symbols + word->begin;
    Status s = CS336_OK;
    for (size_t i = 1; !s && i < word->length; i++)
        if (symbol[i - 1] == merged || symbol[i] == merged)
            s = bpe_pairs_gain(&trainer->pairs, symbol[i - 1], symbol[i], w, word->count);
    return s;
}

static Status merge_pair(Trainer *trainer, uint32_t number)
{
    BPEPairs *pairs = &trainer->pairs;
    const Pair pair = pairs->pairs[number];
    const int32_t merged = (int32_t)trainer->model->vocab_size;
    const size_t first_new = pairs->pair_count;
    Status s = bpe_model_merge(trainer->model, pair.left, pair.right);
    for (uint32_t visit = pair.first; !s && visit != NO_VISIT; visit = pairs->visits[visit].next) {
        const uint32_t w = pairs->visits[visit].word;
        lose_neighbours(trainer, &trainer->words[w], pair.left, pair.right);
        if (join(trainer, &trainer->words[w], pair.left, pair.right, merged))
            s = gain_neighbours(trainer, w, merged);
    }
    pairs->pairs[number].count = 0;
    return s ? s : bpe_pairs_enter(pairs, first_new);
}

static Status merge_all(Trainer *trainer, const BPETrainConfig *config)
{
    const size_t wanted = config->vocab_size - trainer->model->vocab_size;
    Status s = CS336_OK;
    uint32_t best;
    for (size_t done = 0; !s && done < wanted && bpe_pairs_pop(&trainer->pairs, &best); done++) {
        if (config->stop && atomic_load(config->stop))
            s = status_fail(CS336_EINTERRUPTED, "bpe_train: stopped after %zu of %zu merges", done, wanted);
        if (!s)
            s = merge_pair(trainer, best);
        if (!s && config->progress)
            config->progress(config->progress_context, BPE_MERGING, done + 1, wanted);
    }
    return s;
}

/* ---- all of it ---- */

typedef struct {
    BPEProgress *progress;
    void *context;
} Listener;

static void tell_counting(void *context, size_t done, size_t total)
{
    const Listener *listener = context;
    listener->progress(listener->context, BPE_COUNTING, done, total);
}

static Status count_words(WordTable *words, const ByteString *texts, size_t text_count, const BPETrainConfig *config)
{
    SpecialTokens special;
    Status s = special_tokens_init(&special, config->special_tokens, config->special_count);
    if (s)
        return s;
    Listener listener = {.progress = config->progress, .context = config->progress_context};
    const WordCountConfig counting = {
        .special = &special,
        .threads = config->threads > 0 ? config->threads : parallel_threads(),
        .stop = config->stop,
        .progress = config->progress ? tell_counting : NULL,
        .context = &listener,
    };
    s = word_table_count(words, texts, text_count, &counting);
    special_tokens_deinit(&special);
    return s;
}

static void fill_stats(BPETrainStats *stats, const WordTable *words, const ByteString *texts, size_t text_count)
{
    *stats = (BPETrainStats){.distinct_pretokens = words->word_count};
    for (size_t i = 0; i < text_count; i++)
        stats->bytes += texts[i].length;
    for (size_t i = 0; i < words->slot_count; i++)
        stats->pretokens += words->slots[i].count;
}

Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                 const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    WordTable words = {0};
    Trainer trainer = {.model = model, .pairs = {.model = model}};
    Status s = begin_vocabulary(model, config);
    if (!s)
        s = count_words(&words, texts, text_count, config);
    if (!s && stats)
        fill_stats(stats, &words, texts, text_count);
    if (!s)
        s = begin_words(&trainer, &words);
    word_table_deinit(&words);
    if (!s)
        s = count_pairs(&trainer);
    if (!s)
        s = merge_all(&trainer, config);
    memory_release(trainer.symbols);
    memory_release(trainer.words);
    bpe_pairs_deinit(&trainer.pairs);
    if (s)
        bpe_model_deinit(model);
    return s;
}

Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths, size_t path_count,
                       const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    MappedFile *files = memory_allocate_zeroed(path_count, sizeof *files);
    ByteString *texts = memory_allocate(path_count * sizeof *texts);
    Status s = CS336_OK;
    if (!files || !texts)
        s = status_fail(CS336_ENOMEM, "bpe_train_files: no memory for %zu files", path_count);
    for (size_t i = 0; !s && i < path_count; i++) {
        s = file_map(&files[i], paths[i]);
        if (!s)
            texts[i] = (ByteString){.bytes = files[i].data, .length = files[i].size};
    }
    if (!s)
        s = bpe_train(model, stats, texts, path_count, config);
    for (size_t i = 0; files && i < path_count; i++)
        file_unmap(&files[i]);
    memory_release(files);
    memory_release(texts);
    return s;
}

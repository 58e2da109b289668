#include "tokenizer/learn/bpe_train_ranks.h"

#include "core/memory.h"
#include "distributed/ranks.h"
#include "distributed/watchdog.h"
#include "tokenizer/input_ranks.h"
#include "tokenizer/learn/bpe_learn.h"
#include "tokenizer/learn/bpe_train_steps.h"
#include "tokenizer/learn/word_exchange.h"

/* ---- sharing ---- */

/* The size of standard input and pipes is not known: rank 0 reads them. */
Status bpe_train_share(int *ranks, const InputTexts *texts, int count)
{
    size_t *loads = memory_allocate_zeroed((size_t)count, sizeof *loads); /* by rank: bytes of its streams */
    if (!loads)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %d ranks", count);
    for (size_t i = 0; i < texts->count; i++) {
        const InputText *text = &texts->items[i];
        int least = 0;
        for (int rank = 1; text->size && rank < count; rank++)
            least = loads[rank] < loads[least] ? rank : least;
        ranks[i] = text->is_plain ? -1 : least;
        loads[least] += text->is_plain ? 0 : text->size;
    }
    memory_release(loads);
    return CS336_OK;
}

/* Makes the list of what this rank counts: its streams, and all plain files, of which it counts some chunks. */
static Status choose_sources(WordSource **sources, size_t *count, const InputTexts *texts)
{
    int *ranks = memory_allocate(texts->count * sizeof *ranks);
    *sources = memory_allocate_zeroed(texts->count, sizeof **sources);
    *count = 0;
    Status s = CS336_OK;
    if (!ranks || !*sources)
        s = status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu texts", texts->count);
    if (!s)
        s = bpe_train_share(ranks, texts, ranks_count());
    for (size_t i = 0; !s && i < texts->count; i++) {
        const InputText *text = &texts->items[i];
        if (text->is_plain)
            (*sources)[(*count)++] = (WordSource){.path = text->path, .content.length = text->size};
        else if (ranks[i] == ranks_own())
            (*sources)[(*count)++] = (WordSource){.stream = text->stream};
    }
    memory_release(ranks);
    return s;
}

/* ---- progress ---- */

typedef struct {
    const BPETrainConfig *config;
    bool has_streams;
} Listener;

/* Passes on what rank 0 reports. The others are about as far, because all ranks have about as many chunks. */
static void report(void *context, BPEPhase phase, size_t done, size_t total)
{
    const Listener *listener = context;
    if (phase == BPE_COUNTING && !listener->has_streams) {
        const size_t estimate = done * (size_t)ranks_count();
        done = estimate < total ? estimate : total;
    } else if (phase == BPE_COUNTING) {
        total = 0;
    }
    listener->config->progress(listener->config->progress_context, phase, done, total);
}

/* ---- learning ---- */

/* What a rank has counted in its share. */
typedef struct {
    uint64_t bytes, pretokens;
} Counted;

/* Counts this rank's share, and adds up the words and the statistics of all ranks. If one fails, the others stop. */
static Status count(WordTable *words, BPETrainStats *stats, const InputTexts *texts, const BPETrainConfig *config)
{
    WordSource *sources = NULL;
    size_t source_count = 0;
    RanksTasks tasks;
    ranks_tasks_begin(&tasks);
    Status s = choose_sources(&sources, &source_count, texts);
    if (!s)
        s = bpe_train_count(words, &stats->bytes, sources, source_count, config, &tasks);
    if (s)
        ranks_tasks_abandon(&tasks);
    ranks_tasks_end(&tasks);
    memory_release(sources);
    Counted own = {.bytes = stats->bytes};
    for (WordCursor cursor = {0}; !s && word_table_next(words, &cursor);)
        own.pretokens += cursor.count;
    Counted *all = s ? NULL : memory_allocate((size_t)ranks_count() * sizeof *all);
    if (!s && !all)
        s = status_fail(CS336_ENOMEM, "bpe_train: no memory for the statistics of %d ranks", ranks_count());
    s = ranks_agree(s);
    *stats = (BPETrainStats){0};
    if (!s) {
        ranks_gather_all(all, &own, sizeof own);
        for (int i = 0; i < ranks_count(); i++) {
            stats->bytes += (size_t)all[i].bytes;
            stats->pretokens += all[i].pretokens;
        }
        s = words_gather(words);
    }
    memory_release(all);
    return s;
}

Status bpe_train_ranks(BPEModel *model, BPETrainStats *stats, const InputTexts *texts, const BPETrainConfig *config)
{
    WordTable words = {0};
    Listener listener = {.config = config, .has_streams = texts->has_streams};
    BPETrainConfig shared = *config;
    shared.progress = config->progress ? report : NULL;
    shared.progress_context = &listener;
    *model = (BPEModel){0};
    *stats = (BPETrainStats){0};
    Status s = ranks_agree(bpe_train_begin(model, config));
    if (!s)
        s = input_texts_agree(texts);
    watchdog_activity("counting pre-tokens");
    if (!s)
        s = count(&words, stats, texts, &shared);
    watchdog_activity_alone("learning merges");
    /* Rank 0 has all words, and learns. */
    if (!s && ranks_own() == 0) {
        stats->distinct_pretokens = word_table_size(&words);
        s = bpe_learn(model, &words, &shared);
    } else {
        bpe_model_deinit(model);
    }
    word_table_deinit(&words);
    if (s)
        bpe_model_deinit(model);
    return s;
}

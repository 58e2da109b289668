#include "tokenizer/learn/bpe_train_inputs.h"

#include "core/memory.h"

Status bpe_train_inputs(BPEModel *model, BPETrainStats *stats, const InputTexts *texts, const BPETrainConfig *config)
{
    *model = (BPEModel){0};
    BPEText *sources = memory_allocate_zeroed(texts->count, sizeof *sources);
    if (!sources)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu texts", texts->count);
    for (size_t i = 0; i < texts->count; i++) {
        const InputText *text = &texts->items[i];
        sources[i] = text->is_plain ? (BPEText){.path = text->path} : (BPEText){.stream = &text->stream};
    }
    const Status s = bpe_train_texts(model, stats, sources, texts->count, config);
    memory_release(sources);
    return s;
}

#include "generate/draw.h"

#include <math.h>

void mask_logits(Tensor masked, Tensor logits, const bool *drawable)
{
    for (size_t id = 0; id < tensor_extent(logits, -1); id++)
        masked.data[id] = drawable[id] ? logits.data[id] : -INFINITY;
}

size_t draw_scratch(size_t vocab_size)
{
    Arena measure = {0};
    arena_tensor(&measure, vocab_size);
    arena_take(&measure, sample_scratch(vocab_size));
    return measure.peak;
}

Status draw_token(int32_t *token, Tensor logits, const bool *drawable, const SampleConfig *config, Rng *rng,
                  Arena *scratch)
{
    if (!drawable)
        return sample_token(token, logits, config, rng, scratch);
    /* The copy leaves the model's logits as they are, for the log-probability of the token. */
    const size_t mark = arena_mark(scratch);
    const Tensor masked = arena_tensor(scratch, tensor_extent(logits, -1));
    Status s = arena_status(scratch);
    if (!s) {
        mask_logits(masked, logits, drawable);
        s = sample_token(token, masked, config, rng, scratch);
    }
    arena_release(scratch, mark);
    return s;
}

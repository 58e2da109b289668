#include "inspect/next_tokens.h"

#include <stdbool.h>

static bool comes_before(SampleCandidate a, SampleCandidate b)
{
    return a.probability > b.probability || (a.probability == b.probability && a.token < b.token);
}

Status next_tokens(SampleCandidate *likeliest, size_t *count, Tensor logits, Arena *scratch)
{
    static const SampleConfig whole = {.temperature = 1, .top_p = 1};
    const size_t mark = arena_mark(scratch), wanted = *count;
    SampleCandidate *candidates = arena_take(scratch, tensor_extent(logits, -1) * sizeof *candidates);
    size_t all = 0;
    Status s = arena_status(scratch);
    if (!s)
        s = sample_candidates(candidates, &all, logits, &whole);
    *count = 0;
    /* An insertion sort that keeps only the first `wanted`: most candidates fail the one comparison with the last. */
    for (size_t i = 0; !s && i < all; i++) {
        size_t place = *count;
        while (place > 0 && comes_before(candidates[i], likeliest[place - 1]))
            place--;
        if (place == wanted)
            continue;
        *count += *count < wanted;
        for (size_t j = *count - 1; j > place; j--)
            likeliest[j] = likeliest[j - 1];
        likeliest[place] = candidates[i];
    }
    arena_release(scratch, mark);
    return s;
}

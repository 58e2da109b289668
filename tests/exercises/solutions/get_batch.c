/* Batches: each row begins at a random position of the text; its target is the same row, one token later. */
#include "data/batch.h"

#include <string.h>

Status get_batch(int32_t *inputs, int32_t *targets, const TokenFile *tokens, size_t batch_size, size_t context_length,
                 const char *device, Rng *rng)
{
    if (strcmp(device, "cpu") != 0)
        return status_fail(CS336_ERANGE, "get_batch: device \"%s\" does not exist, expected \"cpu\"", device);
    Status s = token_file_check_context(tokens, context_length);
    for (size_t b = 0; !s && b < batch_size; b++) {
        /* The last target is token start + context_length, so start is below n - context_length. */
        const size_t start = (size_t)rng_below(rng, tokens->count - context_length);
        s = token_file_read(&inputs[b * context_length], tokens, start, context_length);
        if (!s)
            s = token_file_read(&targets[b * context_length], tokens, start + 1, context_length);
    }
    return s;
}

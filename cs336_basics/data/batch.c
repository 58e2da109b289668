#include "data/batch.h"

#include <string.h>

Status get_batch(int32_t *inputs, int32_t *targets, const TokenFile *tokens, size_t batch_size, size_t context_length,
                 const char *device, Rng *rng)
{
    if (strcmp(device, "cpu") != 0)
        return status_fail(CS336_ERANGE, "get_batch: device \"%s\" does not exist, expected \"cpu\"", device);
    Status s = token_file_check_context(tokens, context_length);
    for (size_t row = 0; !s && row < batch_size; row++) {
        const size_t start = (size_t)rng_below(rng, tokens->count - context_length);
        s = token_file_read(inputs + row * context_length, tokens, start, context_length);
        if (!s)
            s = token_file_read(targets + row * context_length, tokens, start + 1, context_length);
    }
    return s;
}

void skip_batch(const TokenFile *tokens, size_t batch_size, size_t context_length, Rng *rng)
{
    for (size_t row = 0; row < batch_size; row++)
        (void)rng_below(rng, tokens->count - context_length);
}

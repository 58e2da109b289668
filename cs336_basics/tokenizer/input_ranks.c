#include "tokenizer/input_ranks.h"

#include "core/memory.h"
#include "distributed/agreement.h"
#include "distributed/ranks.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct {
    uint64_t size, is_plain;
} Seen;

/* Compares what is in the files. Only rank 0 reads standard input and pipes, whose size is 0. */
static Status agree_on_contents(const InputTexts *texts)
{
    Agreement agreement = {0};
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < texts->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "input file %zu", i + 1);
        if (texts->items[i].size)
            s = agreement_add_file(&agreement, name, texts->items[i].path);
    }
    return agreement_check(&agreement, s);
}

Status input_texts_agree(const InputTexts *texts)
{
    Seen *first = memory_allocate_zeroed(texts->count, sizeof *first); /* of rank 0 */
    Status s = CS336_OK;
    if (!first)
        s = status_fail(CS336_ENOMEM, "no memory for %zu texts", texts->count);
    s = ranks_agree(s);
    for (size_t i = 0; !s && i < texts->count; i++)
        first[i] = (Seen){.size = texts->items[i].size, .is_plain = texts->items[i].is_plain};
    if (!s)
        ranks_broadcast(first, texts->count * sizeof *first);
    Status own = CS336_OK;
    for (size_t i = 0; !s && !own && i < texts->count; i++) {
        const InputText *text = &texts->items[i];
        if (text->size != first[i].size)
            own = status_fail(CS336_EIO,
                              "%s: has %zu bytes here and %" PRIu64 " on rank 0; all ranks need the same files",
                              text->path, text->size, first[i].size);
        else if (text->is_plain != first[i].is_plain)
            own = status_fail(CS336_EIO, "%s: is %s here and %s on rank 0; all ranks need the same files", text->path,
                              text->is_plain ? "plain text" : "compressed or no file",
                              text->is_plain ? "compressed or no file" : "plain text");
    }
    memory_release(first);
    if (!s)
        s = ranks_agree(own);
    return s ? s : agree_on_contents(texts);
}

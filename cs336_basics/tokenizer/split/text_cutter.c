#include "tokenizer/split/text_cutter.h"

#include "tokenizer/split/cut.h"

void text_cutter_begin(TextCutter *cutter, const TextStream *stream, const SpecialTokens *special,
                       PretokenPattern pattern, size_t chunk_bytes, CutPolicy policy)
{
    *cutter = (TextCutter){
        .stream = stream, .special = special, .pattern = pattern, .chunk_bytes = chunk_bytes, .policy = policy};
}

void text_cutter_end(TextCutter *cutter)
{
    byte_list_deinit(&cutter->ahead);
    *cutter = (TextCutter){0};
}

/* Reads until the list has `wanted` bytes, or the stream ends. */
static Status read_up_to(TextCutter *cutter, ByteList *bytes, size_t wanted)
{
    Status s = array_reserve(&bytes->bytes, &bytes->capacity, wanted, 1);
    while (!s && bytes->length < wanted && !cutter->ended) {
        size_t length = 0;
        s = cutter->stream->read(cutter->stream->context, bytes->bytes + bytes->length, wanted - bytes->length,
                                 &length);
        if (!s)
            bytes->length += length;
        cutter->ended = length == 0;
    }
    return s;
}

/*
 * Returns the last safe cut in [begin, end] of a text that goes on, or 0. `context` bytes must be in view on both sides
 * of all of them, unless the text begins on the left.
 */
static size_t last_safe_cut(const TextCutter *cutter, const ByteList *text, size_t begin, size_t end)
{
    for (size_t cut = end; cut >= begin && cut > 0; cut--)
        if (text_may_be_cut(cutter->special, cutter->pattern, text->bytes, text->length, cut, false))
            return cut;
    return 0;
}

Status text_cutter_next(TextCutter *cutter, TextChunk *chunk)
{
    const size_t context = CUT_CONTEXT + cutter->special->longest;
    const bool continues = cutter->unfinished;
    size_t wanted = cutter->chunk_bytes + context, searched = continues ? context : 1, cut = 0;
    /* The chunk begins with what was read ahead; the two lists exchange their memory. */
    const ByteList ahead = cutter->ahead;
    cutter->ahead = chunk->bytes;
    cutter->ahead.length = 0;
    chunk->bytes = ahead;
    chunk->length = 0;
    Status s = read_up_to(cutter, &chunk->bytes, wanted);
    while (!s && !cutter->ended) {
        const size_t end = chunk->bytes.length - context;
        if (cutter->policy == CUT_CONTINUE && end > searched + CUT_SEARCH_MOST)
            searched = end - CUT_SEARCH_MOST;
        cut = last_safe_cut(cutter, &chunk->bytes, searched, end);
        if (cut || cutter->policy == CUT_CONTINUE)
            break;
        searched = end + 1;
        wanted *= 2;
        s = read_up_to(cutter, &chunk->bytes, wanted);
    }
    if (!s && cut)
        s = byte_list_append(&cutter->ahead, chunk->bytes.bytes + cut, chunk->bytes.length - cut);
    if (s)
        return s;
    chunk->begins = !continues;
    chunk->ends = cut || cutter->ended;
    chunk->length = cut ? cut : chunk->bytes.length;
    cutter->unfinished = !chunk->ends;
    return CS336_OK;
}

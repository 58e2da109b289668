#include "generate/stop_text.h"

#include "core/memory.h"

#include <string.h>

/*
 * The latest bytes are the first n of the text. Returns how many they are with one more byte. If the byte does not
 * continue the text, the shorter prefixes that also end the latest bytes are tried, the longest first.
 */
static size_t continue_match(const StopText *stop, size_t n, uint8_t byte)
{
    while (n > 0 && stop->text.bytes[n] != byte)
        n = stop->border[n];
    return stop->text.bytes[n] == byte ? n + 1 : 0;
}

static Status init_one(StopText *stop, ByteString text)
{
    if (text.length == 0)
        return status_fail(CS336_ERANGE, "stop_texts_init: a stop text is empty, expected at least one byte");
    stop->text = text;
    stop->border = memory_allocate_zeroed(text.length + 1, sizeof *stop->border);
    if (!stop->border)
        return status_fail(CS336_ENOMEM, "stop_texts_init: no memory for a stop text of %zu bytes", text.length);
    /* A border of n bytes is a border of the first n - 1, continued by byte n - 1: the search of the text in itself. */
    for (size_t n = 2; n <= text.length; n++)
        stop->border[n] = continue_match(stop, stop->border[n - 1], text.bytes[n - 1]);
    return CS336_OK;
}

Status stop_texts_init(StopTexts *stops, const ByteString *texts, size_t count)
{
    *stops = (StopTexts){.items = memory_allocate_zeroed(count, sizeof *stops->items)};
    Status s = CS336_OK;
    if (!stops->items)
        s = status_fail(CS336_ENOMEM, "%s: no memory for %zu stop texts", __func__, count);
    for (size_t i = 0; !s && i < count; i++, stops->count++)
        s = init_one(&stops->items[i], texts[i]);
    if (s)
        stop_texts_deinit(stops);
    return s;
}

void stop_texts_deinit(StopTexts *stops)
{
    for (size_t i = 0; i < stops->count; i++)
        memory_release(stops->items[i].border);
    memory_release(stops->items);
    *stops = (StopTexts){0};
}

Status stop_filter_init(StopFilter *filter, const StopTexts *stops)
{
    *filter = (StopFilter){.stops = stops, .matched = memory_allocate_zeroed(stops->count, sizeof *filter->matched)};
    if (!filter->matched)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu stop texts", __func__, stops->count);
    return CS336_OK;
}

/*
 * Continues every match by one byte. Returns the length of the longest stop text that the byte completes, or 0. *begun
 * is the most bytes that may begin a stop text.
 */
static size_t search_byte(StopFilter *filter, uint8_t byte, size_t *begun)
{
    size_t completed = 0;
    *begun = 0;
    for (size_t i = 0; i < filter->stops->count; i++) {
        const StopText *stop = &filter->stops->items[i];
        const size_t n = filter->matched[i] = continue_match(stop, filter->matched[i], byte);
        if (n == stop->text.length && n > completed)
            completed = n;
        if (n > *begun)
            *begun = n;
    }
    return completed;
}

Status stop_filter_push(ByteString *released, StopFilter *filter, ByteString piece)
{
    ByteList *held = &filter->held;
    *released = (ByteString){.length = 0};
    if (filter->found)
        return CS336_OK;
    /* Drop what the call before this one released, and append the piece. */
    if (filter->released)
        memmove(held->bytes, held->bytes + filter->released, held->length - filter->released);
    held->length -= filter->released;
    filter->released = 0;
    size_t searched = held->length, begun = held->length, completed = 0;
    const Status s = piece.length ? byte_list_append(held, piece.bytes, piece.length) : CS336_OK;
    if (s)
        return s;
    /* Search the piece up to the end of the first stop text. What is held is always the longest begun match. */
    while (searched < held->length && !completed)
        completed = search_byte(filter, held->bytes[searched++], &begun);
    filter->found = completed > 0;
    filter->released = searched - (completed ? completed : begun);
    *released = (ByteString){.bytes = held->bytes, .length = filter->released};
    return CS336_OK;
}

ByteString stop_filter_rest(const StopFilter *filter)
{
    if (filter->found || filter->released == filter->held.length)
        return (ByteString){.length = 0};
    return (ByteString){.bytes = filter->held.bytes + filter->released,
                        .length = filter->held.length - filter->released};
}

void stop_filter_deinit(StopFilter *filter)
{
    memory_release(filter->matched);
    byte_list_deinit(&filter->held);
    *filter = (StopFilter){0};
}

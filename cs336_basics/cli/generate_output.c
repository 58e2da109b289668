#include "cli/generate.h"
#include "core/memory.h"
#include "core/plural.h"
#include "inspect/token_label.h"

#include <errno.h>
#include <string.h>

struct GenerateOutput {
    GenerateWriter *writer;
    size_t index;
    ByteString prompt;
    StopFilter filter;
    ByteList waiting; /* bytes to write when it is this text's turn */
    bool ended;
    int32_t previous;       /* the last id so far */
    double log_probability; /* sum over the tokens */
    size_t tokens;
};

/* True if the output has the drawn tokens in place of the text. */
static bool shows_tokens(const GenerateWriter *writer)
{
    return writer->job->options->logprobs || writer->job->options->ids;
}

Status generate_write(Screen *screen, ByteString piece, bool last)
{
    ByteString shown;
    const Status s = screen_text(&shown, screen, piece, last);
    if (s)
        return s;
    if ((shown.length && fwrite(shown.bytes, 1, shown.length, stdout) != shown.length) || fflush(stdout) != 0)
        return status_fail(CS336_EIO, "cannot write to standard output: %s", strerror(errno));
    return CS336_OK;
}

Status generate_writer_init(GenerateWriter *writer, const GenerateJob *job, size_t count)
{
    *writer = (GenerateWriter){.job = job, .screen.terminal = screen_is_terminal("-")};
    writer->texts = memory_allocate_zeroed(count, sizeof *writer->texts);
    if (!writer->texts)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu texts", __func__, count);
    writer->count = count;
    return CS336_OK;
}

/* Writes bytes of a text, or keeps them until it is the text's turn. */
static Status emit(GenerateOutput *text, ByteString bytes)
{
    if (text->index == text->writer->current)
        return generate_write(&text->writer->screen, bytes, false);
    return bytes.length ? byte_list_append(&text->waiting, bytes.bytes, bytes.length) : CS336_OK;
}

static Status emit_line(GenerateOutput *text, double log_probability, const char *label)
{
    char number[32];
    snprintf(number, sizeof number, "%12.6f  ", log_probability);
    Status s = emit(text, byte_string(number));
    if (!s)
        s = emit(text, byte_string(label));
    return s ? s : emit(text, byte_string("\n"));
}

/* Writes the line of a token for --logprobs. */
static Status emit_token(GenerateOutput *text, const DrawnToken *token, ByteString bytes)
{
    const double log_probability = sample_log_probability(token->logits, token->id);
    ByteList label = {0};
    Status s = token_label(&label, bytes);
    if (!s)
        s = byte_list_append(&label, (const uint8_t *)"", 1); /* the zero byte that ends a C string */
    if (!s)
        s = emit_line(text, log_probability, (const char *)label.bytes);
    byte_list_deinit(&label);
    text->log_probability += log_probability;
    text->tokens++;
    return s;
}

/* Writes the id of a token for --ids. */
static Status emit_id(GenerateOutput *text, int32_t id)
{
    char number[16];
    snprintf(number, sizeof number, "%s%d", text->tokens++ ? " " : "", (int)id);
    return emit(text, byte_string(number));
}

/* Writes what comes before the text's tokens. */
static Status write_beginning(GenerateOutput *text)
{
    const GenerateWriter *writer = text->writer;
    if (writer->count > 1)
        printf("%s--- %zu of %zu ---\n", text->index ? "\n" : "", text->index + 1, writer->count);
    if (shows_tokens(writer) || !text->prompt.length)
        return CS336_OK;
    return generate_write(&text->writer->screen, text->prompt, true);
}

/* Begins the output, unless it has begun. */
static Status begin(GenerateWriter *writer)
{
    if (writer->begun)
        return CS336_OK;
    writer->begun = true;
    return write_beginning(&writer->texts[0]);
}

/* Receives a token. It may end inside a character, and the bytes of the next token complete that. */
static Status receive(void *context, const DrawnToken *token, bool *end)
{
    GenerateOutput *text = context;
    const GenerateJob *job = text->writer->job;
    const ByteString bytes = tokenizer_token_after(job->tokenizer, text->previous, token->id);
    ByteString released = {.length = 0};
    Status s = begin(text->writer);
    if (!s && !text->filter.stops)
        s = stop_filter_init(&text->filter, &job->stops);
    if (!s && !token->stops)
        s = stop_filter_push(&released, &text->filter, bytes);
    *end = text->filter.found;
    text->previous = token->id;
    if (s)
        return s;
    if (job->options->ids)
        return emit_id(text, token->id);
    return job->options->logprobs ? emit_token(text, token, tokenizer_token(job->tokenizer, token->id))
                                  : emit(text, released);
}

static Status write_end(GenerateWriter *writer)
{
    const Status s = generate_write(&writer->screen, (ByteString){.length = 0}, true);
    if (!writer->job->options->logprobs)
        putchar('\n');
    return s;
}

/* Writes all that is there of the texts from the current one on: to the end of those that have ended. */
static Status write_current(GenerateWriter *writer)
{
    Status s = CS336_OK;
    while (!s && writer->current < writer->count && writer->texts[writer->current].ended) {
        s = write_end(writer);
        if (++writer->current == writer->count)
            return s;
        GenerateOutput *text = &writer->texts[writer->current];
        if (!s)
            s = write_beginning(text);
        if (!s)
            s = generate_write(&writer->screen, byte_list_view(&text->waiting), false);
        byte_list_deinit(&text->waiting);
    }
    return s;
}

static Status end(void *context)
{
    GenerateOutput *text = context;
    const GenerateOptions *options = text->writer->job->options;
    Status s = begin(text->writer);
    if (s)
        return s;
    if (options->logprobs) {
        char label[64];
        snprintf(label, sizeof label, "sum of %zu token%s", text->tokens, plural(text->tokens));
        s = emit_line(text, text->log_probability, label);
    } else if (!options->ids) {
        s = emit(text, stop_filter_rest(&text->filter));
    }
    stop_filter_deinit(&text->filter);
    text->ended = true;
    return s ? s : write_current(text->writer);
}

TextReceiver generate_writer_receiver(GenerateWriter *writer, size_t index, ByteString prompt, int32_t previous)
{
    GenerateOutput *text = &writer->texts[index];
    *text = (GenerateOutput){.writer = writer, .index = index, .prompt = prompt, .previous = previous};
    return (TextReceiver){.token = receive, .end = end, .context = text};
}

void generate_writer_deinit(GenerateWriter *writer)
{
    for (size_t i = 0; i < writer->count; i++) {
        stop_filter_deinit(&writer->texts[i].filter);
        byte_list_deinit(&writer->texts[i].waiting);
    }
    memory_release(writer->texts);
    screen_deinit(&writer->screen);
    *writer = (GenerateWriter){0};
}

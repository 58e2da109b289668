#include "cli/generate.h"
#include "core/memory.h"
#include "tokenizer/encode/encoder.h"

#include <stdint.h>
#include <string.h>

static Status add(GeneratePrompts *prompts, ByteString text)
{
    const Status s = array_reserve(&prompts->items, &prompts->capacity, prompts->count + 1, sizeof *prompts->items);
    if (!s)
        prompts->items[prompts->count++] = (GeneratePrompt){.text = text};
    return s;
}

static Status read_all(ByteList *bytes, const char *path)
{
    InputStream input = {0};
    Status s = input_open(&input, path, NULL);
    for (size_t taken = 1; !s && taken > 0;) {
        uint8_t buffer[4096];
        s = input_read(&input, buffer, sizeof buffer, &taken);
        if (!s && taken)
            s = byte_list_append(bytes, buffer, taken);
    }
    input_close(&input);
    return s;
}

/* Returns the bytes up to the next line feed or the end, and moves *rest behind them. Files of Windows have a carriage
 * return before each line feed, which is no part of the line either. */
static ByteString next_line(ByteString *rest)
{
    const uint8_t *feed = memchr(rest->bytes, '\n', rest->length);
    ByteString line = {rest->bytes, feed ? (size_t)(feed - rest->bytes) : rest->length};
    const size_t taken = line.length + (feed != NULL);
    *rest = (ByteString){rest->bytes + taken, rest->length - taken};
    if (feed && line.length && line.bytes[line.length - 1] == '\r')
        line.length--;
    return line;
}

Status generate_prompts_read(GeneratePrompts *prompts, const GenerateOptions *options)
{
    const char *path = options->prompts ? options->prompts : options->prompt_file;
    if (!path)
        return add(prompts, byte_string(options->prompt ? options->prompt : ""));
    Status s = read_all(&prompts->bytes, path);
    if (s)
        return s;
    ByteString rest = byte_list_view(&prompts->bytes);
    if (options->prompt_file) {
        /* An editor puts a line feed at the end of a file. A model would take it for the end of a paragraph. */
        if (rest.length && rest.bytes[rest.length - 1] == '\n')
            rest.length--;
        return add(prompts, rest);
    }
    if (rest.length == 0)
        return status_fail(CS336_EIO, "%s: the file is empty, expected a prompt on each line", path);
    while (!s && rest.length)
        s = add(prompts, next_line(&rest));
    return s;
}

static Status no_document_start(const GenerateOptions *options)
{
    const char *what = options->prompts       ? "a line of --prompts is empty"
                       : options->prompt_file ? "--prompt-file is empty"
                       : options->prompt      ? "--prompt is empty"
                                              : "--prompt is missing";
    return status_fail(CS336_ERANGE,
                       "%s, and the vocabulary has no %s to start a document with; give a text by --prompt, or the "
                       "token between documents by --stop",
                       what, TOKENIZER_DOCUMENT_END);
}

Status generate_prompts_encode(GeneratePrompts *prompts, const GenerateJob *job)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < prompts->count; i++) {
        GeneratePrompt *prompt = &prompts->items[i];
        prompt->first = prompts->ids.count;
        if (prompt->text.length)
            s = tokenizer_encode(job->tokenizer, &prompts->ids, prompt->text);
        else if (job->document_start >= 0)
            s = token_list_append(&prompts->ids, &job->document_start, 1);
        else
            s = no_document_start(job->options);
        prompt->count = prompts->ids.count - prompt->first;
    }
    return s;
}

void generate_prompts_deinit(GeneratePrompts *prompts)
{
    byte_list_deinit(&prompts->bytes);
    token_list_deinit(&prompts->ids);
    memory_release(prompts->items);
    *prompts = (GeneratePrompts){0};
}

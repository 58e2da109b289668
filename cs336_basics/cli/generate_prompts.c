#include "cli/commands.h"
#include "cli/generate.h"
#include "core/input_stream.h"
#include "core/memory.h"
#include "tokenizer/encode/encoder.h"

#include <stdint.h>
#include <stdlib.h>
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
    Status s = strcmp(path, "-") == 0 ? CS336_OK : command_needs_readable(path, NULL);
    if (!s)
        s = input_open_text(&input, path);
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
        return add(prompts, byte_string(options->prompt ? options->prompt : "")); /* --prompt-ids come later */
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

/* Appends the ids of a text such as "464 3797". */
static Status parse_ids(TokenList *ids, const char *text, size_t vocab_size)
{
    static const char blanks[] = " \t\n";
    Status s = CS336_OK;
    for (text += strspn(text, blanks); !s && *text; text += strspn(text, blanks)) {
        const size_t digits = strspn(text, "0123456789");
        if (digits == 0 || (text[digits] && !strchr(blanks, text[digits])))
            return status_fail(CS336_ERANGE, "--prompt-ids: expected ids with blanks between them, found \"%s\"", text);
        const unsigned long long id = strtoull(text, NULL, 10); /* the greatest number if there are too many digits */
        if (id >= vocab_size)
            return status_fail(CS336_ERANGE, "--prompt-ids: id %.*s, expected below the vocabulary size %zu",
                               digits < 20 ? (int)digits : 20, text, vocab_size);
        s = token_list_append(ids, &(int32_t){(int32_t)id}, 1);
        text += digits;
    }
    return s;
}

/* Reads --prompt-ids. The text of a prompt does not show the token that starts a document. */
static Status read_ids(GeneratePrompts *prompts, const GenerateJob *job)
{
    GeneratePrompt *prompt = &prompts->items[0];
    Status s = parse_ids(&prompts->ids, job->options->prompt_ids, tokenizer_vocab_size(job->tokenizer));
    if (s)
        return s;
    const int32_t *ids = prompts->ids.ids;
    prompt->count = prompts->ids.count;
    if (prompt->count == 0)
        return status_fail(CS336_ERANGE, "--prompt-ids is empty, expected at least one id");
    const size_t hidden = ids[0] == job->document_start ? 1 : 0;
    s = tokenizer_check_ids(job->tokenizer, ids, prompt->count, "--prompt-ids", 0);
    if (!s)
        s = tokenizer_decode_after(job->tokenizer, &prompts->bytes, hidden ? ids[0] : -1, ids + hidden,
                                   prompt->count - hidden);
    prompt->text = byte_list_view(&prompts->bytes);
    return s;
}

/* A tokenizer of llama2.c has no merges, so a prompt can only be given as ids. */
static Status encode_text_of(GeneratePrompts *prompts, const GenerateJob *job, ByteString text)
{
    const Status s = tokenizer_options_encode(&job->tokenizer->model, &job->options->tokenizer,
                                              "give the prompt as ids: --prompt-ids '1 403 407'");
    return s ? s : tokenizer_encode(job->tokenizer, &prompts->ids, text);
}

Status generate_prompts_encode(GeneratePrompts *prompts, const GenerateJob *job)
{
    if (job->options->prompt_ids)
        return read_ids(prompts, job);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < prompts->count; i++) {
        GeneratePrompt *prompt = &prompts->items[i];
        prompt->first = prompts->ids.count;
        if (prompt->text.length)
            s = encode_text_of(prompts, job, prompt->text);
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

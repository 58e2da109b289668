#include "tokenizer/files/tokenizer_file.h"

#include "core/file.h"
#include "core/text_form.h"
#include "core/utf8.h"
#include "tokenizer/files/llama2c_tokenizer.h"
#include "tokenizer/files/merge_read.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/tokenizer_json.h"

/* Names what the file may be instead. */
static Status refuse(ByteString text, const char *path)
{
    const char *hint = "";
    if (text_form(text.bytes, text.length) != TEXT_PLAIN)
        return text_form_refuse_as(text.bytes, text.length, path, "a tokenizer", "tokenizer.json");
    if (merges_text_is_likely(text))
        hint = "; it looks like a merges.txt, which --merges reads, together with --vocab";
    else if (text.length && *text.bytes == '\n') /* a protocol buffer's first field, a message */
        hint = "; models of SentencePiece are not read";
    else if (text.length && memchr(text.bytes, 0, text.length))
        hint = "; the first 12 bytes of a tokenizer.bin are the length of its longest token, and the score and the "
               "length of the first one: these are damaged, or it is another file";
    return status_fail(CS336_EFORMAT,
                       "%s: expected a tokenizer.json, a rank file with a token in base64 and its rank in each line, "
                       "or a tokenizer.bin of llama2.c%s",
                       path, hint);
}

/* True if the first character that is no blank begins an object. A mark before it is reported by the JSON parser. */
static bool begins_object(ByteString text)
{
    size_t i = utf8_byte_order_mark(text.bytes, text.length) ? text.length : 0;
    if (i)
        return true;
    while (i < text.length && (text.bytes[i] == ' ' || (text.bytes[i] >= '\t' && text.bytes[i] <= '\r')))
        i++;
    return i < text.length && text.bytes[i] == '{';
}

/* A tokenizer.json names its pattern, so another one cannot be asked for. */
static Status check_pattern(BPEModel *model, int pattern, const char *path)
{
    if (pattern == PATTERN_UNKNOWN || pattern == (int)model->pattern)
        return CS336_OK;
    const char *own = pattern_names[model->pattern];
    bpe_model_deinit(model);
    return status_fail(CS336_EFORMAT, "%s: its pattern is %s, not the %s of --pattern", path, own,
                       pattern_names[pattern]);
}

/* A pattern and special tokens are for encoding, which a tokenizer of llama2.c cannot. */
static Status check_no_encoding(int pattern, size_t special_count, const char *path)
{
    if (pattern == PATTERN_UNKNOWN && special_count == 0)
        return CS336_OK;
    return status_fail(CS336_ERANGE,
                       "%s: a tokenizer of llama2.c, which can decode but not encode: it has no use for a pattern and "
                       "special tokens",
                       path);
}

Status tokenizer_file_read(BPEModel *model, const char *path, int pattern, const ByteString *special_tokens,
                           size_t special_count)
{
    LoadedFile file;
    *model = (BPEModel){0};
    Status s = file_load(&file, path);
    if (s)
        return s;
    const ByteString text = {.bytes = file.data, .length = file.size};
    if (begins_object(text)) {
        s = tokenizer_json_read(model, text, path, special_tokens, special_count);
        if (!s)
            s = check_pattern(model, pattern, path);
    } else if (rank_file_begins(text)) {
        s = rank_file_read(model, text, path, pattern, special_tokens, special_count);
    } else if (llama2c_tokenizer_begins(text)) {
        s = check_no_encoding(pattern, special_count, path);
        if (!s)
            s = llama2c_tokenizer_read(model, text, path);
    } else {
        s = refuse(text, path);
    }
    file_unload(&file);
    return s;
}

bool tokenizer_file_is_ranks(const char *path)
{
    static const char ending[] = ".tiktoken";
    const size_t length = strlen(path), ending_length = sizeof ending - 1;
    return length >= ending_length && strcmp(path + length - ending_length, ending) == 0;
}

Status tokenizer_file_write(FileWriter *writer, const BPEModel *model)
{
    return tokenizer_file_is_ranks(writer->path) ? rank_file_write(writer, model)
                                                 : tokenizer_json_write(writer, model, NULL, 0);
}

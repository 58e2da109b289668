#include "tokenizer/files/bpe_files.h"

#include "core/file.h"
#include "core/json.h"
#include "core/text_form.h"
#include "tokenizer/files/llama2c_tokenizer.h"
#include "tokenizer/files/merge_read.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/vocabulary_read.h"

#include <stdio.h>

/* ---- vocab.json ---- */

/* Reads the entries, which may come in any order, and then adds the tokens by id. */
static Status read_entries(BPEModel *model, json_t *object, ByteString text, const char *path)
{
    if (!json_is_object(object))
        return status_fail(CS336_EFORMAT, "%s:1: expected an object of \"token\": id", path);
    if (json_is_object(json_object_get(object, "model")))
        return status_fail(CS336_EFORMAT,
                           "%s: this is a tokenizer.json, expected vocab.json, an object of \"token\": id; "
                           "--tokenizer reads a tokenizer.json",
                           path);
    VocabularyReader reader = {.path = path, .text = text};
    Status s = vocabulary_read_init(&reader, json_object_size(object));
    if (!s)
        s = vocabulary_read_entries(&reader, object);
    if (!s)
        s = vocabulary_read_finish(&reader, model);
    vocabulary_read_deinit(&reader);
    return s;
}

/* Names a file that --tokenizer reads, and that is no JSON; NULL: it is none of them. */
static const char *name_tokenizer(ByteString file)
{
    if (rank_file_begins(file))
        return "a rank file";
    return llama2c_tokenizer_begins(file) ? "a tokenizer.bin of llama2.c" : NULL;
}

/* True if the file at `path` is an object whose first entry is a whole number, as those of vocab.json are. */
static bool is_like_vocabulary(const char *path)
{
    json_t *object = NULL;
    const bool is_json = json_read(&object, path) == CS336_OK;
    const bool is_like = is_json && json_is_integer(json_object_iter_value(json_object_iter(object)));
    json_decref(object);
    return is_like;
}

/*
 * Says what was given instead of vocab.json, after json_parse() has refused it. The message of json_parse() stays for
 * damaged JSON, for JSON behind a byte order mark, and for compressed files.
 */
static Status refuse_vocabulary(ByteString file, const char *path, const char *merges_path)
{
    size_t begin = 0;
    while (begin < file.length && memchr(" \t\r\n", file.bytes[begin], 4))
        begin++;
    /* The first token of merges.txt may be a brace. The first line of vocab.json may be {"a": 0, with one blank. */
    const bool is_brace = begin == file.length || file.bytes[begin] == '{' || file.bytes[begin] == '[';
    const bool is_quoted = begin + 1 < file.length && file.bytes[begin + 1] == '"';
    const bool is_merges = merges_text_is_likely(file) && !(is_brace && is_quoted);
    if ((is_brace && !is_merges) || utf8_byte_order_mark(file.bytes, file.length) ||
        text_form(file.bytes, file.length) != TEXT_PLAIN)
        return CS336_EFORMAT;
    const char *tokenizer = name_tokenizer(file);
    if (tokenizer)
        return status_fail(CS336_EFORMAT, "%s: looks like %s, expected vocab.json; --tokenizer reads such a file", path,
                           tokenizer);
    if (!is_merges)
        return status_fail(CS336_EFORMAT, "%s: is not JSON, expected vocab.json, an object of \"token\": id", path);
    if (is_like_vocabulary(merges_path))
        return status_fail(
            CS336_EFORMAT,
            "%s: looks like a merges.txt, expected vocab.json, and %s looks like a vocab.json: the files of "
            "--vocab and --merges are swapped",
            path, merges_path);
    return status_fail(CS336_EFORMAT, "%s: looks like a merges.txt, which --merges reads, expected vocab.json", path);
}

static Status read_vocabulary(BPEModel *model, const char *path, const char *merges_path)
{
    LoadedFile file;
    json_t *object = NULL;
    Status s = file_load(&file, path);
    if (s)
        return s;
    s = json_parse(&object, (const char *)file.data, file.size, path);
    const ByteString text = {.bytes = file.data, .length = file.size};
    if (s == CS336_EFORMAT)
        s = refuse_vocabulary(text, path, merges_path);
    if (!s)
        s = read_entries(model, object, text, path);
    json_decref(object);
    file_unload(&file);
    return s;
}

/* ---- merges.txt ---- */

/* Returns an upper bound of the number of merges. */
static size_t count_lines(const LoadedFile *file)
{
    size_t lines = 1;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    return lines;
}

/* Names what may have been given instead of merges.txt. A line of merges.txt may begin with "{", so the whole file
   decides. */
static Status check_is_text(const LoadedFile *file, const char *path)
{
    const char *mark = utf8_byte_order_mark(file->data, file->size);
    if (mark)
        return status_fail(CS336_EFORMAT, "%s: begins with %s, expected merges.txt without it", path, mark);
    if (text_form(file->data, file->size) != TEXT_PLAIN)
        return text_form_refuse_as(file->data, file->size, path, "merges.txt", "merges.txt");
    json_t *value = NULL;
    if (!file->size || *file->data != '{' || json_parse(&value, (const char *)file->data, file->size, path))
        return CS336_OK;
    const char *name = json_is_object(json_object_get(value, "model")) ? "a tokenizer.json" : "JSON, as vocab.json is";
    json_decref(value);
    return status_fail(CS336_EFORMAT,
                       "%s: this is %s, expected merges.txt: two tokens with a blank between them in "
                       "each line",
                       path, name);
}

static Status read_merges(BPEModel *model, const TokenIndex *index, const char *path, const char *vocab_path)
{
    static const char version[] = "#version:";
    const size_t version_length = sizeof version - 1;
    LoadedFile file;
    MergeReader reader = {.model = model, .index = index, .path = path, .vocabulary = vocab_path};
    Status s = file_load(&file, path);
    if (!s)
        s = check_is_text(&file, path);
    if (!s)
        s = merge_read_init(&reader, count_lines(&file));
    for (size_t begin = 0; !s && begin < file.size;) {
        const uint8_t *bytes = file.data + begin, *newline = memchr(bytes, '\n', file.size - begin);
        const size_t length = newline ? (size_t)(newline - bytes) : file.size - begin;
        ByteString line = {.bytes = bytes, .length = length};
        if (length && bytes[length - 1] == '\r')
            line.length--;
        reader.number++;
        const bool is_version =
            reader.number == 1 && line.length >= version_length && memcmp(line.bytes, version, version_length) == 0;
        if (line.length && !is_version)
            s = merge_read_text(&reader, line);
        begin += length + 1;
    }
    /* Only now: the first merge of an unusual merges.txt may look like a line of a rank file. */
    const char *tokenizer =
        s == CS336_EFORMAT ? name_tokenizer((ByteString){.bytes = file.data, .length = file.size}) : NULL;
    if (tokenizer)
        s = status_fail(s, "%s: looks like %s, expected merges.txt; --tokenizer reads such a file", path, tokenizer);
    merge_read_deinit(&reader);
    file_unload(&file);
    return s;
}

Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count)
{
    *model = (BPEModel){0};
    TokenIndex index = {0};
    Status s = read_vocabulary(model, vocab_path, merges_path);
    if (!s)
        s = token_index_init(&index, model);
    if (!s)
        s = vocabulary_check_bytes(model, &index, vocab_path);
    if (!s)
        s = read_merges(model, &index, merges_path, vocab_path);
    if (!s)
        s = special_texts_match(model, special_tokens, special_count);
    token_index_deinit(&index);
    if (s)
        bpe_model_deinit(model);
    return s;
}

/* ---- writing ---- */

/* Appends the text of vocab.json. */
static Status spell_vocabulary(ByteList *list, const BPEModel *model)
{
    char number[32];
    ByteList spelled = {0};
    SpecialTexts special;
    Status s = special_texts_init(&special, model);
    if (!s)
        s = byte_list_append_text(list, "{\n");
    for (size_t id = 0; !s && id < model->vocab_size; id++) {
        if (bpe_model_token(model, (int32_t)id).length == 0) {
            s = status_fail(CS336_ERANGE, "bpe_model_write: no token has id %zu, and vocab.json needs one for each",
                            id);
            break;
        }
        snprintf(number, sizeof number, ": %zu%s\n", id, id + 1 < model->vocab_size ? "," : "");
        spelled.length = 0;
        s = special_texts_append(&special, model, &spelled, (int32_t)id);
        if (!s)
            s = byte_list_append_text(list, "    ");
        if (!s)
            s = token_quote(list, byte_list_view(&spelled));
        if (!s)
            s = byte_list_append_text(list, number);
    }
    byte_list_deinit(&spelled);
    special_texts_deinit(&special);
    return s ? s : byte_list_append_text(list, "}\n");
}

/* Appends the text of merges.txt. */
static Status spell_merges(ByteList *list, const BPEModel *model)
{
    /* An empty file would look like one that was cut off. */
    Status s = model->merge_count ? CS336_OK : byte_list_append_text(list, "#version: 0.2\n");
    for (size_t i = 0; !s && i < model->merge_count; i++) {
        s = token_spell(list, bpe_model_token(model, model->merges[i].left));
        if (!s)
            s = byte_list_append_text(list, " ");
        if (!s)
            s = token_spell(list, bpe_model_token(model, model->merges[i].right));
        if (!s)
            s = byte_list_append_text(list, "\n");
    }
    return s;
}

Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path)
{
    FileWriter vocab = {0}, merges = {0};
    ByteList text = {0};
    /* Write both files beside those that they will replace. */
    Status s = bpe_model_check_merges(__func__, model);
    if (!s && strcmp(vocab_path, merges_path) == 0)
        s = status_fail(CS336_EIO, "%s: cannot be both the vocabulary and the list of merges", vocab_path);
    if (!s)
        s = spell_vocabulary(&text, model);
    if (!s)
        s = file_create(&vocab, vocab_path);
    if (!s)
        s = file_write(&vocab, text.bytes, text.length);
    text.length = 0;
    if (!s)
        s = spell_merges(&text, model);
    if (!s)
        s = file_create(&merges, merges_path);
    if (!s)
        s = file_write(&merges, text.bytes, text.length);
    if (!s)
        s = file_flush(&merges);
    /*
     * Replace both. From here on only a rename can fail. The old merges go first: a kill between the renames would
     * leave them beside a vocabulary of another training, and if that has all their tokens, no reader could tell.
     */
    if (!s)
        s = file_flush(&vocab);
    if (!s)
        s = file_remove_old(&merges);
    if (!s)
        s = file_commit(&vocab);
    if (!s)
        s = file_commit(&merges);
    file_abandon(&vocab);
    file_abandon(&merges);
    byte_list_deinit(&text);
    return s;
}

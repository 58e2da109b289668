#include "tokenizer/files/bpe_files.h"

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

/* Appends the bytes that a text in the byte alphabet stands for. */
static Status append_spelled(ByteList *list, ByteString text, const char *path, size_t line)
{
    Utf8Character wrong;
    const Status s = token_unspell(list, text, &wrong);
    if (s != CS336_EFORMAT)
        return s;
    if (wrong.status != UTF8_VALID)
        return status_fail(s, "%s:%zu: token \"%s\" is not UTF-8", path, line, token_shown(text).text);
    return status_fail(s, "%s:%zu: token \"%s\" has U+%04X, which stands for no byte in GPT-2's alphabet", path, line,
                       token_shown(text).text, (unsigned)wrong.code_point);
}

/* ---- vocab.json ---- */

/* The line of an object's entry. JSON has no places, so they are looked for again once there is something to say. */
static size_t line_of_entry(ByteString text, size_t entry)
{
    size_t line = 1, seen = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.length; i++) {
        const uint8_t c = text.bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '\n')
            line++;
        else if (c == ':' && !quoted && seen++ == entry)
            break;
    }
    return line;
}

typedef struct {
    size_t at, length; /**< length 0: no such token yet */
} Span;

/* Checks one entry and notes where its bytes are. */
static Status take_entry(Span *spans, size_t count, ByteList *bytes, const char *key, const json_t *value,
                         const char *path, size_t line)
{
    if (!*key)
        return status_fail(CS336_EFORMAT, "%s:%zu: empty token", path, line);
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0)
        return status_fail(CS336_EFORMAT, "%s:%zu: the id of \"%s\" is not a whole number from 0 on", path, line,
                           token_shown(byte_string(key)).text);
    if ((size_t)id >= count)
        return status_fail(CS336_EFORMAT, "%s:%zu: id %lld among %zu tokens, ids must be 0 to %zu without holes", path,
                           line, (long long)id, count, count - 1);
    if (spans[id].length)
        return status_fail(CS336_EFORMAT, "%s:%zu: id %lld of \"%s\" is taken by another token", path, line,
                           (long long)id, token_shown(byte_string(key)).text);
    const size_t at = bytes->length;
    const Status s = append_spelled(bytes, byte_string(key), path, line);
    if (!s)
        spans[id] = (Span){.at = at, .length = bytes->length - at};
    return s;
}

static Status take_vocabulary(BPEModel *model, json_t *object, ByteString text, const char *path)
{
    if (!json_is_object(object))
        return status_fail(CS336_EFORMAT, "%s:1: expected an object of \"token\": id", path);
    const size_t count = json_object_size(object);
    Span *spans = memory_allocate_zeroed(count, sizeof *spans);
    ByteList bytes = {0};
    Status s = CS336_OK;
    if (!spans)
        s = status_fail(CS336_ENOMEM, "%s: no memory for %zu tokens", path, count);
    size_t entry = 0; /* its line is looked up when it turns out to be faulty */
    for (void *i = json_object_iter(object); !s && i; i = json_object_iter_next(object, i), entry++) {
        const char *key = json_object_iter_key(i);
        s = take_entry(spans, count, &bytes, key, json_object_iter_value(i), path, 0);
        if (s == CS336_EFORMAT)
            s = take_entry(spans, count, &bytes, key, json_object_iter_value(i), path, line_of_entry(text, entry));
    }
    for (size_t id = 0; !s && id < count; id++)
        s = bpe_model_add_token(model, (ByteString){.bytes = bytes.bytes + spans[id].at, .length = spans[id].length});
    byte_list_deinit(&bytes);
    memory_release(spans);
    return s;
}

static Status check_bytes(const TokenIndex *index, const char *path)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        if (token_index_find(index, (ByteString){.bytes = &byte, .length = 1}) < 0)
            return status_fail(CS336_EFORMAT, "%s: no token for byte 0x%02X, all 256 are needed", path, b);
    }
    return CS336_OK;
}

static Status read_vocabulary(BPEModel *model, const char *path)
{
    MappedFile file;
    json_t *object = NULL;
    Status s = file_map(&file, path);
    if (s)
        return s;
    s = json_parse(&object, (const char *)file.data, file.size, path);
    if (!s)
        s = take_vocabulary(model, object, (ByteString){.bytes = file.data, .length = file.size}, path);
    json_decref(object);
    file_unmap(&file);
    return s;
}

/* ---- merges.txt ---- */

typedef struct {
    BPEModel *model;
    const TokenIndex *index;
    const char *path, *vocab_path;
    size_t line;
    ByteList bytes; /**< of the line's two tokens, one after the other */
    int64_t *seen;  /**< place of a merge by the hash of its pair, -1: free */
    size_t mask;
} MergeReader;

/* Room for a merge on each line of the file, so that a pair's second coming is seen. */
static Status begin_seen(MergeReader *reader, const MappedFile *file)
{
    size_t lines = 1, slots = 2;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    while (slots < 2 * lines)
        slots *= 2;
    reader->mask = slots - 1;
    reader->seen = memory_allocate(slots * sizeof *reader->seen);
    if (!reader->seen)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu merges", reader->path, lines);
    for (size_t i = 0; i < slots; i++)
        reader->seen[i] = -1;
    return CS336_OK;
}

static Status check_new(const MergeReader *reader, BPEMerge merge)
{
    const BPEMerge *merges = reader->model->merges;
    for (size_t at = (size_t)token_pair_hash(merge.left, merge.right);; at++) {
        int64_t *slot = &reader->seen[at & reader->mask];
        if (*slot < 0) {
            *slot = (int64_t)reader->model->merge_count;
            return CS336_OK;
        }
        if (merges[*slot].left == merge.left && merges[*slot].right == merge.right)
            return status_fail(CS336_EFORMAT, "%s:%zu: this merge comes a second time", reader->path, reader->line);
    }
}

static Status find_part(const MergeReader *reader, ByteString bytes, ByteString spelled, int32_t *id)
{
    *id = token_index_find(reader->index, bytes);
    if (*id < 0)
        return status_fail(CS336_EFORMAT, "%s:%zu: token \"%s\" is not in %s", reader->path, reader->line,
                           token_shown(spelled).text, reader->vocab_path);
    return CS336_OK;
}

static Status take_line(MergeReader *reader, ByteString line)
{
    const uint8_t *blank = memchr(line.bytes, ' ', line.length);
    const size_t first = blank ? (size_t)(blank - line.bytes) : 0;
    if (first == 0 || first + 1 == line.length || memchr(blank + 1, ' ', line.length - first - 1))
        return status_fail(CS336_EFORMAT, "%s:%zu: expected two tokens with a blank between them", reader->path,
                           reader->line);
    const ByteString left = {.bytes = line.bytes, .length = first};
    const ByteString right = {.bytes = blank + 1, .length = line.length - first - 1};
    BPEMerge merge;
    reader->bytes.length = 0;
    Status s = append_spelled(&reader->bytes, left, reader->path, reader->line);
    const size_t middle = reader->bytes.length;
    if (!s)
        s = append_spelled(&reader->bytes, right, reader->path, reader->line);
    const uint8_t *bytes = reader->bytes.bytes;
    const size_t length = reader->bytes.length;
    if (!s)
        s = find_part(reader, (ByteString){.bytes = bytes, .length = middle}, left, &merge.left);
    if (!s)
        s = find_part(reader, (ByteString){.bytes = bytes + middle, .length = length - middle}, right, &merge.right);
    if (!s)
        s = find_part(reader, (ByteString){.bytes = bytes, .length = length}, line, &merge.merged);
    if (!s)
        s = check_new(reader, merge);
    return s ? s : bpe_model_add_merge(reader->model, merge);
}

static bool is_version(ByteString line)
{
    static const char mark[] = "#version:";
    return line.length >= sizeof mark - 1 && memcmp(line.bytes, mark, sizeof mark - 1) == 0;
}

static Status read_merges(BPEModel *model, const TokenIndex *index, const char *path, const char *vocab_path)
{
    MappedFile file;
    MergeReader reader = {.model = model, .index = index, .path = path, .vocab_path = vocab_path};
    Status s = file_map(&file, path);
    if (!s)
        s = begin_seen(&reader, &file);
    for (size_t at = 0; !s && at < file.size;) {
        const uint8_t *begin = file.data + at, *newline = memchr(begin, '\n', file.size - at);
        const size_t length = newline ? (size_t)(newline - begin) : file.size - at;
        ByteString line = {.bytes = begin, .length = length};
        if (length && begin[length - 1] == '\r')
            line.length--;
        reader.line++;
        if (line.length && !(reader.line == 1 && is_version(line)))
            s = take_line(&reader, line);
        at += length + 1;
    }
    memory_release(reader.seen);
    byte_list_deinit(&reader.bytes);
    file_unmap(&file);
    return s;
}

Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path)
{
    *model = (BPEModel){0};
    TokenIndex index = {0};
    Status s = read_vocabulary(model, vocab_path);
    if (!s)
        s = token_index_init(&index, model);
    if (!s)
        s = check_bytes(&index, vocab_path);
    if (!s)
        s = read_merges(model, &index, merges_path, vocab_path);
    token_index_deinit(&index);
    if (s)
        bpe_model_deinit(model);
    return s;
}

/* ---- writing ---- */

static Status append_text(ByteList *list, const char *text)
{
    return byte_list_append(list, (const uint8_t *)text, strlen(text));
}

static Status spell_vocabulary(ByteList *list, const BPEModel *model)
{
    char number[32];
    ByteList spelled = {0};
    Status s = append_text(list, "{\n");
    for (size_t id = 0; !s && id < model->vocab_size; id++) {
        snprintf(number, sizeof number, ": %zu%s\n", id, id + 1 < model->vocab_size ? "," : "");
        spelled.length = 0;
        s = token_spell(&spelled, bpe_model_token(model, (int32_t)id));
        if (!s)
            s = append_text(list, "    ");
        if (!s)
            s = token_quote(list, (ByteString){.bytes = spelled.bytes, .length = spelled.length});
        if (!s)
            s = append_text(list, number);
    }
    byte_list_deinit(&spelled);
    return s ? s : append_text(list, "}\n");
}

static Status spell_merges(ByteList *list, const BPEModel *model)
{
    /* An empty file would look like one that was cut off. */
    Status s = model->merge_count ? CS336_OK : append_text(list, "#version: 0.2\n");
    for (size_t i = 0; !s && i < model->merge_count; i++) {
        s = token_spell(list, bpe_model_token(model, model->merges[i].left));
        if (!s)
            s = append_text(list, " ");
        if (!s)
            s = token_spell(list, bpe_model_token(model, model->merges[i].right));
        if (!s)
            s = append_text(list, "\n");
    }
    return s;
}

Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path)
{
    FileWriter vocab = {0}, merges = {0};
    ByteList text = {0};
    Status s = spell_vocabulary(&text, model);
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
    if (!s)
        s = file_commit(&vocab);
    if (!s)
        s = file_commit(&merges);
    file_abandon(&vocab);
    file_abandon(&merges);
    byte_list_deinit(&text);
    return s;
}

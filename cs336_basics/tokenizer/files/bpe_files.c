#include "tokenizer/files/bpe_files.h"

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tokenizer/files/special_text.h"
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

/*
 * Returns the line of an object's entry, by its number. The JSON parser does not report lines, so this scans the text
 * again, once an entry turned out to be wrong.
 */
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

/* Where a token's bytes are in the list of all bytes. */
typedef struct {
    size_t begin, length; /* length 0: no entry has had this id yet */
    bool special;         /* true if its text is not in the alphabet: only a special token is written so */
} TokenBytes;

/* Checks one entry, appends its bytes and records where they are. */
static Status read_entry(TokenBytes *tokens, size_t count, ByteList *bytes, const char *key, const json_t *value,
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
    if (tokens[id].length)
        return status_fail(CS336_EFORMAT, "%s:%zu: id %lld of \"%s\" is taken by another token", path, line,
                           (long long)id, token_shown(byte_string(key)).text);
    const size_t begin = bytes->length;
    Utf8Character wrong;
    Status s = token_unspell(bytes, byte_string(key), &wrong);
    const bool special = s == CS336_EFORMAT; /* JSON is UTF-8, so the text has a character that stands for no byte */
    if (special) {
        bytes->length = begin;
        s = byte_list_append_text(bytes, key);
    }
    if (!s)
        tokens[id] = (TokenBytes){.begin = begin, .length = bytes->length - begin, .special = special};
    return s;
}

/* Reads the entries, which may come in any order, and then adds the tokens by id. */
static Status read_entries(BPEModel *model, json_t *object, ByteString text, const char *path)
{
    if (!json_is_object(object))
        return status_fail(CS336_EFORMAT, "%s:1: expected an object of \"token\": id", path);
    if (json_is_object(json_object_get(object, "model")))
        return status_fail(CS336_EFORMAT,
                           "%s: this is a tokenizer.json, expected vocab.json, an object of \"token\": id (in a "
                           "tokenizer.json, model.vocab is that object)",
                           path);
    const size_t count = json_object_size(object);
    TokenBytes *tokens = memory_allocate_zeroed(count, sizeof *tokens);
    ByteList bytes = {0};
    Status s = CS336_OK;
    if (!tokens)
        s = status_fail(CS336_ENOMEM, "%s: no memory for %zu tokens", path, count);
    size_t entry = 0; /* its number; its line is looked up only for a message */
    for (void *i = json_object_iter(object); !s && i; i = json_object_iter_next(object, i), entry++) {
        const char *key = json_object_iter_key(i);
        s = read_entry(tokens, count, &bytes, key, json_object_iter_value(i), path, 0);
        if (s == CS336_EFORMAT)
            s = read_entry(tokens, count, &bytes, key, json_object_iter_value(i), path, line_of_entry(text, entry));
    }
    for (size_t id = 0; !s && id < count; id++) {
        const ByteString token = {.bytes = bytes.bytes + tokens[id].begin, .length = tokens[id].length};
        s = bpe_model_add_token(model, token);
        if (!s && tokens[id].special)
            s = bpe_model_set_special(model, token, (int32_t)id, SPECIAL_UNNAMED);
    }
    byte_list_deinit(&bytes);
    memory_release(tokens);
    return s;
}

static Status read_vocabulary(BPEModel *model, const char *path)
{
    LoadedFile file;
    json_t *object = NULL;
    Status s = file_load(&file, path);
    if (s)
        return s;
    s = json_parse(&object, (const char *)file.data, file.size, path);
    if (s == CS336_EFORMAT && file.size && *file.data == '#')
        s = status_fail(s, "%s: begins with \"#\" as merges.txt may, expected vocab.json", path);
    if (!s)
        s = read_entries(model, object, (ByteString){.bytes = file.data, .length = file.size}, path);
    json_decref(object);
    file_unload(&file);
    return s;
}

/* ---- merges.txt ---- */

typedef struct {
    BPEModel *model;
    const TokenIndex *index;
    const char *path, *vocab_path;
    size_t line;
    ByteList bytes; /* of the line's two tokens, one after the other */
    int64_t *slots; /* hash table of pairs, with open addressing: the rank of a merge, -1: a free slot */
    size_t slot_mask;
} MergeReader;

/* Makes a hash table for one merge in each line, to find repeated merges. */
static Status make_slots(MergeReader *reader, const LoadedFile *file)
{
    size_t lines = 1;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    const size_t slots = hash_table_slots(lines);
    reader->slot_mask = slots - 1;
    reader->slots = memory_allocate(slots * sizeof *reader->slots);
    if (!reader->slots)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu merges", reader->path, lines);
    for (size_t i = 0; i < slots; i++)
        reader->slots[i] = -1;
    return CS336_OK;
}

/* Enters the next merge into the hash table, or fails if it is there already. */
static Status check_new(const MergeReader *reader, BPEMerge merge)
{
    const BPEMerge *merges = reader->model->merges;
    for (size_t i = (size_t)token_pair_hash(merge.left, merge.right);; i++) {
        int64_t *slot = &reader->slots[i & reader->slot_mask];
        if (*slot < 0) {
            *slot = (int64_t)reader->model->merge_count;
            return CS336_OK;
        }
        if (merges[*slot].left == merge.left && merges[*slot].right == merge.right)
            return status_fail(CS336_EFORMAT, "%s:%zu: this merge comes a second time", reader->path, reader->line);
    }
}

/* Finds the id of an ordinary token; `spelled` is for the message. */
static Status find_token(const MergeReader *reader, ByteString bytes, ByteString spelled, int32_t *id)
{
    *id = token_index_find(reader->index, bytes);
    if (*id < 0 || bpe_model_is_special(reader->model, *id))
        return status_fail(CS336_EFORMAT, "%s:%zu: token \"%s\" is not in %s", reader->path, reader->line,
                           token_shown(spelled).text, reader->vocab_path);
    return CS336_OK;
}

/* Reads the merge in one line. */
static Status read_merge(MergeReader *reader, ByteString line)
{
    /* Split the line at its only blank. */
    const uint8_t *blank = memchr(line.bytes, ' ', line.length);
    const size_t first = blank ? (size_t)(blank - line.bytes) : 0;
    if (first == 0 || first + 1 == line.length || memchr(blank + 1, ' ', line.length - first - 1))
        return status_fail(CS336_EFORMAT, "%s:%zu: expected two tokens with a blank between them", reader->path,
                           reader->line);
    const ByteString left = {.bytes = line.bytes, .length = first};
    const ByteString right = {.bytes = blank + 1, .length = line.length - first - 1};
    /* The bytes of both tokens, one after the other, are those of the merged token. */
    BPEMerge merge;
    reader->bytes.length = 0;
    Status s = append_spelled(&reader->bytes, left, reader->path, reader->line);
    const size_t middle = reader->bytes.length;
    if (!s)
        s = append_spelled(&reader->bytes, right, reader->path, reader->line);
    const uint8_t *bytes = reader->bytes.bytes;
    const size_t length = reader->bytes.length;
    if (!s)
        s = find_token(reader, (ByteString){.bytes = bytes, .length = middle}, left, &merge.left);
    if (!s)
        s = find_token(reader, (ByteString){.bytes = bytes + middle, .length = length - middle}, right, &merge.right);
    if (!s)
        s = find_token(reader, byte_list_view(&reader->bytes), line, &merge.merged);
    if (!s)
        s = check_new(reader, merge);
    return s ? s : bpe_model_add_merge(reader->model, merge);
}

/* Names what may have been given instead of merges.txt. A line of merges.txt may begin with "{", so the whole file
   decides. */
static Status check_no_json(const LoadedFile *file, const char *path)
{
    const char *mark = utf8_byte_order_mark(file->data, file->size);
    if (mark)
        return status_fail(CS336_EFORMAT, "%s: begins with %s, expected merges.txt without it", path, mark);
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
    MergeReader reader = {.model = model, .index = index, .path = path, .vocab_path = vocab_path};
    Status s = file_load(&file, path);
    if (!s)
        s = check_no_json(&file, path);
    if (!s)
        s = make_slots(&reader, &file);
    for (size_t begin = 0; !s && begin < file.size;) {
        const uint8_t *bytes = file.data + begin, *newline = memchr(bytes, '\n', file.size - begin);
        const size_t length = newline ? (size_t)(newline - bytes) : file.size - begin;
        ByteString line = {.bytes = bytes, .length = length};
        if (length && bytes[length - 1] == '\r')
            line.length--;
        reader.line++;
        const bool is_version =
            reader.line == 1 && line.length >= version_length && memcmp(line.bytes, version, version_length) == 0;
        if (line.length && !is_version)
            s = read_merge(&reader, line);
        begin += length + 1;
    }
    memory_release(reader.slots);
    byte_list_deinit(&reader.bytes);
    file_unload(&file);
    return s;
}

static Status check_bytes(const BPEModel *model, const TokenIndex *index, const char *path)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const int32_t id = token_index_find_byte(index, (uint8_t)b);
        if (id < 0 || bpe_model_is_special(model, id))
            return status_fail(CS336_EFORMAT, "%s: no token for byte 0x%02X, all 256 are needed", path, b);
    }
    return CS336_OK;
}

Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count)
{
    *model = (BPEModel){0};
    TokenIndex index = {0};
    Status s = read_vocabulary(model, vocab_path);
    if (!s)
        s = token_index_init(&index, model);
    if (!s)
        s = check_bytes(model, &index, vocab_path);
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

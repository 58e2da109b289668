#include "tokenizer/files/merge_read.h"

#include "core/memory.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

/* Where a merge is, as it stands behind the path in a message: ":12" or ": model.merges[11]". */
typedef struct {
    char text[64];
} MergePlace;

static MergePlace place_of(const MergeReader *reader)
{
    MergePlace place;
    if (reader->array)
        snprintf(place.text, sizeof place.text, ": %s[%zu]", reader->array, reader->number);
    else
        snprintf(place.text, sizeof place.text, ":%zu", reader->number);
    return place;
}

/* Finds the only blank of a line, which has a token on each side. */
static bool split_line(ByteString line, ByteString *left, ByteString *right)
{
    const uint8_t *blank = memchr(line.bytes, ' ', line.length);
    const size_t first = blank ? (size_t)(blank - line.bytes) : 0;
    if (first == 0 || first + 1 == line.length || memchr(blank + 1, ' ', line.length - first - 1))
        return false;
    *left = (ByteString){.bytes = line.bytes, .length = first};
    *right = (ByteString){.bytes = blank + 1, .length = line.length - first - 1};
    return true;
}

bool merges_text_is_likely(ByteString text)
{
    static const char version[] = "#version:";
    const size_t version_length = sizeof version - 1;
    bool found = false;
    if (text.length >= version_length && memcmp(text.bytes, version, version_length) == 0)
        return true;
    if (text.length == 0 || memchr(text.bytes, 0, text.length))
        return false;
    for (size_t begin = 0; begin < text.length;) {
        const uint8_t *bytes = text.bytes + begin, *newline = memchr(bytes, '\n', text.length - begin);
        ByteString line = {.bytes = bytes, .length = newline ? (size_t)(newline - bytes) : text.length - begin};
        begin += line.length + 1;
        if (line.length && bytes[line.length - 1] == '\r')
            line.length--;
        ByteString left, right;
        if (line.length && !split_line(line, &left, &right))
            return false;
        found = found || line.length;
    }
    return found;
}

Status merge_read_init(MergeReader *reader, size_t count)
{
    const size_t slots = hash_table_slots(count);
    reader->slot_mask = slots - 1;
    reader->slots = memory_allocate(slots * sizeof *reader->slots);
    if (!reader->slots)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu merges", reader->path, count);
    for (size_t i = 0; i < slots; i++)
        reader->slots[i] = -1;
    return CS336_OK;
}

/* Appends the bytes that a text in the byte alphabet stands for. */
static Status append_spelled(MergeReader *reader, ByteString text)
{
    enum { SENTENCEPIECE_BLANK = 0x2581 };
    Utf8Character wrong;
    const Status s = token_unspell(&reader->bytes, text, &wrong);
    if (s != CS336_EFORMAT)
        return s;
    if (wrong.status != UTF8_VALID)
        return status_fail(s, "%s%s: token \"%s\" is not UTF-8", reader->path, place_of(reader).text,
                           token_shown(text).text);
    return status_fail(s, "%s%s: token \"%s\" has U+%04X, which stands for no byte in GPT-2's alphabet%s", reader->path,
                       place_of(reader).text, token_shown(text).text, (unsigned)wrong.code_point,
                       wrong.code_point == SENTENCEPIECE_BLANK ? ": these merges are SentencePiece's" : "");
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
            return status_fail(CS336_EFORMAT, "%s%s: this merge comes a second time", reader->path,
                               place_of(reader).text);
    }
}

/* Finds the id of an ordinary token, whose bytes are part of reader->bytes. `left` and `right` are for the message. */
static Status find_token(const MergeReader *reader, size_t begin, size_t end, ByteString left, ByteString right,
                         int32_t *id)
{
    *id = token_index_find(reader->index, (ByteString){.bytes = reader->bytes.bytes + begin, .length = end - begin});
    if (*id < 0 || bpe_model_is_special(reader->model, *id))
        return status_fail(CS336_EFORMAT, "%s%s: token \"%s%s%s\" is not in %s", reader->path, place_of(reader).text,
                           token_shown(left).text, left.length && right.length ? " " : "", token_shown(right).text,
                           reader->vocabulary);
    return CS336_OK;
}

Status merge_read_pair(MergeReader *reader, ByteString left, ByteString right)
{
    /* The bytes of both tokens, one after the other, are those of the merged token. */
    BPEMerge merge;
    reader->bytes.length = 0;
    Status s = append_spelled(reader, left);
    const size_t middle = reader->bytes.length;
    if (!s)
        s = append_spelled(reader, right);
    const size_t length = reader->bytes.length;
    if (!s)
        s = find_token(reader, 0, middle, left, (ByteString){0}, &merge.left);
    if (!s)
        s = find_token(reader, middle, length, (ByteString){0}, right, &merge.right);
    if (!s)
        s = find_token(reader, 0, length, left, right, &merge.merged);
    if (!s)
        s = check_new(reader, merge);
    return s ? s : bpe_model_add_merge(reader->model, merge);
}

Status merge_read_text(MergeReader *reader, ByteString text)
{
    ByteString left, right;
    if (!split_line(text, &left, &right))
        return status_fail(CS336_EFORMAT, "%s%s: expected two tokens with a blank between them", reader->path,
                           place_of(reader).text);
    return merge_read_pair(reader, left, right);
}

void merge_read_deinit(MergeReader *reader)
{
    memory_release(reader->slots);
    byte_list_deinit(&reader->bytes);
    *reader = (MergeReader){0};
}

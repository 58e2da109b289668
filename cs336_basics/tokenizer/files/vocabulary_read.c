#include "tokenizer/files/vocabulary_read.h"

#include "core/memory.h"
#include "core/plural.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

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

/* Where an entry is, as it stands behind the path in a message: ":12" or ": model.vocab". */
typedef struct {
    char text[32];
} EntryPlace;

static EntryPlace place_of(const VocabularyReader *reader, size_t entry)
{
    EntryPlace place;
    if (reader->object)
        snprintf(place.text, sizeof place.text, ": %s", reader->object);
    else
        snprintf(place.text, sizeof place.text, ":%zu", line_of_entry(reader->text, entry));
    return place;
}

Status vocabulary_read_init(VocabularyReader *reader, size_t count)
{
    reader->count = count;
    reader->tokens = memory_allocate_zeroed(count, sizeof *reader->tokens);
    return reader->tokens ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for %zu tokens", reader->path, count);
}

/* Checks one entry, appends its bytes and records where they are. `entry` is its number, for messages. */
static Status read_entry(VocabularyReader *reader, const char *key, const json_t *value, size_t entry)
{
    const ByteString text = byte_string(key);
    if (!*key)
        return status_fail(CS336_EFORMAT, "%s%s: empty token", reader->path, place_of(reader, entry).text);
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0)
        return status_fail(CS336_EFORMAT, "%s%s: the id of \"%s\" is not a whole number from 0 on", reader->path,
                           place_of(reader, entry).text, token_shown(text).text);
    if ((size_t)id >= reader->count)
        return status_fail(CS336_EFORMAT, "%s%s: id %lld, expected 0 to %zu: a file of %zu token%s has one for each id",
                           reader->path, place_of(reader, entry).text, (long long)id, reader->count - 1, reader->count,
                           plural(reader->count));
    if (reader->tokens[id].length)
        return status_fail(CS336_EFORMAT, "%s%s: id %lld of \"%s\" is taken by another token", reader->path,
                           place_of(reader, entry).text, (long long)id, token_shown(text).text);
    ByteList *bytes = &reader->bytes;
    const size_t begin = bytes->length;
    Utf8Character wrong;
    Status s = token_unspell(bytes, text, &wrong);
    const bool special = s == CS336_EFORMAT; /* JSON is UTF-8, so the text has a character that stands for no byte */
    if (special) {
        bytes->length = begin;
        s = byte_list_append_text(bytes, key);
    }
    if (!s)
        reader->tokens[id] = (TokenBytes){.begin = begin, .length = bytes->length - begin, .special = special};
    return s;
}

Status vocabulary_read_entries(VocabularyReader *reader, json_t *object)
{
    Status s = CS336_OK;
    size_t entry = 0;
    for (void *i = json_object_iter(object); !s && i; i = json_object_iter_next(object, i), entry++)
        s = read_entry(reader, json_object_iter_key(i), json_object_iter_value(i), entry);
    return s;
}

Status vocabulary_read_token(VocabularyReader *reader, size_t id, ByteString token, bool special)
{
    const size_t begin = reader->bytes.length;
    const Status s = byte_list_append(&reader->bytes, token.bytes, token.length);
    if (!s)
        reader->tokens[id] = (TokenBytes){.begin = begin, .length = token.length, .special = special, .named = special};
    return s;
}

Status vocabulary_read_finish(VocabularyReader *reader, BPEModel *model)
{
    Status s = CS336_OK;
    for (size_t id = 0; !s && id < reader->count; id++) {
        const TokenBytes *found = &reader->tokens[id];
        ByteString token = {0};
        if (found->length)
            token = (ByteString){.bytes = reader->bytes.bytes + found->begin, .length = found->length};
        s = bpe_model_add_token(model, token);
        if (!s && found->special)
            s = bpe_model_set_special(model, token, (int32_t)id, found->named ? SPECIAL_OWN : SPECIAL_UNNAMED);
    }
    return s;
}

void vocabulary_read_deinit(VocabularyReader *reader)
{
    byte_list_deinit(&reader->bytes);
    memory_release(reader->tokens);
    *reader = (VocabularyReader){0};
}

Status vocabulary_check_bytes(const BPEModel *model, const TokenIndex *index, const char *where)
{
    static const char blank[] = "\xE2\x96\x81"; /* U+2581, which SentencePiece writes for a blank */
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const int32_t id = token_index_find_byte(index, (uint8_t)b);
        if (id >= 0 && !bpe_model_is_special(model, id))
            continue;
        if (token_index_find(index, byte_string(blank)) >= 0)
            return status_fail(CS336_EFORMAT,
                               "%s: a vocabulary of SentencePiece, which has the token \"%s\"; expected one of bytes, "
                               "as GPT-2's",
                               where, blank);
        return status_fail(CS336_EFORMAT, "%s: no token for byte 0x%02X, all 256 are needed", where, b);
    }
    return CS336_OK;
}

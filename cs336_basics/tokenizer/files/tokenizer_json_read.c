/* Reads a tokenizer.json; tokenizer_json.c writes one. */
#include "core/json.h"
#include "core/memory.h"
#include "tokenizer/files/merge_read.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/files/tokenizer_json_settings.h"
#include "tokenizer/files/vocabulary_read.h"

enum { MOST_HOLES = 1 << 20 /* ids without a token: the table of ids takes 8 bytes for each */ };

typedef struct {
    const char *path;
    json_t *vocab; /* object: ids by token */
    json_t *added; /* array of added tokens; NULL: none */
    json_t *merges;
} Parts;

/* ---- the parts of the file ---- */

static Status find_parts(Parts *parts, const json_t *root, const char *path)
{
    const json_t *model = json_object_get(root, "model");
    *parts = (Parts){.path = path,
                     .vocab = json_object_get(model, "vocab"),
                     .added = json_object_get(root, "added_tokens"),
                     .merges = json_object_get(model, "merges")};
    if (!json_is_object(model))
        return status_fail(CS336_EFORMAT,
                           "%s: no object \"model\", expected a tokenizer.json; a vocab.json is read by --vocab, "
                           "together with --merges",
                           path);
    return CS336_OK;
}

static Status check_parts(const Parts *parts)
{
    if (!json_is_object(parts->vocab))
        return status_fail(CS336_EFORMAT, "%s: no object model.vocab", parts->path);
    if (!json_is_array(parts->merges))
        return status_fail(CS336_EFORMAT, "%s: no array model.merges", parts->path);
    if (parts->added && !json_is_array(parts->added))
        return status_fail(CS336_EFORMAT, "%s: added_tokens is not an array", parts->path);
    return CS336_OK;
}

/* ---- tokens ---- */

/* Raises *count above an id. What is no id is reported when it is read. */
static void count_id(size_t *count, const json_t *id)
{
    const json_int_t value = json_integer_value(id);
    if (json_is_integer(id) && value >= 0 && (size_t)value >= *count)
        *count = (size_t)value + 1;
}

/* Sets the number of ids: there may be holes. */
static Status count_ids(const Parts *parts, size_t *count)
{
    const size_t added = json_array_size(parts->added);
    size_t tokens = json_object_size(parts->vocab);
    *count = 0;
    for (void *i = json_object_iter(parts->vocab); i; i = json_object_iter_next(parts->vocab, i))
        count_id(count, json_object_iter_value(i));
    for (size_t i = 0; i < added; i++) {
        const json_t *token = json_array_get(parts->added, i);
        const char *content = json_string_value(json_object_get(token, "content"));
        tokens += !content || !json_object_get(parts->vocab, content);
        count_id(count, json_object_get(token, "id"));
    }
    if (*count > tokens + MOST_HOLES)
        return status_fail(CS336_EFORMAT,
                           "%s: %zu tokens, and the largest id is %zu: %zu ids without a token, expected at most %d",
                           parts->path, tokens, *count - 1, *count - tokens, MOST_HOLES);
    return CS336_OK;
}

/*
 * Checks that `tokenizers` gives an added token that is not in the vocabulary the id that the file has for it. It goes
 * by its own count: the number of entries of the vocabulary, or one more than the highest id of an added token.
 */
static Status check_id(const Parts *parts, ByteString text, json_int_t id, json_int_t highest)
{
    const json_int_t entries = (json_int_t)json_object_size(parts->vocab);
    const json_int_t theirs = highest >= entries ? highest + 1 : entries;
    if (id == theirs)
        return CS336_OK;
    return status_fail(CS336_EFORMAT,
                       "%s: added token \"%s\" has id %lld, but Hugging Face's tokenizers gives it id %lld: expected "
                       "ids after the vocabulary, one after the other",
                       parts->path, token_shown(text).text, (long long)id, (long long)theirs);
}

/*
 * Checks an added token, and gives it its id unless the vocabulary has done so. *highest is the highest id of the added
 * tokens before it, or -1.
 */
static Status read_added(VocabularyReader *reader, const Parts *parts, size_t index, json_int_t *highest)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    const json_t *token = json_array_get(parts->added, index);
    const json_t *id_value = json_object_get(token, "id");
    const char *content = json_string_value(json_object_get(token, "content"));
    const json_int_t id = json_integer_value(id_value);
    if (!content || !*content || !json_is_integer(id_value) || id < 0)
        return status_fail(CS336_EFORMAT, "%s: added_tokens[%zu] has no \"content\", or no \"id\" from 0 on",
                           parts->path, index);
    const ByteString text = byte_string(content);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(token, flags[i])))
            return status_fail(CS336_EFORMAT,
                               "%s: added token \"%s\" has %s, expected false: an added token is found where its text "
                               "stands, and takes nothing else",
                               parts->path, token_shown(text).text, flags[i]);
    const json_t *entry = json_object_get(parts->vocab, content);
    if (json_is_integer(entry) && json_integer_value(entry) != id)
        return status_fail(CS336_EFORMAT, "%s: added token \"%s\" has id %lld, and id %lld in model.vocab", parts->path,
                           token_shown(text).text, (long long)id, (long long)json_integer_value(entry));
    if (!entry && reader->tokens[id].length)
        return status_fail(CS336_EFORMAT, "%s: id %lld of added token \"%s\" is taken by another token", parts->path,
                           (long long)id, token_shown(text).text);
    const Status s = entry ? CS336_OK : check_id(parts, text, id, *highest);
    *highest = id > *highest ? id : *highest;
    return s || entry ? s : vocabulary_read_token(reader, (size_t)id, text, true);
}

static Status read_tokens(BPEModel *model, const Parts *parts)
{
    VocabularyReader reader = {.path = parts->path, .object = "model.vocab"};
    size_t count;
    json_int_t highest = -1;
    Status s = count_ids(parts, &count);
    if (!s)
        s = vocabulary_read_init(&reader, count);
    if (!s)
        s = vocabulary_read_entries(&reader, parts->vocab);
    for (size_t i = 0; !s && i < json_array_size(parts->added); i++)
        s = read_added(&reader, parts, i, &highest);
    if (!s)
        s = vocabulary_read_finish(&reader, model);
    vocabulary_read_deinit(&reader);
    return s;
}

/* ---- merges ---- */

/* Each merge is one text, "a b", or an array of two. */
static Status read_merges(BPEModel *model, const TokenIndex *index, const Parts *parts)
{
    MergeReader reader = {
        .model = model, .index = index, .path = parts->path, .array = "model.merges", .vocabulary = "model.vocab"};
    Status s = merge_read_init(&reader, json_array_size(parts->merges));
    for (size_t i = 0; !s && i < json_array_size(parts->merges); i++) {
        const json_t *merge = json_array_get(parts->merges, i);
        const char *left = json_string_value(json_array_get(merge, 0));
        const char *right = json_string_value(json_array_get(merge, 1));
        reader.number = i;
        if (json_is_string(merge))
            s = merge_read_text(&reader, byte_string(json_string_value(merge)));
        else if (json_array_size(merge) == 2 && left && right)
            s = merge_read_pair(&reader, byte_string(left), byte_string(right));
        else
            s = status_fail(CS336_EFORMAT, "%s: model.merges[%zu] is not a text of two tokens, or an array of two",
                            parts->path, i);
    }
    merge_read_deinit(&reader);
    return s;
}

/* ---- special tokens ---- */

/* Sets needed[id] for the tokens that a byte or a merge needs. */
static void find_needed(bool *needed, const BPEModel *model)
{
    for (size_t id = 0; id < model->vocab_size; id++)
        needed[id] = bpe_model_token(model, (int32_t)id).length == 1 && !bpe_model_is_special(model, (int32_t)id);
    for (size_t i = 0; i < model->merge_count; i++)
        needed[model->merges[i].left] = needed[model->merges[i].right] = needed[model->merges[i].merged] = true;
}

/* The text and the id of an added token, which have been checked. */
static ByteString added_text(const Parts *parts, size_t index, int32_t *id)
{
    const json_t *token = json_array_get(parts->added, index);
    *id = (int32_t)json_integer_value(json_object_get(token, "id"));
    return byte_string(json_string_value(json_object_get(token, "content")));
}

/*
 * Records the added tokens that are entries of the vocabulary. Such an entry was read as the bytes that its text stands
 * for in the alphabet. If no text is merged to it, it is the added token, as it stands. Otherwise both share the entry,
 * as they do in `tokenizers`.
 */
static Status record_added(BPEModel *model, const bool *needed, const Parts *parts)
{
    const size_t count = json_array_size(parts->added);
    int32_t id;
    ByteString *texts = memory_allocate_zeroed(model->vocab_size, sizeof *texts);
    if (!texts)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu tokens", parts->path, model->vocab_size);
    for (size_t i = 0; i < count; i++) {
        const ByteString text = added_text(parts, i, &id);
        if (!needed[id])
            texts[id] = text;
    }
    Status s = bpe_model_replace_tokens(model, texts);
    for (size_t i = 0; !s && i < count; i++) {
        const ByteString text = added_text(parts, i, &id);
        const bool same = byte_string_equal(bpe_model_token(model, id), text);
        s = bpe_model_set_special(model, text, id,
                                  !needed[id] ? SPECIAL_OWN
                                  : same      ? SPECIAL_AS_BYTES
                                              : SPECIAL_SHARED);
        if (!s) /* `tokenizers` finds the texts of the others first, before it normalizes what is left */
            model->specials[bpe_model_find_special(model, text)].late =
                json_is_true(json_object_get(json_array_get(parts->added, i), "normalized"));
    }
    memory_release(texts);
    return s;
}

/* Finds the special tokens that the caller names and the list of added tokens does not, as in a vocab.json. */
static Status match_named(BPEModel *model, const ByteString *named, size_t count)
{
    ByteString *others = memory_allocate_zeroed(count, sizeof *others);
    size_t other_count = 0;
    if (!others)
        return status_fail(CS336_ENOMEM, "tokenizer_json_read: no memory for %zu special tokens", count);
    for (size_t i = 0; i < count; i++) {
        const int64_t known = bpe_model_find_special(model, named[i]);
        if (known < 0 || model->specials[known].kind == SPECIAL_UNNAMED)
            others[other_count++] = named[i];
    }
    const Status s = special_texts_match(model, others, other_count);
    memory_release(others);
    return s;
}

static Status find_specials(BPEModel *model, const Parts *parts, const ByteString *named, size_t count)
{
    bool *needed = memory_allocate_zeroed(model->vocab_size, sizeof *needed);
    if (!needed)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu tokens", parts->path, model->vocab_size);
    find_needed(needed, model);
    const Status s = record_added(model, needed, parts);
    memory_release(needed);
    return s ? s : match_named(model, named, count);
}

Status tokenizer_json_read(BPEModel *model, ByteString text, const char *path, const ByteString *special_tokens,
                           size_t special_count)
{
    *model = (BPEModel){0};
    json_t *root;
    Parts parts;
    TokenIndex index = {0};
    Status s = json_parse(&root, (const char *)text.bytes, text.length, path);
    if (!s)
        s = find_parts(&parts, root, path);
    if (!s)
        s = tokenizer_json_settings(model, root, path);
    if (!s)
        s = check_parts(&parts);
    if (!s)
        s = read_tokens(model, &parts);
    if (!s)
        s = token_index_init(&index, model);
    if (!s)
        s = vocabulary_check_bytes(model, &index, path);
    if (!s)
        s = read_merges(model, &index, &parts);
    if (!s)
        s = find_specials(model, &parts, special_tokens, special_count);
    token_index_deinit(&index);
    json_decref(root);
    if (s)
        bpe_model_deinit(model);
    return s;
}

#include "tokenizer/files/tokenizer_json.h"

#include "core/memory.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

typedef struct {
    BPEModel model; /* with all special tokens */
    SpecialTexts special;
    bool *added;      /* by index in BPEModel.specials: true if the caller names the special token */
    ByteList text;    /* of the file */
    ByteList spelled; /* of one token */
} TokenizerJson;

/* ---- special tokens ---- */

static Status refuse(ByteString token, const char *why)
{
    return status_fail(CS336_ERANGE, "tokenizer.json: special token \"%s\" %s", token_shown(token).text, why);
}

/* Checks what can be said of a special token alone. */
static Status check_text(ByteString token, size_t number, size_t count)
{
    if (token.length == 0)
        return status_fail(CS336_ERANGE, "tokenizer.json: special token %zu of %zu is empty", number, count);
    if (!special_text_is_utf8(token))
        return refuse(token, "is not UTF-8");
    return memchr(token.bytes, 0, token.length) ? refuse(token, "has a zero byte") : CS336_OK;
}

Status tokenizer_json_check(const ByteString *special_tokens, size_t special_count)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < special_count; i++) {
        const ByteString token = special_tokens[i];
        s = check_text(token, i + 1, special_count);
        if (s || token.length == 1)
            continue;
        const Utf8Character first = utf8_decode(token.bytes, token.length);
        const int byte = first.length == token.length ? byte_alphabet_byte(first.code_point) : -1;
        char why[128];
        snprintf(why, sizeof why, "is what byte 0x%02X is written as, and both would get one id", (unsigned)byte);
        if (byte >= 0)
            s = refuse(token, why);
    }
    return s;
}

/*
 * Checks that Hugging Face gives a special token our id: it looks for an entry that is verbatim the token. A special
 * token that shares such an entry with an ordinary one (SPECIAL_SHARED) does so there too.
 */
static Status check_special(TokenizerJson *json, size_t index)
{
    const BPESpecial special = json->model.specials[index];
    const ByteString token = bpe_model_special_text(&json->model, index);
    if (special.kind == SPECIAL_SHARED)
        return CS336_OK;
    json->spelled.length = 0;
    const Status s = special_texts_append(&json->special, &json->model, &json->spelled, special.id);
    if (s || byte_string_equal(byte_list_view(&json->spelled), token))
        return s;
    if (special.kind == SPECIAL_AS_BYTES)
        return refuse(token, "has the id of an ordinary token that is written otherwise");
    return refuse(token, "is what another token is written as, and both would get one id");
}

/* Checks the special tokens that the caller names, and sets `added` for each. */
static Status add_specials(TokenizerJson *json, const ByteString *tokens, size_t count)
{
    json->added = memory_allocate_zeroed(json->model.special_count, sizeof *json->added);
    if (!json->added)
        return status_fail(CS336_ENOMEM, "tokenizer_json_write: no memory for %zu special tokens", count);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        const size_t index = (size_t)bpe_model_find_special(&json->model, tokens[i]);
        s = check_special(json, index);
        json->added[index] = true;
    }
    return s;
}

/* ---- the text ---- */

static Status append(TokenizerJson *json, const char *text)
{
    return byte_list_append_text(&json->text, text);
}

/* Returns the index of the added token with an id, or special_count. */
static size_t added_token(const TokenizerJson *json, size_t id)
{
    size_t i = 0;
    while (i < json->model.special_count && !(json->added[i] && json->model.specials[i].id == (int32_t)id))
        i++;
    return i;
}

static Status append_added_tokens(TokenizerJson *json)
{
    const char *separator = "\n";
    char number[48];
    Status s = append(json, "  \"added_tokens\": [");
    for (size_t id = 0; !s && id < json->model.vocab_size; id++) {
        const size_t index = added_token(json, id);
        if (index == json->model.special_count)
            continue;
        snprintf(number, sizeof number, "%s    {\"id\": %zu, \"content\": ", separator, id);
        separator = ",\n";
        s = append(json, number);
        if (!s)
            s = token_quote(&json->text, bpe_model_special_text(&json->model, index));
        if (!s)
            s = append(json, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                             "\"special\": true}");
    }
    return s ? s : append(json, *separator == ',' ? "\n  ],\n" : "],\n");
}

static Status append_vocabulary(TokenizerJson *json)
{
    char number[32];
    Status s = append(json, "    \"vocab\": {\n");
    for (size_t id = 0; !s && id < json->model.vocab_size; id++) {
        snprintf(number, sizeof number, ": %zu%s\n", id, id + 1 < json->model.vocab_size ? "," : "");
        s = append(json, "      ");
        json->spelled.length = 0;
        if (!s)
            s = special_texts_append(&json->special, &json->model, &json->spelled, (int32_t)id);
        if (!s)
            s = token_quote(&json->text, byte_list_view(&json->spelled));
        if (!s)
            s = append(json, number);
    }
    return s ? s : append(json, "    },\n");
}

/* Writes each merge as one string, its tokens with a blank between them: every release of `tokenizers` reads that. */
static Status append_merges(TokenizerJson *json)
{
    const BPEModel *model = &json->model;
    Status s = append(json, "    \"merges\": [");
    for (size_t i = 0; !s && i < model->merge_count; i++) {
        json->spelled.length = 0;
        s = token_spell(&json->spelled, bpe_model_token(model, model->merges[i].left));
        if (!s)
            s = byte_list_append_text(&json->spelled, " ");
        if (!s)
            s = token_spell(&json->spelled, bpe_model_token(model, model->merges[i].right));
        if (!s)
            s = append(json, i ? ",\n      " : "\n      ");
        if (!s)
            s = token_quote(&json->text, byte_list_view(&json->spelled));
    }
    return s ? s : append(json, model->merge_count ? "\n    ]\n" : "]\n");
}

static Status append_all(TokenizerJson *json)
{
    Status s = append(json, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    if (!s)
        s = append_added_tokens(json);
    if (!s)
        s = append(json, "  \"normalizer\": null,\n"
                         "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                         "\"trim_offsets\": true, \"use_regex\": true},\n"
                         "  \"post_processor\": null,\n"
                         "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                         "\"trim_offsets\": true, \"use_regex\": true},\n");
    if (!s)
        s = append(json, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                         "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                         "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n");
    if (!s)
        s = append_vocabulary(json);
    if (!s)
        s = append_merges(json);
    return s ? s : append(json, "  }\n}\n");
}

Status tokenizer_json_write(FileWriter *writer, const BPEModel *model, const ByteString *special_tokens,
                            size_t special_count)
{
    TokenizerJson json = {0};
    /* A copy of the model with all special tokens. */
    Status s = bpe_model_copy(&json.model, model);
    for (size_t i = 0; !s && i < special_count; i++)
        s = check_text(special_tokens[i], i + 1, special_count);
    if (!s)
        s = bpe_model_name_specials(&json.model, special_tokens, special_count);
    if (!s)
        s = special_texts_init(&json.special, &json.model);
    if (!s)
        s = add_specials(&json, special_tokens, special_count);
    /* The whole text, then one write. */
    if (!s)
        s = append_all(&json);
    if (!s)
        s = file_write(writer, json.text.bytes, json.text.length);
    byte_list_deinit(&json.text);
    byte_list_deinit(&json.spelled);
    memory_release(json.added);
    special_texts_deinit(&json.special);
    bpe_model_deinit(&json.model);
    return s;
}

#include "tokenizer/files/tokenizer_json.h"

#include "core/memory.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

typedef struct {
    BPEModel model; /* with all special tokens */
    TokenIndex index;
    bool *literal;    /* by id: true for a special token, which is written as it is */
    ByteList text;    /* of the file */
    ByteList spelled; /* of one token */
} TokenizerJson;

/* ---- special tokens ---- */

static bool is_utf8(ByteString text)
{
    for (size_t i = 0; i < text.length;) {
        const Utf8Character c = utf8_decode(text.bytes + i, text.length - i);
        if (c.status != UTF8_VALID)
            return false;
        i += c.length;
    }
    return true;
}

/* True if the token is made by a merge or is one of a merge's two tokens. */
static bool is_merged(const BPEModel *model, int32_t id)
{
    for (size_t i = 0; i < model->merge_count; i++)
        if (model->merges[i].left == id || model->merges[i].right == id || model->merges[i].merged == id)
            return true;
    return false;
}

/*
 * In tokenizer.json two tokens cannot be written with the same text. A special token is written as it is. If its
 * spelling in GPT-2's alphabet differs, two things must hold: nothing needs the spelling (bytes and merges would), and
 * no other token is spelled like the special token's text.
 */
static Status check_special(TokenizerJson *json, ByteString token, int32_t id)
{
    Utf8Character wrong;
    json->spelled.length = 0;
    Status s = token_spell(&json->spelled, token);
    if (s || byte_string_equal(token, byte_list_view(&json->spelled)))
        return s;
    bool shared = token.length == 1 || is_merged(&json->model, id);
    json->spelled.length = 0;
    s = token_unspell(&json->spelled, token, &wrong);
    if (s == CS336_ENOMEM)
        return s;
    if (!s)
        shared = shared || token_index_find(&json->index, byte_list_view(&json->spelled)) >= 0;
    if (!shared)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "tokenizer_json_write: special token \"%s\" shares its text with another token",
                       token_shown(token).text);
}

/* Checks the special tokens and sets `literal` for each. */
static Status mark_special(TokenizerJson *json, const ByteString *tokens, size_t count)
{
    json->literal = memory_allocate_zeroed(json->model.vocab_size, sizeof *json->literal);
    if (!json->literal)
        return status_fail(CS336_ENOMEM, "tokenizer_json_write: no memory for %zu tokens", json->model.vocab_size);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        const int32_t id = token_index_find(&json->index, tokens[i]);
        if (!is_utf8(tokens[i]))
            return status_fail(CS336_ERANGE, "tokenizer_json_write: special token \"%s\" is not UTF-8",
                               token_shown(tokens[i]).text);
        s = check_special(json, tokens[i], id);
        json->literal[id] = true;
    }
    return s;
}

/* ---- the text ---- */

static Status append(TokenizerJson *json, const char *text)
{
    return byte_list_append_text(&json->text, text);
}

static Status append_token(TokenizerJson *json, int32_t id)
{
    const ByteString token = bpe_model_token(&json->model, id);
    if (json->literal[id])
        return token_quote(&json->text, token);
    json->spelled.length = 0;
    const Status s = token_spell(&json->spelled, token);
    return s ? s : token_quote(&json->text, byte_list_view(&json->spelled));
}

static Status append_added_tokens(TokenizerJson *json)
{
    const char *separator = "\n";
    char number[48];
    Status s = append(json, "  \"added_tokens\": [");
    for (size_t id = 0; !s && id < json->model.vocab_size; id++) {
        if (!json->literal[id])
            continue;
        snprintf(number, sizeof number, "%s    {\"id\": %zu, \"content\": ", separator, id);
        separator = ",\n";
        s = append(json, number);
        if (!s)
            s = append_token(json, (int32_t)id);
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
        if (!s)
            s = append_token(json, (int32_t)id);
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
        if (special_tokens[i].length == 0)
            s = status_fail(CS336_ERANGE, "tokenizer_json_write: special token %zu of %zu is empty", i + 1,
                            special_count);
    if (!s)
        s = bpe_model_add_absent(&json.model, special_tokens, special_count);
    if (!s)
        s = token_index_init(&json.index, &json.model);
    if (!s)
        s = mark_special(&json, special_tokens, special_count);
    /* The whole text, then one write. */
    if (!s)
        s = append_all(&json);
    if (!s)
        s = file_write(writer, json.text.bytes, json.text.length);
    byte_list_deinit(&json.text);
    byte_list_deinit(&json.spelled);
    memory_release(json.literal);
    token_index_deinit(&json.index);
    bpe_model_deinit(&json.model);
    return s;
}

/* Writes a tokenizer.json; tokenizer_json_read.c reads one. */
#include "tokenizer/files/tokenizer_json.h"

#include "core/memory.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

typedef struct {
    BPEModel model; /* with all special tokens */
    SpecialTexts special;
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
        char why[256];
        snprintf(
            why, sizeof why,
            "is what byte 0x%02X is written as, and both would get one id; vocab.json and merges.txt give it an id "
            "of its own: --vocab and --merges in place of --tokenizer",
            (unsigned)byte);
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

/* True if a special token stands among the added tokens. */
static bool is_added(const TokenizerJson *json, size_t index)
{
    return json->model.specials[index].kind != SPECIAL_UNNAMED;
}

static Status check_specials(TokenizerJson *json)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < json->model.special_count; i++)
        if (is_added(json, i))
            s = check_text(bpe_model_special_text(&json->model, i), i + 1, json->model.special_count);
    for (size_t i = 0; !s && i < json->model.special_count; i++)
        if (is_added(json, i))
            s = check_special(json, i);
    return s;
}

/* ---- the text ---- */

static Status append(TokenizerJson *json, const char *text)
{
    return byte_list_append_text(&json->text, text);
}

/* Finds the added token of each id: its index, or -1. Of several with one id the first one counts. */
static Status find_added(int32_t **by_id, const TokenizerJson *json)
{
    const BPEModel *model = &json->model;
    *by_id = memory_allocate(model->vocab_size * sizeof **by_id);
    if (!*by_id)
        return status_fail(CS336_ENOMEM, "tokenizer_json_write: no memory for %zu tokens", model->vocab_size);
    for (size_t id = 0; id < model->vocab_size; id++)
        (*by_id)[id] = -1;
    for (size_t i = model->special_count; i-- > 0;)
        if (is_added(json, i))
            (*by_id)[model->specials[i].id] = (int32_t)i;
    return CS336_OK;
}

/* Appends the added tokens by id. */
static Status append_added_tokens(TokenizerJson *json)
{
    const char *separator = "\n";
    char number[48];
    int32_t *added;
    Status s = find_added(&added, json);
    if (!s)
        s = append(json, "  \"added_tokens\": [");
    for (size_t id = 0; !s && id < json->model.vocab_size; id++) {
        if (added[id] < 0)
            continue;
        snprintf(number, sizeof number, "%s    {\"id\": %zu, \"content\": ", separator, id);
        separator = ",\n";
        s = append(json, number);
        if (!s)
            s = token_quote(&json->text, bpe_model_special_text(&json->model, (size_t)added[id]));
        if (!s)
            s = append(json, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": ");
        if (!s)
            s = append(json, json->model.specials[added[id]].late ? "true" : "false");
        if (!s)
            s = append(json, ", \"special\": true}");
    }
    memory_release(added);
    return s ? s : append(json, *separator == ',' ? "\n  ],\n" : "],\n");
}

static Status append_vocabulary(TokenizerJson *json)
{
    const char *separator = "\n";
    char number[32];
    Status s = append(json, "    \"vocab\": {");
    for (size_t id = 0; !s && id < json->model.vocab_size; id++) {
        if (bpe_model_token(&json->model, (int32_t)id).length == 0)
            continue; /* a hole */
        s = append(json, separator);
        separator = ",\n";
        if (!s)
            s = append(json, "      ");
        json->spelled.length = 0;
        if (!s)
            s = special_texts_append(&json->special, &json->model, &json->spelled, (int32_t)id);
        if (!s)
            s = token_quote(&json->text, byte_list_view(&json->spelled));
        snprintf(number, sizeof number, ": %zu", id);
        if (!s)
            s = append(json, number);
    }
    return s ? s : append(json, "\n    },\n");
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

/* GPT-2's pattern is that of ByteLevel. Another one stands in a Split before it, as in Llama 3's file. */
static Status append_pre_tokenizer(TokenizerJson *json)
{
    if (json->model.pattern == PATTERN_GPT2)
        return append(json, "  \"normalizer\": null,\n"
                            "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                            "\"trim_offsets\": true, \"use_regex\": true},\n");
    Status s = append(json, "  \"normalizer\": null,\n"
                            "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                            "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    if (!s)
        s = token_quote(&json->text, byte_string(pattern_regex(json->model.pattern)));
    return s ? s
             : append(json, "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
                            "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                            "\"use_regex\": false}\n  ]},\n");
}

static Status append_all(TokenizerJson *json)
{
    Status s = append(json, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    if (!s)
        s = append_added_tokens(json);
    if (!s)
        s = append_pre_tokenizer(json);
    if (!s)
        s = append(json, "  \"post_processor\": null,\n"
                         "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                         "\"trim_offsets\": true, \"use_regex\": true},\n");
    if (!s)
        s = append(json, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                         "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                         "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": ");
    if (!s)
        s = append(json, json->model.ignore_merges ? "true,\n" : "false,\n");
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
    Status s = bpe_model_check_merges(__func__, model);
    if (!s)
        s = bpe_model_copy(&json.model, model);
    for (size_t i = 0; !s && i < special_count; i++)
        s = check_text(special_tokens[i], i + 1, special_count);
    if (!s)
        s = bpe_model_name_specials(&json.model, special_tokens, special_count);
    if (!s)
        s = special_texts_init(&json.special, &json.model);
    if (!s)
        s = check_specials(&json);
    /* The whole text, then one write. */
    if (!s)
        s = append_all(&json);
    if (!s)
        s = file_write(writer, json.text.bytes, json.text.length);
    byte_list_deinit(&json.text);
    byte_list_deinit(&json.spelled);
    special_texts_deinit(&json.special);
    bpe_model_deinit(&json.model);
    return s;
}

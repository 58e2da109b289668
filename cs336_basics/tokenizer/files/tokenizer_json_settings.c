#include "tokenizer/files/tokenizer_json_settings.h"

#include "tokenizer/files/token_text.h"

#include <string.h>

static bool is_set(const json_t *value)
{
    return value && !json_is_null(value);
}

/* Returns the name of a component's type, made safe to print, or "of no type". */
static ShownToken type_of(const json_t *component)
{
    const char *name = json_string_value(json_object_get(component, "type"));
    return token_shown(byte_string(name ? name : "of no type"));
}

static bool has_type(const json_t *component, const char *type)
{
    const char *name = json_string_value(json_object_get(component, "type"));
    return name && strcmp(name, type) == 0;
}

/* ---- the model ---- */

static Status read_model(BPEModel *model, const json_t *inner, const char *path)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    if (is_set(json_object_get(inner, "type")) && !has_type(inner, "BPE"))
        return status_fail(CS336_EFORMAT, "%s: model.type is %s, expected BPE", path, type_of(inner).text);
    if (json_is_true(json_object_get(inner, "byte_fallback")))
        return status_fail(CS336_EFORMAT,
                           "%s: model.byte_fallback is true, as in vocabularies of SentencePiece; expected a "
                           "vocabulary of bytes, as GPT-2's",
                           path);
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++) {
        const json_t *affix = json_object_get(inner, affixes[i]);
        if (is_set(affix) && (!json_is_string(affix) || *json_string_value(affix)))
            return status_fail(CS336_EFORMAT, "%s: model.%s is set, expected null or \"\"", path, affixes[i]);
    }
    const json_t *dropout = json_object_get(inner, "dropout");
    if (is_set(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return status_fail(CS336_EFORMAT, "%s: model.dropout is set, expected null: merges are never left out here",
                           path);
    model->ignore_merges = json_is_true(json_object_get(inner, "ignore_merges"));
    return CS336_OK;
}

/* ---- the pre-tokenizer ---- */

/* Reads a ByteLevel pre-tokenizer: it splits by GPT-2's pattern, or leaves that to the Split before it. */
static Status read_byte_level(const json_t *component, bool splits, const char *path)
{
    const bool use_regex = !json_is_false(json_object_get(component, "use_regex"));
    if (!json_is_false(json_object_get(component, "add_prefix_space")))
        return status_fail(
            CS336_EFORMAT,
            "%s: pre_tokenizer.add_prefix_space is true, expected false: no blank is added to a text here", path);
    if (use_regex != splits)
        return status_fail(CS336_EFORMAT, "%s: pre_tokenizer ByteLevel with use_regex %s, expected %s", path,
                           use_regex ? "true" : "false",
                           splits ? "true, or a Split before it" : "false behind a Split");
    return CS336_OK;
}

/* Reads a Split pre-tokenizer. Both of its forms make the matches of the pattern the pre-tokens. */
static Status read_split(PretokenPattern *pattern, const json_t *component, const char *path)
{
    const char *regex = json_string_value(json_object_get(json_object_get(component, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(component, "behavior"));
    const bool invert = json_is_true(json_object_get(component, "invert"));
    if (!regex)
        return status_fail(CS336_EFORMAT, "%s: pre_tokenizer Split without a Regex, expected one", path);
    if (!behavior || strcmp(behavior, invert ? "Removed" : "Isolated") != 0)
        return status_fail(CS336_EFORMAT, "%s: pre_tokenizer Split with behavior %s%s, expected Isolated", path,
                           token_shown(byte_string(behavior ? behavior : "missing")).text, invert ? " and invert" : "");
    const int known = pattern_of_regex(byte_string(regex));
    if (known == PATTERN_UNKNOWN)
        return status_fail(CS336_EFORMAT,
                           "%s: pre_tokenizer: the regular expression \"%s...\" is none of those that are built in: "
                           "gpt2, and gpt4 (cl100k_base, Llama 3)",
                           path, token_shown(byte_string(regex)).text);
    *pattern = (PretokenPattern)known;
    return CS336_OK;
}

static Status read_pre_tokenizer(PretokenPattern *pattern, const json_t *component, const char *path)
{
    if (!is_set(component))
        return status_fail(CS336_EFORMAT, "%s: no pre_tokenizer, expected ByteLevel", path);
    /* A sequence has a Split and a ByteLevel, or a ByteLevel alone. */
    const json_t *sequence = json_object_get(component, "pretokenizers");
    const bool is_sequence = has_type(component, "Sequence") && json_is_array(sequence);
    const size_t count = is_sequence ? json_array_size(sequence) : 1;
    bool split = false;
    *pattern = PATTERN_GPT2;
    for (size_t i = 0; i < count; i++) {
        const json_t *part = is_sequence ? json_array_get(sequence, i) : component;
        const bool is_last = i + 1 == count;
        Status s = CS336_OK;
        if (has_type(part, "Split") && i == 0 && !is_last) {
            s = read_split(pattern, part, path);
            split = true;
        } else if (has_type(part, "ByteLevel") && is_last) {
            s = read_byte_level(part, !split, path);
        } else {
            s = status_fail(CS336_EFORMAT, "%s: pre_tokenizer %s, expected ByteLevel, or Split and ByteLevel", path,
                            type_of(part).text);
        }
        if (s)
            return s;
    }
    return count ? CS336_OK : status_fail(CS336_EFORMAT, "%s: empty pre_tokenizer, expected ByteLevel", path);
}

/* ---- the decoder ---- */

/*
 * Reads the decoder, which must join the bytes that the tokens stand for. A sequence of this one alone does the same. A
 * file without a decoder is one that its maker forgot: nobody wants the text with the letters of GPT-2's alphabet.
 */
static Status read_decoder(BPEModel *model, const json_t *component, const char *path)
{
    const json_t *sequence = json_object_get(component, "decoders");
    const bool is_sequence = has_type(component, "Sequence") && json_array_size(sequence) == 1;
    if (!is_set(component))
        model->left_out |= LEFT_OUT_SPELLING;
    else if (!has_type(is_sequence ? json_array_get(sequence, 0) : component, "ByteLevel"))
        return status_fail(CS336_EFORMAT, "%s: decoder %s, expected ByteLevel", path, type_of(component).text);
    return CS336_OK;
}

/* ---- around the encoding ---- */

/* True if a post-processor adds tokens: ByteLevel only changes the positions that are reported. */
static bool adds_tokens(const json_t *processor)
{
    const json_t *parts = json_object_get(processor, "processors");
    if (!is_set(processor) || has_type(processor, "ByteLevel"))
        return false;
    if (!has_type(processor, "Sequence") || !json_is_array(parts))
        return true;
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (!has_type(json_array_get(parts, i), "ByteLevel"))
            return true;
    return false;
}

Status tokenizer_json_settings(BPEModel *model, const json_t *root, const char *path)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (is_set(normalizer))
        return status_fail(CS336_EFORMAT, "%s: normalizer %s, expected null: text is encoded as it is here", path,
                           type_of(normalizer).text);
    Status s = read_model(model, json_object_get(root, "model"), path);
    if (!s)
        s = read_pre_tokenizer(&model->pattern, json_object_get(root, "pre_tokenizer"), path);
    if (!s)
        s = read_decoder(model, json_object_get(root, "decoder"), path);
    if (adds_tokens(json_object_get(root, "post_processor")))
        model->left_out |= LEFT_OUT_POST_PROCESSOR;
    if (is_set(json_object_get(root, "truncation")))
        model->left_out |= LEFT_OUT_TRUNCATION;
    if (is_set(json_object_get(root, "padding")))
        model->left_out |= LEFT_OUT_PADDING;
    return s;
}

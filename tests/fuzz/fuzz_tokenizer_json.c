/*
 * tokenizer.json as input. The first byte chooses: the rest is the file; or the file is built from choices: settings,
 * tokens after the 256 bytes, merges, added tokens. What is read encodes a text as the plain reference does, and is the
 * same model after it was written and read again.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/support/files.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/tokenizer_file.h"
#include "tokenizer/files/tokenizer_json.h"

enum { MOST_SPECIALS = 32 };

static const char text[] = "abababa aabbabab<|x|>aaaaabbaab caf\xC3\xA9 abb ab\n ba<|x|";

/* ---- building a file ---- */

static void append_token(ByteList *json, FuzzInput *input)
{
    static const char *const tokens[] = {"ab", "aa", "bb", "abab", "aab", " a", "ba", "<|x|>", "\xC3\xA9", "a"};
    const size_t choice = fuzz_byte(input);
    ByteList spelled = {0};
    if (choice < 160)
        FUZZ_OK(token_spell(&spelled, byte_string(tokens[choice % (sizeof tokens / sizeof *tokens)])));
    else
        FUZZ_OK(token_spell(&spelled, fuzz_bytes(input, 1 + choice % 3)));
    FUZZ_OK(token_quote(json, byte_list_view(&spelled)));
    byte_list_deinit(&spelled);
}

/* Appends an id: mostly the next one, at times with a hole before it. */
static size_t append_id(ByteList *json, FuzzInput *input, size_t next)
{
    static const char *const wrong[] = {"-1", "1048900", "2147483648", "9223372036854775807", "1e2", "null", "\"7\""};
    const size_t choice = fuzz_byte(input);
    if (choice < sizeof wrong / sizeof *wrong) {
        fuzz_append_text(json, "%s", wrong[choice]);
        return next;
    }
    next += choice >= 240 ? choice - 239 : 0;
    fuzz_append_text(json, "%zu", choice < 16 ? next - 8 : next);
    return next + 1;
}

static size_t append_vocabulary(ByteList *json, FuzzInput *input)
{
    size_t next = BYTE_VALUES;
    fuzz_append_byte_tokens(json);
    for (size_t count = fuzz_below(input, 16); count > 0; count--) {
        fuzz_append_text(json, ",");
        append_token(json, input);
        fuzz_append_text(json, ":");
        next = append_id(json, input, next);
    }
    return next;
}

static void append_merges(ByteList *json, FuzzInput *input)
{
    const bool arrays = fuzz_below(input, 2);
    for (size_t i = 0, count = fuzz_below(input, 16); i < count; i++) {
        ByteList left = {0}, right = {0};
        append_token(&left, input);
        append_token(&right, input);
        fuzz_append_text(json, i ? "," : "");
        if (arrays) {
            fuzz_append_text(json, "[");
            fuzz_append(json, byte_list_view(&left));
            fuzz_append_text(json, ",");
            fuzz_append(json, byte_list_view(&right));
            fuzz_append_text(json, "]");
        } else { /* "a" and "b" become "a b" */
            fuzz_append(json, (ByteString){left.bytes, left.length - 1});
            fuzz_append_text(json, " ");
            fuzz_append(json, (ByteString){right.bytes + 1, right.length - 1});
        }
        byte_list_deinit(&left);
        byte_list_deinit(&right);
    }
}

static void append_settings(ByteList *json, FuzzInput *input)
{
    static const char *const settings[] = {
        "\"normalizer\":null,",
        "\"normalizer\":{\"type\":\"NFC\"},",
        "\"post_processor\":{\"type\":\"TemplateProcessing\"},",
        "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[7]},",
        "\"truncation\":{},\"padding\":[],",
        ("\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":"
         "false}]},"),
        "\"pre_tokenizer\":7,",
        "\"pre_tokenizer\":{\"type\":[]},",
    };
    const size_t choice = fuzz_below(input, 64);
    if (choice < sizeof settings / sizeof *settings)
        fuzz_append_text(json, "%s", settings[choice]);
    if (choice < 5 || choice > 7)
        fuzz_append_text(json, "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},");
}

static void build(ByteList *json, FuzzInput *input)
{
    fuzz_append_text(json, "{");
    append_settings(json, input);
    fuzz_append_text(json, "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    size_t next = append_vocabulary(json, input);
    fuzz_append_text(json, "},\"merges\":[");
    append_merges(json, input);
    fuzz_append_text(json, "]},\"added_tokens\":[");
    for (size_t i = 0, count = fuzz_below(input, 4); i < count; i++) {
        fuzz_append_text(json, "%s{\"content\":", i ? "," : "");
        append_token(json, input);
        fuzz_append_text(json, ",\"id\":");
        next = append_id(json, input, next);
        fuzz_append_text(json, "}");
    }
    fuzz_append_text(json, "]}");
}

/* ---- what must hold ---- */

static size_t find_specials(ByteString *special, const BPEModel *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->special_count && count < MOST_SPECIALS; i++)
        if (model->specials[i].kind != SPECIAL_UNNAMED)
            special[count++] = bpe_model_special_text(model, i);
    return count;
}

/* The plain reference has no late tokens. */
static bool has_late(const BPEModel *model)
{
    for (size_t i = 0; i < model->special_count; i++)
        if (model->specials[i].late)
            return true;
    return false;
}

static void compare_with_plain(const BPEModel *model)
{
    ByteString special[MOST_SPECIALS];
    const size_t special_count = find_specials(special, model);
    Tokenizer *tokenizer;
    TokenList ids = {0};
    int32_t expected[sizeof text];
    if (model->ignore_merges || model->pattern != PATTERN_GPT2 || special_count == MOST_SPECIALS || has_late(model))
        return;
    FUZZ_OK(tokenizer_create_from_file(&tokenizer, model, "fuzz", NULL, 0));
    FUZZ_OK(tokenizer_encode(tokenizer, &ids, byte_string(text)));
    const size_t count = fuzz_model_encode(expected, model, special, special_count, byte_string(text));
    FUZZ_CHECK(ids.count == count, "%zu ids, expected %zu", ids.count, count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(ids.ids[i] == expected[i], "id %zu is %d, expected %d", i, (int)ids.ids[i], (int)expected[i]);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
}

static void write_and_read(const BPEModel *model)
{
    const char *path = temp_path("again.json");
    FileWriter writer;
    BPEModel again;
    FUZZ_OK(file_create(&writer, path));
    const Status s = tokenizer_json_write(&writer, model, NULL, 0);
    if (s) { /* an added token shares the entry of an ordinary one that is written otherwise */
        FUZZ_CHECK(s == CS336_ERANGE && model->special_count, "status %d: %s", (int)s, status_message());
        file_abandon(&writer);
        return;
    }
    FUZZ_OK(file_commit(&writer));
    FUZZ_OK(tokenizer_file_read(&again, path, PATTERN_UNKNOWN, NULL, 0));
    fuzz_model_check_equal(model, &again);
    bpe_model_deinit(&again);
}

void fuzz_tokenizer_json(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList json = {0};
    fuzz_make(&json, &input, fuzz_byte(&input), build);
    BPEModel model;
    const char *path = fuzz_file("tokenizer.json", byte_list_view(&json));
    const Status s = tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0);
    if (s) {
        fuzz_check_failure(s);
    } else {
        compare_with_plain(&model);
        write_and_read(&model);
    }
    bpe_model_deinit(&model);
    byte_list_deinit(&json);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}

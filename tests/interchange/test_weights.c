/* Files of weights: one or several, which form they have, and what is wrong with damaged ones. */
#include "core/safetensors.h"
#include "interchange/import.h"
#include "interchange/weights.h"
#include "tests/interchange/imported.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <string.h>

static const float NUMBERS[6] = {1, 2, 3, 4, 5, 6};

/* Writes a file with arrays of these names, each (2, 3). `names` ends with NULL. Returns the path. */
static const char *write_arrays(const char *file, const char *const *names)
{
    SafetensorsEntry entries[8];
    size_t count = 0;
    for (; names[count]; count++)
        entries[count] = (SafetensorsEntry){
            .name = names[count], .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 3}, .data = NUMBERS};
    const char *path = temp_path(file);
    assert_ok(safetensors_write(path, entries, count, NULL, 0));
    return path;
}
#define arrays(file, ...) write_arrays((file), (const char *const[]){__VA_ARGS__, NULL})

START_TEST(test_weights_are_one_file_or_several)
{
    static const char *const paths[] = {INTERCHANGE_FIXTURES "f32.safetensors",
                                        INTERCHANGE_FIXTURES "sharded/model.safetensors.index.json",
                                        INTERCHANGE_FIXTURES "sharded", INTERCHANGE_FIXTURES "llama"};
    for (size_t i = 0; i < 4; i++) {
        WeightFiles files;
        const bool llama = i == 3;
        test_label("%s", paths[i]);
        assert_ok(weight_files_open(&files, paths[i]));
        ck_assert_uint_eq(files.count, i == 1 || i == 2 ? 2 : 1);
        const WeightArray norm = weight_files_find(&files, "", llama ? "model.norm.weight" : "ln_final.weight");
        ck_assert_ptr_nonnull(norm.entry);
        ck_assert_str_eq(shape_text(norm.entry->rank, norm.entry->shape), llama ? "(24)" : "(16)");
        ck_assert_ptr_null(weight_files_find(&files, "", "ln_final").entry);
        weight_files_close(&files);
        weight_files_close(&files);
    }
}
END_TEST

START_TEST(test_weights_are_detected_by_their_names)
{
    static const struct {
        const char *path;
        ImportForm form;
    } cases[] = {{"f32.safetensors", IMPORT_STATE_DICT},
                 {"bf16.safetensors", IMPORT_STATE_DICT},
                 {"sharded", IMPORT_STATE_DICT},
                 {"llama", IMPORT_LLAMA},
                 {"llama/model.safetensors", IMPORT_LLAMA}};
    char path[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ImportForm form;
        snprintf(path, sizeof path, INTERCHANGE_FIXTURES "%s", cases[i].path);
        assert_ok(import_detect(&form, path));
        ck_assert_int_eq(form, cases[i].form);
    }
    ImportForm form;
    const char *other = arrays("other", "transformer.wte.weight", "transformer.wpe.weight");
    assert_path_fails(import_detect(&form, other), CS336_EFORMAT, other,
                      ": no array \"layers.0.attn.q_proj.weight\" as in the course's state dict, and no "
                      "\"model.embed_tokens.weight\" as in Hugging Face's Llama; the first array is "
                      "\"transformer.wte.weight\"");
    const char *empty = temp_path("empty");
    assert_ok(safetensors_write(empty, NULL, 0, NULL, 0));
    assert_path_fails(import_detect(&form, empty), CS336_EFORMAT, empty,
                      ": no arrays, expected the weights of a model");
}
END_TEST

START_TEST(test_what_is_no_file_of_weights_is_named)
{
    ImportForm form;
    const char *directory = temp_directory("bare"), *nowhere = temp_path("nowhere"), *text = write_text("short", "abc");
    assert_path_fails(import_detect(&form, directory), CS336_EIO, directory,
                      ": this directory has neither model.safetensors nor model.safetensors.index.json");
    assert_path_fails(import_detect(&form, nowhere), CS336_EIO, nowhere, ": cannot read: No such file or directory");
    assert_path_fails(import_detect(&form, text), CS336_EFORMAT, text, ": the file has 3 bytes, expected at least 8");
}
END_TEST

START_TEST(test_an_index_must_agree_with_its_files)
{
    static const struct {
        const char *index, *message; /* the message behind the path of the index, or from its "*" on behind a shard's */
    } cases[] = {
        {"[]", ": no weight_map, expected the index of a model in several files"},
        {"{\"weight_map\": {}}", ": no weight_map, expected the index of a model in several files"},
        {"{\"weight_map\": {\"a\": 3}}",
         ": array \"a\" is in \"(not a string)\", expected the name of a file beside this one"},
        {"{\"weight_map\": {\"a\": \"../one\"}}",
         ": array \"a\" is in \"../one\", expected the name of a file beside this one"},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}",
         ": array \"a\" is in \"/etc/passwd\", expected the name of a file beside this one"},
        {"{\"weight_map\": {\"a\": \"one\"}}", ": lists 1 array, its files have 2"},
        {"{\"weight_map\": {\"a\": \"one\", \"b\": \"one\", \"c\": \"two\"}}", ": lists 3 arrays, its files have 4"},
    };
    WeightFiles files;
    (void)arrays("one", "a", "b");
    (void)arrays("two", "b", "c");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_text("index.json", cases[i].index);
        test_label("%s", cases[i].index);
        assert_path_fails(weight_files_open(&files, path), CS336_EFORMAT, path, cases[i].message);
    }
    test_label_end();
    /* An array that is not where the index says, and a file that is not there. */
    char message[4096];
    const char *index = write_text("index.json", "{\"weight_map\": {\"a\": \"one\", \"c\": \"one\"}}");
    snprintf(message, sizeof message, "%s: no array \"c\", which %s says is here", temp_path("one"), index);
    assert_fails(weight_files_open(&files, index), CS336_EFORMAT, message);
    index = write_text("index.json", "{\"weight_map\": {\"a\": \"one\", \"c\": \"three\"}}");
    const char *three = temp_path("three");
    assert_path_fails(weight_files_open(&files, index), CS336_EIO, three, ": cannot read: No such file or directory");
}
END_TEST

START_TEST(test_the_shortest_prefix_counts)
{
    char prefix[WEIGHT_NAME_BYTES];
    WeightFiles files;
    assert_ok(weight_files_open(&files, arrays("two", "ema.model.x", "model.x", "y")));
    ck_assert(weight_files_prefix(prefix, &files, "x"));
    ck_assert_str_eq(prefix, "model.");
    ck_assert(weight_files_prefix(prefix, &files, "y"));
    ck_assert_str_eq(prefix, "");
    ck_assert(!weight_files_prefix(prefix, &files, "z"));
    weight_files_close(&files);
    char name[2 * WEIGHT_NAME_BYTES];
    memset(name, 'n', sizeof name);
    memcpy(name + sizeof name - 3, ".x", 3);
    assert_ok(weight_files_open(&files, arrays("long", name)));
    ck_assert(!weight_files_prefix(prefix, &files, ".x"));
    weight_files_close(&files);
}
END_TEST

START_TEST(test_arrays_are_compared_to_the_last_byte)
{
    enum { COUNT = 3000 }; /* floats: more bytes than are compared at once, and no multiple of them */
    static float a[COUNT], b[COUNT];
    const char *path = temp_path("pair");
    bool equal;
    for (int differ = 0; differ < 3; differ++) {
        WeightFiles files;
        memset(b, 0, sizeof b);
        if (differ)
            b[differ == 1 ? COUNT - 1 : 0] = 1;
        const SafetensorsEntry entries[] = {
            {.name = "a", .type = SAFETENSORS_F32, .rank = 1, .shape = {COUNT}, .data = a},
            {.name = "b", .type = SAFETENSORS_F32, .rank = 1, .shape = {COUNT}, .data = b},
            {.name = "c", .type = SAFETENSORS_F32, .rank = 2, .shape = {COUNT, 1}, .data = a},
            {.name = "d", .type = SAFETENSORS_I32, .rank = 1, .shape = {COUNT}, .data = a}};
        assert_ok(safetensors_write(path, entries, 4, NULL, 0));
        assert_ok(weight_files_open(&files, path));
        const WeightArray first = weight_files_find(&files, "", "a");
        assert_ok(weight_arrays_equal(&equal, first, weight_files_find(&files, "", "b")));
        ck_assert_int_eq(equal, differ == 0);
        assert_ok(weight_arrays_equal(&equal, first, weight_files_find(&files, "", "c")));
        ck_assert(!equal);
        assert_ok(weight_arrays_equal(&equal, first, weight_files_find(&files, "", "d")));
        ck_assert(!equal);
        weight_files_close(&files);
    }
}
END_TEST

static Status open_shards(void *context)
{
    WeightFiles files;
    const Status s = weight_files_open(&files, context);
    weight_files_close(&files);
    return s;
}

START_TEST(test_weights_without_memory)
{
    static char path[] = INTERCHANGE_FIXTURES "sharded";
    assert_allocation_failures_are_clean(open_shards, path);
}
END_TEST

const TestCase weights_tests[] = {
    TEST(test_weights_are_one_file_or_several, "interchange"),
    TEST(test_weights_are_detected_by_their_names, "interchange"),
    TEST(test_what_is_no_file_of_weights_is_named, "interchange"),
    TEST(test_an_index_must_agree_with_its_files, "interchange"),
    TEST(test_the_shortest_prefix_counts, "interchange"),
    TEST(test_arrays_are_compared_to_the_last_byte, "interchange"),
    TEST(test_weights_without_memory, "interchange"),
    {0},
};

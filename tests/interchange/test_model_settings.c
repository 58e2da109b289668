/* The settings of an imported model: what shapes, metadata, config.json and options say, and what contradicts. */
#include "core/memory.h"
#include "interchange/llama.h"
#include "interchange/llama2c.h"
#include "interchange/state_dict.h"
#include "tests/interchange/imported.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ImportOptions none = IMPORT_OPTIONS_NONE;

/* ---- settings that arrays cannot say ---- */

START_TEST(test_options_and_config_file_say_what_shapes_cannot)
{
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 1); /* post-norm */
    const Arrays arrays = arrays_of(&model);
    const char *path = write_state(&arrays, NULL, 0);
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": no shape says how many heads the model has: give --num-heads N");
    /* Options alone. */
    const ImportOptions all = {.num_heads = 6,
                               .context_length = 5,
                               .rope_theta = 2e4F,
                               .norm_eps = 1e-3F,
                               .norm = NORM_POST,
                               .position = POSITION_NONE};
    assert_ok(import_model(&again, &notes, path, &all));
    ck_assert_str_eq(notes.assumed, "");
    TransformerLMConfig expected = model.lm.config;
    expected.num_heads = 6;
    expected.context_length = 5;
    expected.rope_theta = 2e4F;
    expected.norm_eps = 1e-3F;
    expected.position = POSITION_NONE;
    assert_same_config(&again.lm.config, &expected);
    trained_model_deinit(&again);
    /* A config.json beside the file, as that of a run. An option says what it does not say. */
    (void)write_text("config.json", "{\"num_heads\": 3, \"context_length\": 77, \"norm\": \"post\", \"lr\": 1e-3, "
                                    "\"rope_theta\": 250, \"norm_eps\": null, \"d_ff\": 20, \"ffn\": \"swiglu\"}");
    assert_ok(import_model(&again, &notes, path, &none));
    ck_assert_str_eq(notes.assumed, "norm_eps 1e-05, position rope");
    expected = model.lm.config;
    expected.num_heads = 3;
    expected.context_length = 77;
    expected.rope_theta = 250;
    assert_same_config(&again.lm.config, &expected);
    trained_model_deinit(&again);
    ImportOptions some = none;
    some.norm_eps = 1e-3F;
    some.num_heads = 3;
    assert_ok(import_model(&again, &notes, path, &some));
    ck_assert_str_eq(notes.assumed, "position rope");
    expected.norm_eps = 1e-3F;
    assert_same_config(&again.lm.config, &expected);
    trained_model_deinit(&again);
    trained_model_deinit(&model);
}
END_TEST

/* Whoever calls save_file(state, path, metadata) may write a part of an export's metadata. */
START_TEST(test_metadata_may_say_a_part)
{
    static const SafetensorsText metadata[] = {{.key = "format", .value = "pt"},
                                               {.key = "config.num_heads", .value = "3"},
                                               {.key = "config.d_ff", .value = "20"}};
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 0);
    const Arrays arrays = arrays_of(&model);
    const char *path = write_state(&arrays, metadata, 3);
    assert_ok(import_model(&again, &notes, path, &none));
    ck_assert_str_eq(notes.assumed, "norm pre, norm_eps 1e-05, position rope, rope_theta 10000, context_length 256");
    ck_assert_uint_eq(again.lm.config.num_heads, 3);
    trained_model_deinit(&again);
    /* config.json may say the rest, and must agree. */
    (void)write_text("config.json", "{\"num_heads\": 3, \"context_length\": 77}");
    assert_ok(import_model(&again, &notes, path, &none));
    ck_assert_uint_eq(again.lm.config.context_length, 77);
    trained_model_deinit(&again);
    (void)write_text("config.json", "{\"num_heads\": 2}");
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": num_heads is 3 in its metadata, but 2 in config.json");
    /* An export says all, so a config.json beside it is not read. */
    (void)write_text("config.json", "{\"num_heads\": 6}");
    const char *exported = temp_path("exported.safetensors");
    assert_ok(state_dict_export(exported, &model));
    assert_ok(import_model(&again, &notes, exported, &none));
    ck_assert_str_eq(notes.assumed, "");
    trained_model_deinit(&again);
    trained_model_deinit(&model);
}
END_TEST

START_TEST(test_config_file_with_wrong_settings_is_refused)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{", ":1:1: string or '}' expected near end of file"},
        {"[1]", ": expected a JSON object"},
        {"{\"num_heads\": 0}", ": num_heads is not a whole number from 1 on"},
        {"{\"num_heads\": 2.0}", ": num_heads is not a whole number from 1 on"},
        {"{\"num_heads\": 2, \"rope_theta\": \"x\"}", ": rope_theta is not a number"},
        {"{\"num_heads\": 2, \"norm_eps\": 1e300}", ": norm_eps is not a number"},
        {"{\"num_heads\": 2, \"norm\": \"layer\"}", ": norm is \"layer\", which this program does not know"},
        {"{\"num_heads\": 2, \"position\": 7}", ": position is not a text"},
        {"{\"num_heads\": 2, \"tie_embeddings\": 7}", ": tie_embeddings is not true or false"},
    };
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 0);
    const Arrays arrays = arrays_of(&model);
    char path[2048];
    snprintf(path, sizeof path, "%s", write_state(&arrays, NULL, 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].text);
        const char *config = write_text("config.json", cases[i].text);
        assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, config, cases[i].message);
    }
    trained_model_deinit(&model);
}
END_TEST

/* ---- contradictions ---- */

/* Metadata, and in the second round a config.json, that differ from the arrays in one setting. */
START_TEST(test_settings_that_contradict_the_arrays_are_refused)
{
    static const struct {
        const char *key, *value, *message;
        bool quoted; /* a text in JSON */
    } cases[] = {
        {"vocab_size", "14", "vocab_size is 13 in its arrays, but 14 in %s", false},
        {"d_model", "24", "d_model is 12 in its arrays, but 24 in %s", false},
        {"num_layers", "2", "num_layers is 3 in its arrays, but 2 in %s", false},
        {"num_layers", "4", "num_layers is 3 in its arrays, but 4 in %s", false},
        {"d_ff", "40", "d_ff is 20 in its arrays, but 40 in %s", false},
        {"ffn", "silu", "ffn is swiglu in its arrays, but silu in %s", true},
        {"norm", "none", "norm is none in %s, but its arrays have \"layers.0.ln1.weight\"", true},
        {"tie_embeddings", "true",
         "tie_embeddings is true in %s, but \"lm_head.weight\" differs from \"token_embeddings.weight\"", false},
    };
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 0);
    const Arrays arrays = arrays_of(&model);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const size_t c = i / 2;
        const bool json = i % 2;
        char key[64], text[128], source[64], message[256];
        test_label("%s %s, round %zu", cases[c].key, cases[c].value, i % 2);
        snprintf(key, sizeof key, "config.%s", cases[c].key);
        snprintf(text, sizeof text,
                 cases[c].quoted ? "{\"num_heads\": 2, \"%s\": \"%s\"}" : "{\"num_heads\": 2, \"%s\": %s}",
                 cases[c].key, cases[c].value);
        (void)write_text("config.json", json ? text : "{\"num_heads\": 2}");
        const SafetensorsText metadata[] = {{.key = key, .value = cases[c].value}};
        const char *path = write_state(&arrays, metadata, json ? 0 : 1);
        snprintf(source, sizeof source, "%s", json ? "config.json" : "its metadata");
        snprintf(message, sizeof message, cases[c].message, source);
        char expected[300];
        snprintf(expected, sizeof expected, ": %s", message);
        const size_t before = memory_in_use();
        assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path, expected);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    trained_model_deinit(&model);
    /* Arrays without norms are of a model without norms. */
    make_trained_model(&model, 2);
    const Arrays without = arrays_of(&model);
    (void)write_text("config.json", "{\"num_heads\": 2, \"norm\": \"post\"}");
    const char *path = write_state(&without, NULL, 0);
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": norm is none in its arrays, but post in config.json");
    trained_model_deinit(&model);
}
END_TEST

/* The files of a model in each form, which say num_heads 2 and context_length 8. */
typedef struct {
    const char *path, *named;   /* to import, and what messages name */
    const char *header, *fixed; /* the sources of sizes and of other settings */
} Form;

static void write_forms(Form forms[3], const TrainedModel *model)
{
    static char paths[4][1024];
    static const char *const names[] = {"weights.safetensors", "llama", "llama/config.json", "model.bin"};
    for (size_t i = 0; i < 4; i++)
        snprintf(paths[i], sizeof paths[i], "%s", temp_path(names[i]));
    assert_ok(state_dict_export(paths[0], model));
    assert_ok(llama_export(paths[1], model, LLAMA_NO_TOKEN));
    assert_ok(llama2c_write(paths[3], &model->lm));
    forms[0] = (Form){paths[0], paths[0], "its metadata", "its metadata"};
    forms[1] = (Form){paths[1], paths[2], "the file", "the file"};
    forms[2] = (Form){paths[3], paths[3], "its header", "llama2.c's format"};
}

START_TEST(test_options_that_contradict_the_files_are_refused)
{
    static const struct {
        ImportOptions options;
        const char *first, *second; /* of the message: "num_heads is 2 in", and what follows behind the source */
        bool in_header;
    } cases[] = {
        {{.num_heads = 3, .norm = -1, .position = -1}, "num_heads is 2 in", ", but 3 in the options", true},
        {{.rope_theta = 250, .norm = -1, .position = -1}, "rope_theta is 10000 in", ", but 250 in the options", false},
        {{.norm_eps = 1e-4F, .norm = -1, .position = -1}, "norm_eps is 1e-05 in", ", but 0.0001 in the options", false},
        {{.norm = NORM_POST, .position = -1}, "norm is pre in", ", but post in the options", false},
        {{.norm = -1, .position = POSITION_NONE}, "position is rope in", ", but none in the options", false},
        {{.context_length = 9, .norm = -1, .position = -1},
         "context_length is 8 in",
         ", but 9 in the options, expected no more: the model has not learned later positions",
         true},
    };
    TrainedModel model, again;
    ImportNotes notes;
    Form forms[3];
    make_trained_model(&model, 0);
    write_forms(forms, &model);
    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char message[256];
            test_label("%s, case %zu", forms[f].path, i);
            snprintf(message, sizeof message, ": %s %s%s", cases[i].first,
                     cases[i].in_header ? forms[f].header : forms[f].fixed, cases[i].second);
            const size_t before = memory_in_use();
            assert_path_fails(import_model(&again, &notes, forms[f].path, &cases[i].options), CS336_EFORMAT,
                              forms[f].named, message);
            ck_assert_uint_eq(memory_in_use(), before);
        }
    test_label_end();
    /* Numbers that six digits do not tell apart have more. */
    const ImportOptions next = {.rope_theta = nextafterf(1e4F, 2e4F), .norm = -1, .position = -1};
    assert_path_fails(import_model(&again, &notes, forms[0].path, &next), CS336_EFORMAT, forms[0].named,
                      ": rope_theta is 10000 in its metadata, but 10000.001 in the options");
    trained_model_deinit(&model);
}
END_TEST

/* Options may repeat what the files say, and choose a shorter context. The weights are the same. */
START_TEST(test_options_that_agree_with_the_files)
{
    const ImportOptions repeated = {.num_heads = 2,
                                    .context_length = 3,
                                    .rope_theta = 1e4F,
                                    .norm_eps = 1e-5F,
                                    .norm = NORM_PRE,
                                    .position = POSITION_ROPE};
    TrainedModel model, again;
    ImportNotes notes;
    Form forms[3];
    make_trained_model(&model, 0);
    write_forms(forms, &model);
    model.lm.config.context_length = 3;
    for (size_t f = 0; f < 3; f++) {
        test_label("%s", forms[f].path);
        assert_ok(import_model(&again, &notes, forms[f].path, &repeated));
        ck_assert_str_eq(notes.assumed, "");
        assert_same_model(&again, &model);
        ck_assert_uint_eq(again.lm.rope.cosine.shape[0], 3);
        trained_model_deinit(&again);
    }
    trained_model_deinit(&model);
}
END_TEST

const TestCase model_settings_tests[] = {
    TEST(test_options_and_config_file_say_what_shapes_cannot, "interchange"),
    TEST(test_metadata_may_say_a_part, "interchange"),
    TEST(test_config_file_with_wrong_settings_is_refused, "interchange"),
    TEST(test_settings_that_contradict_the_arrays_are_refused, "interchange"),
    TEST(test_options_that_contradict_the_files_are_refused, "interchange"),
    TEST(test_options_that_agree_with_the_files, "interchange"),
    {0},
};

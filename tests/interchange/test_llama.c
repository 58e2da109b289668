/* Hugging Face's Llama in and out: logits of transformers, the order of rows, config.json, and what is refused. */
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "interchange/llama.h"
#include "tests/interchange/imported.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ImportOptions none = IMPORT_OPTIONS_NONE;

/* The variants of tests/support/tiny_lm.h that are Llamas: pre-norm, RoPE, SwiGLU; untied and tied. */
static const int llamas[] = {0, 12};

START_TEST(test_llama_logits_are_those_of_transformers)
{
    static const char *const paths[] = {"llama", "llama/model.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        TrainedModel model;
        ImportNotes notes;
        snprintf(path, sizeof path, INTERCHANGE_FIXTURES "%s", paths[i]);
        assert_ok(import_model(&model, &notes, path, &none));
        assert_same_config(&model.lm.config, &(TransformerLMConfig){.vocab_size = 40,
                                                                    .context_length = 64,
                                                                    .d_model = 24,
                                                                    .num_layers = 2,
                                                                    .num_heads = 4,
                                                                    .d_ff = 40,
                                                                    .rope_theta = 5000,
                                                                    .norm_eps = 1e-6F,
                                                                    .tie_embeddings = true});
        ck_assert_int_eq(notes.form, IMPORT_LLAMA);
        ck_assert_uint_eq(notes.grouped_key_value_heads, 2);
        ck_assert_uint_eq(notes.file_context_length, 0);
        ck_assert_str_eq(notes.assumed, "");
        assert_fixture_logits(&model, "llama");
        trained_model_deinit(&model);
    }
}
END_TEST

/* ---- out, and in again ---- */

START_TEST(test_llama_round_trip_is_exact)
{
    for (size_t i = 0; i < 2; i++) {
        TrainedModel model, again;
        ImportNotes notes;
        make_trained_model(&model, llamas[i]);
        model.lm.config.rope_theta = nextafterf(1e4F, 2e4F);
        model.lm.config.norm_eps = nextafterf(1e-5F, 1);
        const char *path = temp_path("exported/llama");
        assert_ok(llama_export(path, &model, 7));
        ck_assert_uint_eq(directory_entries(path), 2);
        assert_ok(import_model(&again, &notes, path, &none));
        ck_assert_uint_eq(notes.grouped_key_value_heads, 0);
        assert_same_model(&again, &model);
        trained_model_deinit(&again);
        trained_model_deinit(&model);
    }
}
END_TEST

/* Llama's row h d_k / 2 + k of a head is our row 2k + h, of queries and keys alone. */
START_TEST(test_llama_rows_are_in_halves)
{
    enum { D = 12, HEADS = 2, D_K = 6 };
    static const struct {
        const char *name;
        bool in_halves;
    } projections[] = {{"q", true}, {"k", true}, {"v", false}, {"o", false}};
    TrainedModel model;
    SafetensorsFile file;
    make_trained_model(&model, 0);
    assert_ok(llama_export(temp_path("llama"), &model, LLAMA_NO_TOKEN));
    assert_ok(safetensors_open(&file, temp_path("llama/model.safetensors")));
    ck_assert_str_eq(safetensors_metadata(&file, "format"), "pt");
    const MultiHeadSelfAttention *attn = &model.lm.layers[1].attn;
    const Tensor ours[] = {attn->q_proj.weight, attn->k_proj.weight, attn->v_proj.weight, attn->output_proj.weight};
    for (size_t p = 0; p < 4; p++) {
        char name[128];
        float theirs[D][D];
        snprintf(name, sizeof name, "model.layers.1.self_attn.%s_proj.weight", projections[p].name);
        assert_ok(safetensors_read(tensor(&theirs[0][0], D, D), &file, name));
        for (size_t head = 0; head < HEADS; head++)
            for (size_t k = 0; k < D_K / 2; k++)
                for (size_t half = 0; half < 2; half++) {
                    const size_t row = D_K * head + 2 * k + half,
                                 other = projections[p].in_halves ? D_K * head + D_K / 2 * half + k : row;
                    test_label("%s, row %zu", name, row);
                    ck_assert_mem_eq(theirs[other], tensor_row(ours[p], row), sizeof theirs[other]);
                }
    }
    safetensors_close(&file);
    trained_model_deinit(&model);
}
END_TEST

START_TEST(test_llama_config_is_that_of_transformers)
{
    static const char expected[] = "{\n"
                                   "  \"architectures\": [\n"
                                   "    \"LlamaForCausalLM\"\n"
                                   "  ],\n"
                                   "  \"model_type\": \"llama\",\n"
                                   "  \"vocab_size\": 13,\n"
                                   "  \"hidden_size\": 12,\n"
                                   "  \"intermediate_size\": 20,\n"
                                   "  \"num_hidden_layers\": 3,\n"
                                   "  \"num_attention_heads\": 2,\n"
                                   "  \"num_key_value_heads\": 2,\n"
                                   "  \"head_dim\": 6,\n"
                                   "  \"max_position_embeddings\": 8,\n"
                                   "  \"rope_theta\": 10000.0,\n"
                                   "  \"rope_parameters\": {\n"
                                   "    \"rope_theta\": 10000.0,\n"
                                   "    \"rope_type\": \"default\"\n"
                                   "  },\n"
                                   "  \"rms_norm_eps\": 1e-5,\n"
                                   "  \"hidden_act\": \"silu\",\n"
                                   "  \"attention_bias\": false,\n"
                                   "  \"mlp_bias\": false,\n"
                                   "  \"tie_word_embeddings\": true,\n"
                                   "  \"bos_token_id\": null,\n"
                                   "  \"eos_token_id\": null,\n"
                                   "  \"dtype\": \"float32\",\n"
                                   "  \"torch_dtype\": \"float32\"\n"
                                   "}\n";
    TrainedModel model;
    make_trained_model(&model, 12);
    assert_ok(llama_export(temp_path("llama"), &model, LLAMA_NO_TOKEN));
    assert_file_holds(temp_path("llama/config.json"), expected, sizeof expected - 1);
    assert_ok(llama_export(temp_path("llama"), &model, 7));
    ck_assert_ptr_nonnull(strstr(file_text(temp_path("llama/config.json")), "\"eos_token_id\": 7,"));
    trained_model_deinit(&model);
}
END_TEST

START_TEST(test_llama_export_refuses_other_models)
{
    static const struct {
        int variant;
        const char *message;
    } cases[] = {{1, ": not written: norm of this model is \"post\", that of a Llama is \"pre\""},
                 {2, ": not written: norm of this model is \"none\", that of a Llama is \"pre\""},
                 {3, ": not written: position of this model is \"none\", that of a Llama is \"rope\""},
                 {6, ": not written: ffn of this model is \"silu\", that of a Llama is \"swiglu\""}};
    const char *path = temp_path("llama");
    TrainedModel model;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_trained_model(&model, cases[i].variant);
        assert_path_fails(llama_export(path, &model, LLAMA_NO_TOKEN), CS336_EFORMAT, path, cases[i].message);
        trained_model_deinit(&model);
    }
    make_trained_model(&model, 0);
    assert_path_fails(llama_export(path, &model, 13), CS336_ERANGE, path,
                      ": not written: token 13 ends a text, the model has 13 ids");
    /* The directory of a training run has a config.json that must stay. */
    const char *run = temp_directory("run"), *config = write_text("run/config.json", "{\"lr\": 1}");
    assert_path_fails(llama_export(run, &model, LLAMA_NO_TOKEN), CS336_EFORMAT, config,
                      ": exists and is not of a Llama, such as the settings of a training run; give another directory");
    ck_assert_str_eq(file_text(config), "{\"lr\": 1}");
    ck_assert_uint_eq(directory_entries(run), 1);
    trained_model_deinit(&model);
}
END_TEST

/* ---- config.json in ---- */

/* Exports a model into the directory `llama`. */
static void export_tiny(int variant)
{
    TrainedModel model;
    make_trained_model(&model, variant);
    assert_ok(llama_export(temp_path("llama"), &model, LLAMA_NO_TOKEN));
    trained_model_deinit(&model);
}

/* Sets settings of llama/config.json, or removes those whose value is "removed". `changes` is a JSON object. */
static void change_config(const char *changes)
{
    const char *path = temp_path("llama/config.json");
    json_t *config, *change;
    const char *key;
    json_t *value;
    assert_ok(json_read(&config, path));
    assert_ok(json_parse(&change, changes, strlen(changes), "changes"));
    json_object_foreach(change, key, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), "removed") == 0)
            json_object_del(config, key);
        else
            json_object_set(config, key, value);
    }
    assert_ok(json_write_file(path, config, 0));
    json_decref(change);
    json_decref(config);
}

static Status import_tiny(TrainedModel *model, const ImportOptions *options)
{
    ImportNotes notes;
    return import_model(model, &notes, temp_path("llama"), options);
}

START_TEST(test_llama_settings_that_our_model_lacks_are_named)
{
    static const struct {
        const char *changes, *message;
    } cases[] = {
        {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}}",
         ": rope_scaling is llama3, this program's model has a RoPE that is not scaled"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}",
         ": rope_scaling is linear, this program's model has a RoPE that is not scaled"},
        {"{\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 1}}",
         ": rope_parameters is yarn, this program's model has a RoPE that is not scaled"},
        {"{\"rope_scaling\": 2}",
         ": rope_scaling is not an object, this program's model has a RoPE that is not scaled"},
        {"{\"rope_parameters\": {\"partial_rotary_factor\": 0.5}}",
         ": partial_rotary_factor is not 1, this program's model rotates whole heads"},
        {"{\"attention_bias\": true}", ": attention_bias is true, this program's model has no biases"},
        {"{\"mlp_bias\": true}", ": mlp_bias is true, this program's model has no biases"},
        {"{\"hidden_act\": \"gelu\"}", ": hidden_act is gelu, this program's model has silu"},
        {"{\"head_dim\": 8}",
         ": 2 heads of head_dim 8, this program's model needs heads that have hidden_size 12 together"},
        {"{\"num_key_value_heads\": 3}", ": num_key_value_heads 3 does not divide num_attention_heads 2"},
        {"{\"quantization_config\": {\"bits\": 4}}",
         ": quantization_config is there, this program's model has floating-point weights"},
        {"{\"architectures\": [\"MistralForCausalLM\"]}",
         ": the architecture is \"MistralForCausalLM\", expected \"LlamaForCausalLM\""},
        {"{\"model_type\": \"qwen2\"}", ": model_type is \"qwen2\", expected \"llama\""},
        {"{\"model_type\": \"removed\", \"architectures\": \"removed\"}",
         ": no model_type and no architectures, expected \"llama\""},
        {"{\"hidden_size\": \"removed\"}", ": no hidden_size, expected the configuration of a Llama"},
        {"{\"vocab_size\": -4}", ": vocab_size is not a whole number from 1 on"},
        {"{\"tie_word_embeddings\": 1}", ": tie_word_embeddings is not true or false"},
        {"{\"rms_norm_eps\": \"small\"}", ": rms_norm_eps is not a number"},
    };
    TrainedModel model;
    char path[2048];
    snprintf(path, sizeof path, "%s", temp_path("llama/config.json"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].changes);
        ck_assert_int_eq(remove(path) == 0, i > 0);
        export_tiny(0);
        change_config(cases[i].changes);
        const size_t before = memory_in_use();
        assert_path_fails(import_tiny(&model, &none), CS336_EFORMAT, path, cases[i].message);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    export_tiny(0);
    change_config("{\"rms_norm_eps\": 0}");
    assert_path_fails(import_tiny(&model, &none), CS336_ERANGE, path, ": norm_eps is 0, expected 1e-30 to 1");
    remove(path);
    assert_path_fails(import_tiny(&model, &none), CS336_EIO, path, ": cannot read: No such file or directory");
}
END_TEST

/* Older and newer files say the same in other places, and leave out what transformers takes for granted. */
START_TEST(test_llama_settings_of_older_and_newer_files)
{
    static const struct {
        const char *changes;
        float rope_theta, norm_eps;
        size_t context_length;
    } cases[] = {
        {"{\"rope_theta\": 5e5, \"rope_parameters\": \"removed\", \"rope_scaling\": null}", 5e5F, 1e-5F, 8},
        {"{\"rope_theta\": \"removed\", \"rope_parameters\": {\"rope_theta\": 1e6, \"rope_type\": \"default\"}}", 1e6F,
         1e-5F, 8},
        {"{\"rope_theta\": \"removed\", \"rope_parameters\": \"removed\", \"rope_scaling\": {\"type\": \"default\"}}",
         1e4F, 1e-5F, 8},
        {"{\"rms_norm_eps\": \"removed\", \"max_position_embeddings\": \"removed\", \"num_key_value_heads\": "
         "\"removed\", "
         "\"head_dim\": null, \"hidden_act\": \"swish\", \"architectures\": \"removed\"}",
         1e4F, 1e-6F, 2048},
        {"{\"model_type\": \"removed\", \"tie_word_embeddings\": \"removed\", \"attention_bias\": null}", 1e4F, 1e-5F,
         8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TrainedModel model;
        test_label("%s", cases[i].changes);
        ck_assert_int_eq(remove(temp_path("llama/config.json")) == 0, i > 0);
        export_tiny(0);
        change_config(cases[i].changes);
        assert_ok(import_tiny(&model, &none));
        ck_assert_float_eq(model.lm.config.rope_theta, cases[i].rope_theta);
        ck_assert_float_eq(model.lm.config.norm_eps, cases[i].norm_eps);
        ck_assert_uint_eq(model.lm.config.context_length, cases[i].context_length);
        ck_assert_uint_eq(model.lm.config.num_heads, 2);
        ck_assert(!model.lm.config.tie_embeddings);
        trained_model_deinit(&model);
    }
}
END_TEST

START_TEST(test_llama_context_is_limited)
{
    TrainedModel model;
    ImportNotes notes;
    ImportOptions options = none;
    export_tiny(0);
    /* More than any model may have: the default is less, and an option may choose no more. */
    change_config("{\"max_position_embeddings\": 10485760}");
    assert_ok(import_model(&model, &notes, temp_path("llama"), &none));
    ck_assert_uint_eq(model.lm.config.context_length, IMPORT_MAX_CONTEXT);
    ck_assert_uint_eq(notes.file_context_length, 10485760);
    trained_model_deinit(&model);
    options.context_length = 131072;
    assert_ok(import_model(&model, &notes, temp_path("llama"), &options));
    ck_assert_uint_eq(model.lm.config.context_length, 131072);
    ck_assert_uint_eq(notes.file_context_length, 0);
    trained_model_deinit(&model);
}
END_TEST

/* ---- weights in ---- */

/* Adds arrays to llama/model.safetensors. */
static void add_arrays(const SafetensorsEntry *more, size_t count)
{
    static float numbers[MOST_ARRAYS][256];
    SafetensorsEntry entries[MOST_ARRAYS];
    SafetensorsFile file;
    size_t used = 0;
    const char *path = temp_path("llama/model.safetensors");
    assert_ok(safetensors_open(&file, path));
    for (size_t i = 0; i < file.count; i++) {
        entries[used] = file.entries[i];
        assert_ok(safetensors_read_bytes(numbers[used], &file, &file.entries[i]));
        entries[used].data = numbers[used];
        used++;
    }
    memcpy(entries + used, more, count * sizeof *more);
    assert_ok(safetensors_write(path, entries, used + count, NULL, 0));
    safetensors_close(&file);
}

START_TEST(test_llama_arrays_beside_the_weights)
{
    static float frequencies[3], head[13 * 12];
    TrainedModel model;
    char path[2048];
    snprintf(path, sizeof path, "%s", temp_path("llama/model.safetensors"));
    /* The frequencies of RoPE that older files have; the prefix of torch.compile() is tested with the state dict. */
    const SafetensorsEntry inv_freq = {.name = "model.layers.2.self_attn.rotary_emb.inv_freq",
                                       .type = SAFETENSORS_F32,
                                       .rank = 1,
                                       .shape = {3},
                                       .data = frequencies};
    export_tiny(12);
    add_arrays(&inv_freq, 1);
    assert_ok(import_tiny(&model, &none));
    /* A tied matrix that the file has twice. */
    memcpy(head, model.lm.token_embeddings.weight.data, sizeof head);
    trained_model_deinit(&model);
    SafetensorsEntry second = {
        .name = "lm_head.weight", .type = SAFETENSORS_F32, .rank = 2, .shape = {13, 12}, .data = head};
    add_arrays(&second, 1);
    assert_ok(import_tiny(&model, &none));
    trained_model_deinit(&model);
    export_tiny(12);
    head[13 * 12 - 1] += 1;
    add_arrays(&second, 1);
    assert_path_fails(
        import_tiny(&model, &none), CS336_EFORMAT, path,
        ": tie_word_embeddings is true, but \"lm_head.weight\" differs from \"model.embed_tokens.weight\"");
    export_tiny(12);
    second.name = "model.layers.0.self_attn.q_proj.bias";
    add_arrays(&second, 1);
    assert_path_fails(import_tiny(&model, &none), CS336_EFORMAT, path,
                      ": array \"model.layers.0.self_attn.q_proj.bias\" belongs to no parameter of the model");
    export_tiny(12);
    change_config("{\"tie_word_embeddings\": false}");
    assert_path_fails(import_tiny(&model, &none), CS336_EFORMAT, path, ": no array \"lm_head.weight\"");
    export_tiny(12);
    change_config("{\"num_key_value_heads\": 1}");
    assert_path_fails(import_tiny(&model, &none), CS336_ESHAPE, path,
                      ": array \"model.layers.0.self_attn.k_proj.weight\" is (12, 12), expected (6, 12)");
}
END_TEST

/* Configurations with changed bytes are refused with a message of one line, or read. */
START_TEST(test_varied_llama_configs_are_refused_or_read)
{
    char path[2048]; /* a copy: each variation takes buffers of temp_path() */
    export_tiny(0);
    snprintf(path, sizeof path, "%s", temp_path("llama/config.json"));
    assert_variations_are_refused_or_read(path, 0, temp_path("llama"), &none);
}
END_TEST

/* ---- memory and disk ---- */

static Status import_fixture(void *context)
{
    TrainedModel model;
    ImportNotes notes;
    const Status s = import_model(&model, &notes, context, &none);
    trained_model_deinit(&model);
    return s;
}

static Status export_model(void *context)
{
    return llama_export(temp_path("out/llama"), context, LLAMA_NO_TOKEN);
}

START_TEST(test_llama_without_memory_or_disk)
{
    static char path[] = INTERCHANGE_FIXTURES "llama";
    TrainedModel model;
    make_trained_model(&model, 0);
    assert_allocation_failures_are_clean(import_fixture, path);
    char directory[1024]; /* a copy: each export takes a buffer of temp_path() */
    snprintf(directory, sizeof directory, "%s", temp_directory("out"));
    assert_allocation_failures_are_clean(export_model, &model);
    /* Without a directory, then beside an older export. */
    ck_assert_int_eq(remove(temp_path("out/llama/config.json")) | remove(temp_path("out/llama/model.safetensors")) |
                         remove(temp_path("out/llama")),
                     0);
    assert_write_failures_are_clean(export_model, &model, directory);
    snprintf(directory, sizeof directory, "%s", temp_path("out/llama"));
    assert_write_failures_are_clean(export_model, &model, directory);
    trained_model_deinit(&model);
}
END_TEST

const TestCase llama_tests[] = {
    TEST(test_llama_logits_are_those_of_transformers, "interchange"),
    TEST(test_llama_round_trip_is_exact, "interchange"),
    TEST(test_llama_rows_are_in_halves, "interchange"),
    TEST(test_llama_config_is_that_of_transformers, "interchange"),
    TEST(test_llama_export_refuses_other_models, "interchange"),
    TEST(test_llama_settings_that_our_model_lacks_are_named, "interchange"),
    TEST(test_llama_settings_of_older_and_newer_files, "interchange"),
    TEST(test_llama_context_is_limited, "interchange"),
    TEST(test_llama_arrays_beside_the_weights, "interchange"),
    TEST(test_varied_llama_configs_are_refused_or_read, "interchange"),
    TEST(test_llama_without_memory_or_disk, "interchange"),
    {0},
};

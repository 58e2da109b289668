/* PyTorch's state dict in and out: logits of PyTorch, round trips, what files do not say, and damaged files. */
#include "core/memory.h"
#include "core/safetensors.h"
#include "interchange/state_dict.h"
#include "tests/fuzz/fuzz.h"
#include "tests/interchange/imported.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ImportOptions none = IMPORT_OPTIONS_NONE, two_heads = {.num_heads = 2, .norm = -1, .position = -1};

/* ---- files that Python has written ---- */

START_TEST(test_state_dict_of_pytorch)
{
    static const struct {
        const char *path, *logits;
        bool tied;
    } cases[] = {
        {"f32.safetensors", "f32", false},   {"sharded/model.safetensors.index.json", "f32", false},
        {"bf16.safetensors", "bf16", false}, {"f16.safetensors", "f16", false},
        {"tied.safetensors", "tied", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256];
        TrainedModel model;
        ImportNotes notes;
        test_label("%s", cases[i].path);
        snprintf(path, sizeof path, INTERCHANGE_FIXTURES "%s", cases[i].path);
        assert_ok(import_model(&model, &notes, path, &two_heads));
        assert_same_config(&model.lm.config, &(TransformerLMConfig){.vocab_size = 40,
                                                                    .context_length = 256,
                                                                    .d_model = 16,
                                                                    .num_layers = 2,
                                                                    .num_heads = 2,
                                                                    .d_ff = 24,
                                                                    .rope_theta = 1e4F,
                                                                    .norm_eps = 1e-5F,
                                                                    .tie_embeddings = cases[i].tied});
        ck_assert_int_eq(notes.form, IMPORT_STATE_DICT);
        ck_assert_uint_eq(notes.arrays, model.parameters.count);
        ck_assert_str_eq(notes.assumed,
                         "norm pre, norm_eps 1e-05, position rope, rope_theta 10000, context_length 256");
        ck_assert_uint_eq(model.iteration, 0);
        assert_fixture_logits(&model, cases[i].logits);
        trained_model_deinit(&model);
    }
}
END_TEST

/* ---- round trips ---- */

START_TEST(test_state_dict_round_trip_is_exact)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TrainedModel model, again;
        ImportNotes notes;
        make_trained_model(&model, variant);
        test_label("%s", variant_text(&model.lm.config));
        model.lm.config.rope_theta = nextafterf(300, 400);
        model.lm.config.norm_eps = nextafterf(1e-6F, 1);
        const char *path = temp_path("weights.safetensors");
        assert_ok(state_dict_export(path, &model));
        assert_ok(import_model(&again, &notes, path, &none));
        ck_assert_str_eq(notes.assumed, "");
        assert_same_model(&again, &model);
        trained_model_deinit(&again);
        trained_model_deinit(&model);
    }
}
END_TEST

/* PyTorch's strict=True asks for both names of a tied matrix; its file has "format": "pt". */
START_TEST(test_state_dict_has_all_names_of_pytorch)
{
    for (int variant = 0; variant <= 12; variant += 12) {
        TrainedModel model;
        SafetensorsFile file;
        make_trained_model(&model, variant);
        const char *path = temp_path("weights.safetensors");
        assert_ok(state_dict_export(path, &model));
        assert_ok(safetensors_open(&file, path));
        ck_assert_uint_eq(file.count, 3 + 3 * 9);
        ck_assert_str_eq(safetensors_metadata(&file, "format"), "pt");
        ck_assert_str_eq(safetensors_metadata(&file, "config.num_heads"), "2");
        ck_assert_ptr_null(safetensors_metadata(&file, "iteration"));
        float head[13 * 12];
        assert_ok(safetensors_read(tensor(head, 13, 12), &file, "lm_head.weight"));
        ck_assert_mem_eq(head, model.lm.lm_head.weight.data, sizeof head);
        safetensors_close(&file);
        trained_model_deinit(&model);
    }
}
END_TEST

/* ---- what the file does not say ---- */

enum { MOST_ARRAYS = 40 };

/* The arrays of a model, which a test changes before it writes them. */
typedef struct {
    SafetensorsEntry entries[MOST_ARRAYS];
    size_t count;
} Arrays;

static Arrays arrays_of(const TrainedModel *model)
{
    Arrays arrays = {.count = 0};
    for (size_t i = 0; i < model->parameters.count; i++) {
        const Parameter *p = &model->parameters.items[i];
        SafetensorsEntry *entry = &arrays.entries[arrays.count++];
        *entry =
            (SafetensorsEntry){.name = p->name, .type = SAFETENSORS_F32, .rank = p->value.rank, .data = p->value.data};
        memcpy(entry->shape, p->value.shape, sizeof entry->shape);
    }
    return arrays;
}

static SafetensorsEntry *array_of(Arrays *arrays, const char *name)
{
    for (size_t i = 0; i < arrays->count; i++)
        if (strcmp(arrays->entries[i].name, name) == 0)
            return &arrays->entries[i];
    ck_abort_msg("no array %s", name);
}

static void remove_array(Arrays *arrays, const char *name)
{
    *array_of(arrays, name) = arrays->entries[arrays->count - 1];
    arrays->count--;
}

static const char *write_state(const Arrays *arrays, const SafetensorsText *metadata, size_t metadata_count)
{
    const char *path = temp_path("state.safetensors");
    assert_ok(safetensors_write(path, arrays->entries, arrays->count, metadata, metadata_count));
    return path;
}

/* The same with a configuration in the metadata. */
static const char *write_state_of(const Arrays *arrays, const TransformerLMConfig *config)
{
    ModelConfigText text;
    SafetensorsText metadata[MODEL_CONFIG_KEYS];
    char keys[MODEL_CONFIG_KEYS][64];
    model_config_text(&text, config);
    for (size_t i = 0; i < text.count; i++) {
        snprintf(keys[i], sizeof keys[i], "config.%s", text.pairs[i].key);
        metadata[i] = (SafetensorsText){keys[i], text.pairs[i].value};
    }
    return write_state(arrays, metadata, text.count);
}

START_TEST(test_options_and_config_file_say_what_shapes_cannot)
{
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 1); /* post-norm */
    const Arrays arrays = arrays_of(&model);
    const char *path = write_state(&arrays, NULL, 0);
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": no shape says how many heads the model has: give --num-heads N");
    /* A config.json beside the file, as that of a run. */
    (void)write_text("config.json", "{\"num_heads\": 3, \"context_length\": 77, \"norm\": \"post\", \"lr\": 1e-3, "
                                    "\"rope_theta\": 250, \"norm_eps\": null}");
    assert_ok(import_model(&again, &notes, path, &none));
    ck_assert_str_eq(notes.assumed, "norm_eps 1e-05, position rope");
    ck_assert_uint_eq(again.lm.config.num_heads, 3);
    ck_assert_uint_eq(again.lm.config.context_length, 77);
    ck_assert_int_eq(again.lm.config.norm, NORM_POST);
    ck_assert_float_eq(again.lm.config.rope_theta, 250);
    trained_model_deinit(&again);
    /* Options win over it. */
    const ImportOptions all = {.num_heads = 6,
                               .context_length = 5,
                               .rope_theta = 2e4F,
                               .norm_eps = 1e-3F,
                               .norm = NORM_PRE,
                               .position = POSITION_NONE};
    assert_ok(import_model(&again, &notes, path, &all));
    ck_assert_str_eq(notes.assumed, "");
    TransformerLMConfig expected = model.lm.config;
    expected.num_heads = 6;
    expected.context_length = 5;
    expected.rope_theta = 2e4F;
    expected.norm_eps = 1e-3F;
    expected.norm = NORM_PRE;
    expected.position = POSITION_NONE;
    assert_same_config(&again.lm.config, &expected);
    trained_model_deinit(&again);
    /* And over the metadata of an export. */
    const char *exported = temp_path("exported.safetensors");
    assert_ok(state_dict_export(exported, &model));
    assert_ok(import_model(&again, &notes, exported, &all));
    assert_same_config(&again.lm.config, &expected);
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

/* Two matrices with the same numbers are one tied matrix, unless the file's own configuration says that they are two.
 */
START_TEST(test_equal_matrices_are_tied)
{
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 0);
    Arrays arrays = arrays_of(&model);
    SafetensorsEntry *head = array_of(&arrays, "lm_head.weight");
    head->data = array_of(&arrays, "token_embeddings.weight")->data;
    assert_ok(import_model(&again, &notes, write_state(&arrays, NULL, 0), &two_heads));
    ck_assert(again.lm.config.tie_embeddings);
    trained_model_deinit(&again);
    memcpy(model.lm.lm_head.weight.data, model.lm.token_embeddings.weight.data, 13 * 12 * sizeof(float));
    const char *path = temp_path("exported.safetensors");
    assert_ok(state_dict_export(path, &model));
    assert_ok(import_model(&again, &notes, path, &none));
    assert_same_model(&again, &model);
    trained_model_deinit(&again);
    /* A model whose configuration says that it is not tied needs both. */
    Arrays one = arrays;
    remove_array(&one, "token_embeddings.weight");
    path = write_state_of(&one, &model.lm.config);
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": no array \"token_embeddings.weight\"");
    /* A tied model whose two matrices differ is damaged. */
    model.lm.config.tie_embeddings = true;
    static float other[13 * 12];
    head->data = other;
    path = write_state_of(&arrays, &model.lm.config);
    assert_path_fails(import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
                      ": tie_embeddings is true, but \"lm_head.weight\" differs from \"token_embeddings.weight\"");
    trained_model_deinit(&model);
}
END_TEST

/* ---- damaged files ---- */

/* Fails unless the import of the arrays fails with this message behind the path. */
static void assert_refused(const Arrays *arrays, Status status, const char *message)
{
    TrainedModel model;
    ImportNotes notes;
    const char *path = write_state(arrays, NULL, 0);
    const size_t before = memory_in_use();
    assert_path_fails(import_model(&model, &notes, path, &two_heads), status, path, message);
    ck_assert_uint_eq(memory_in_use(), before);
}

START_TEST(test_arrays_that_do_not_fit_are_named)
{
    TrainedModel model;
    make_trained_model(&model, 0);
    const Arrays whole = arrays_of(&model);
    Arrays a = whole;
    remove_array(&a, "layers.1.ln2.weight");
    assert_refused(&a, CS336_EFORMAT, ": no array \"layers.1.ln2.weight\"");
    remove_array(&a, "layers.2.ffn.w2.weight");
    remove_array(&a, "ln_final.weight");
    assert_refused(&a, CS336_EFORMAT, ": no array \"layers.1.ln2.weight\", and 2 more of the model are missing");
    a = whole;
    remove_array(&a, "layers.0.ffn.w1.weight");
    assert_refused(&a, CS336_EFORMAT, ": no array \"layers.0.ffn.w1.weight\"");
    a = whole;
    array_of(&a, "layers.0.attn.q_proj.weight")->name = "q";
    assert_refused(&a, CS336_EFORMAT,
                   ": no array \"layers.0.attn.q_proj.weight\" as in the course's state dict, and no "
                   "\"model.embed_tokens.weight\" as in Hugging Face's Llama; the first array is "
                   "\"token_embeddings.weight\"");
    a = whole;
    remove_array(&a, "token_embeddings.weight");
    remove_array(&a, "lm_head.weight");
    assert_refused(&a, CS336_EFORMAT, ": no array \"token_embeddings.weight\"");
    a = whole;
    a.entries[a.count++] = (SafetensorsEntry){.name = "layers.0.attn.q_proj.bias\033[31m",
                                              .type = SAFETENSORS_F32,
                                              .rank = 1,
                                              .shape = {12},
                                              .data = model.lm.ln_final.weight.data};
    assert_refused(&a, CS336_EFORMAT,
                   ": array \"layers.0.attn.q_proj.bias\\x1B[31m\" belongs to no parameter of the model");
    a.entries[a.count] = a.entries[a.count - 1];
    a.entries[a.count++].name = "x";
    assert_refused(&a, CS336_EFORMAT,
                   ": array \"layers.0.attn.q_proj.bias\\x1B[31m\" and 1 more belong to no parameter of the model");
    a = whole;
    array_of(&a, "layers.2.ffn.w2.weight")->shape[0] = 20;
    array_of(&a, "layers.2.ffn.w2.weight")->shape[1] = 12;
    assert_refused(&a, CS336_ESHAPE, ": array \"layers.2.ffn.w2.weight\" is (20, 12), expected (12, 20)");
    a = whole;
    array_of(&a, "ln_final.weight")->type = SAFETENSORS_I32;
    assert_refused(&a, CS336_EFORMAT, ": array \"ln_final.weight\" is I32, expected F32, BF16, F16 or F64");
    a = whole;
    array_of(&a, "token_embeddings.weight")->rank = 1;
    array_of(&a, "token_embeddings.weight")->shape[0] = 12 * 13;
    assert_refused(&a, CS336_ESHAPE, ": transformer_lm_check: d_model is 0");
    trained_model_deinit(&model);
}
END_TEST

START_TEST(test_numbers_that_are_not_finite_are_refused)
{
    TrainedModel model;
    make_trained_model(&model, 0);
    const Arrays arrays = arrays_of(&model);
    model.lm.layers[1].ffn.w3.weight.data[20 * 12 - 1] = NAN;
    assert_refused(&arrays, CS336_ERANGE,
                   ": array \"layers.1.ffn.w3.weight\" has nan as a number, expected finite numbers");
    model.lm.layers[1].ffn.w3.weight.data[20 * 12 - 1] = -INFINITY;
    assert_refused(&arrays, CS336_ERANGE,
                   ": array \"layers.1.ffn.w3.weight\" has -inf as a number, expected finite numbers");
    trained_model_deinit(&model);
}
END_TEST

/* Many empty layers beside one large matrix would ask for more memory than the file has numbers. */
START_TEST(test_a_small_file_cannot_ask_for_a_large_model)
{
    enum { LAYERS = 4000, D_FF = 4096 };
    static char names[LAYERS][40];
    static SafetensorsEntry entries[LAYERS + 2];
    static float numbers[D_FF * 64];
    entries[0] = (SafetensorsEntry){
        .name = "token_embeddings.weight", .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 64}, .data = numbers};
    entries[1] = (SafetensorsEntry){
        .name = "layers.0.ffn.w1.weight", .type = SAFETENSORS_F32, .rank = 2, .shape = {D_FF, 64}, .data = numbers};
    for (size_t i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "layers.%zu.attn.q_proj.weight", i);
        entries[2 + i] = (SafetensorsEntry){.name = names[i], .type = SAFETENSORS_F32, .rank = 1, .shape = {0}};
    }
    const char *path = temp_path("small.safetensors");
    TrainedModel model;
    ImportNotes notes;
    assert_ok(safetensors_write(path, entries, LAYERS + 2, NULL, 0));
    memory_reset_peak();
    const size_t before = memory_in_use();
    ck_assert_int_eq(import_model(&model, &notes, path, &two_heads), CS336_EFORMAT);
    ck_assert_ptr_nonnull(strstr(status_message(), "a model of its configuration has 2.1"));
    ck_assert_uint_lt(memory_peak() - before, 16 << 20);
}
END_TEST

START_TEST(test_checkpoints_and_state_dicts_are_told_apart)
{
    TrainedModel model, again;
    ImportNotes notes;
    make_trained_model(&model, 0);
    const char *checkpoint = temp_path("checkpoint.safetensors"), *weights = temp_path("weights.safetensors");
    assert_ok(trained_model_save(checkpoint, &model));
    assert_path_fails(
        import_model(&again, &notes, checkpoint, &none), CS336_EFORMAT, checkpoint,
        ": is a checkpoint already, which --checkpoint of the other commands reads; expected weights from "
        "elsewhere");
    assert_ok(state_dict_export(weights, &model));
    assert_path_fails(
        trained_model_load(&again, weights), CS336_EFORMAT, weights,
        ": not a checkpoint: no iteration in its metadata. If it has the weights of another program, cs336 "
        "import FILE --output checkpoint.safetensors makes a checkpoint of it");
    trained_model_deinit(&model);
}
END_TEST

/* Files with changed bytes are refused with a message of one line, or read; never with more memory than they need. */
START_TEST(test_varied_state_dicts_are_refused_or_read)
{
    static FuzzVariation variation;
    TrainedModel model;
    LoadedFile whole;
    make_trained_model(&model, 12);
    const char *path = temp_path("varied.safetensors");
    assert_ok(state_dict_export(path, &model));
    assert_ok(file_load(&whole, path));
    memory_set_limit(memory_in_use() + (64 << 20));
    for (uint64_t seed = 0; seed < 2000; seed++) {
        TrainedModel again;
        ImportNotes notes;
        test_label("seed %d", (int)seed);
        /* Three of four rounds change bytes of the header only. It is a fifth of the file, and decides what is read. */
        const size_t header = 8 + (size_t)whole.data[0] + 256 * (size_t)whole.data[1];
        const size_t varied = seed % 4 ? header : whole.size;
        fuzz_vary(&variation, (ByteString){whole.data, varied}, seed);
        static uint8_t file[1 << 16];
        ck_assert_uint_lt(variation.length + whole.size, sizeof file);
        memcpy(file, variation.bytes, variation.length);
        memcpy(file + variation.length, whole.data + varied, whole.size - varied);
        write_file(path, file, variation.length + whole.size - varied);
        const Status s = import_model(&again, &notes, path, &two_heads);
        if (s)
            fuzz_check_failure(s);
        trained_model_deinit(&again);
    }
    memory_set_limit(0);
    file_unload(&whole);
    trained_model_deinit(&model);
}
END_TEST

/* ---- memory and disk ---- */

static Status import_fixture(void *context)
{
    TrainedModel model;
    ImportNotes notes;
    const Status s = import_model(&model, &notes, context, &two_heads);
    trained_model_deinit(&model);
    return s;
}

static Status export_model(void *context)
{
    return state_dict_export(temp_path("out/weights.safetensors"), context);
}

START_TEST(test_state_dict_without_memory_or_disk)
{
    static char path[] = INTERCHANGE_FIXTURES "f16.safetensors";
    TrainedModel model;
    make_trained_model(&model, 12);
    assert_allocation_failures_are_clean(import_fixture, path);
    char directory[1024]; /* a copy: each export takes a buffer of temp_path() */
    snprintf(directory, sizeof directory, "%s", temp_directory("out"));
    assert_allocation_failures_are_clean(export_model, &model);
    assert_write_failures_are_clean(export_model, &model, directory);
    trained_model_deinit(&model);
}
END_TEST

const TestCase state_dict_tests[] = {
    TEST(test_state_dict_of_pytorch, "interchange"),
    TEST(test_state_dict_round_trip_is_exact, "interchange"),
    TEST(test_state_dict_has_all_names_of_pytorch, "interchange"),
    TEST(test_options_and_config_file_say_what_shapes_cannot, "interchange"),
    TEST(test_config_file_with_wrong_settings_is_refused, "interchange"),
    TEST(test_equal_matrices_are_tied, "interchange"),
    TEST(test_arrays_that_do_not_fit_are_named, "interchange"),
    TEST(test_numbers_that_are_not_finite_are_refused, "interchange"),
    TEST(test_a_small_file_cannot_ask_for_a_large_model, "interchange"),
    TEST(test_checkpoints_and_state_dicts_are_told_apart, "interchange"),
    TEST(test_varied_state_dicts_are_refused_or_read, "interchange"),
    TEST(test_state_dict_without_memory_or_disk, "interchange"),
    {0},
};

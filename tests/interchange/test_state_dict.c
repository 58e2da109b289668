/* PyTorch's state dict in and out: logits of PyTorch, round trips, tied embeddings, and damaged files. */
#include "core/memory.h"
#include "core/safetensors.h"
#include "interchange/state_dict.h"
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

/* ---- tied embeddings ---- */

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
    assert_path_fails(
        import_model(&again, &notes, path, &none), CS336_EFORMAT, path,
        ": tie_embeddings is true in its metadata, but \"lm_head.weight\" differs from \"token_embeddings.weight\"");
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
    assert_refused(&a, CS336_ESHAPE, ": d_model is 0");
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
    TrainedModel model;
    make_trained_model(&model, 12);
    const char *path = temp_path("varied.safetensors");
    assert_ok(state_dict_export(path, &model));
    /* The header is a fifth of the file, and decides what is read. */
    LoadedFile whole;
    assert_ok(file_load(&whole, path));
    const size_t header = 8 + (size_t)whole.data[0] + 256 * (size_t)whole.data[1];
    file_unload(&whole);
    assert_variations_are_refused_or_read(path, header, path, &two_heads);
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
    TEST(test_equal_matrices_are_tied, "interchange"),
    TEST(test_arrays_that_do_not_fit_are_named, "interchange"),
    TEST(test_numbers_that_are_not_finite_are_refused, "interchange"),
    TEST(test_a_small_file_cannot_ask_for_a_large_model, "interchange"),
    TEST(test_checkpoints_and_state_dicts_are_told_apart, "interchange"),
    TEST(test_varied_state_dicts_are_refused_or_read, "interchange"),
    TEST(test_state_dict_without_memory_or_disk, "interchange"),
    {0},
};

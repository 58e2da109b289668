#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Writes a checkpoint in whose configuration one key has another value, or is missing if `value` is NULL. */
static const char *checkpoint_with(const char *key, const char *value)
{
    const char *path = temp_path("one.safetensors");
    TransformerLMConfig config = tiny_lm_config(0);
    config.tie_embeddings = strcmp(key, "tie_embeddings") == 0;
    ModelConfigText text;
    SafetensorsText pairs[MODEL_CONFIG_KEYS];
    size_t count = 0;
    float number = 1;
    Parameter parameter = {.name = "token_embeddings.weight", .value = tensor(&number, 1)};
    model_config_text(&text, &config);
    for (size_t i = 0; i < text.count; i++) {
        SafetensorsText pair = text.pairs[i];
        if (strcmp(pair.key, key) == 0)
            pair.value = value;
        if (pair.value)
            pairs[count++] = pair;
    }
    assert_ok(checkpoint_save(
        path, &(Checkpoint){.parameters = {&parameter, 1}, .iteration = 1, .config = pairs, .config_count = count}));
    return path;
}

START_TEST(test_trained_model_errors)
{
    static const struct {
        const char *key, *value, *message;
        Status status;
    } cases[] = {
        {"norm", NULL, "no norm in the configuration: not the checkpoint of a language model", CS336_EFORMAT},
        {"d_model", NULL, "no d_model in the configuration: not the checkpoint of a language model", CS336_EFORMAT},
        {"rope_theta", NULL, "no rope_theta in the configuration: not the checkpoint of a language model",
         CS336_EFORMAT},
        {"d_ff", "-3", "d_ff is \"-3\", expected a whole number", CS336_EFORMAT},
        {"d_ff", "3x", "d_ff is \"3x\", expected a whole number", CS336_EFORMAT},
        {"norm_eps", "nan", "norm_eps is \"nan\", expected a number", CS336_EFORMAT},
        {"rope_theta", "", "rope_theta is \"\", expected a number", CS336_EFORMAT},
        {"ffn", "gelu", "ffn is \"gelu\", expected swiglu|silu", CS336_EFORMAT},
        {"tie_embeddings", "yes", "tie_embeddings is \"yes\", expected false|true", CS336_EFORMAT},
        {"num_heads", "5", "transformer_lm_check: num_heads 5 does not divide d_model 12", CS336_ESHAPE},
    };
    TrainedModel model;
    char message[2048];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = checkpoint_with(cases[i].key, cases[i].value);
        test_label("%s = %s", cases[i].key, cases[i].value ? cases[i].value : "nothing");
        const size_t before = memory_in_use();
        snprintf(message, sizeof message, "%s: %s", path, cases[i].message);
        assert_fails(trained_model_load(&model, path), cases[i].status, message);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    /* The configuration is complete, but parameters are missing. */
    const char *partial = checkpoint_with("", ""), *nowhere = temp_path("nowhere");
    assert_path_fails(trained_model_load(&model, partial), CS336_ESHAPE, partial,
                      ": array \"token_embeddings.weight\" is (1), expected (13, 12)");
    assert_path_fails(trained_model_load(&model, nowhere), CS336_EIO, nowhere,
                      ": cannot read: No such file or directory");
}
END_TEST

START_TEST(test_configuration_comes_back_to_the_bit)
{
    TransformerLMConfig config = tiny_lm_config(0), read = {0};
    ModelConfigText text;
    float number = 1;
    Parameter parameter = {.name = "weight", .value = tensor(&number, 1)};
    const char *path = temp_path("bits.safetensors");
    config.tie_embeddings = true;
    config.rope_theta = nextafterf(10000, 20000);
    config.norm_eps = nextafterf(1e-5F, 1);
    model_config_text(&text, &config);
    assert_ok(checkpoint_save(
        path, &(Checkpoint){.parameters = {&parameter, 1}, .config = text.pairs, .config_count = text.count}));
    CheckpointFile file;
    assert_ok(checkpoint_open(&file, path));
    assert_ok(model_config_read(&read, &file));
    checkpoint_close(&file);
    ck_assert_float_eq(read.rope_theta, config.rope_theta);
    ck_assert_float_eq(read.norm_eps, config.norm_eps);
    assert_same_config(&read, &config);
}
END_TEST

static Status load_model(void *context)
{
    TrainedModel model;
    const Status s = trained_model_load(&model, context);
    trained_model_deinit(&model);
    return s;
}

START_TEST(test_trained_model_allocation_failures)
{
    const TransformerLMConfig config = tiny_lm_config(0);
    TinyLM tiny;
    tiny_lm_init(&tiny, &config, 1);
    Arena names;
    assert_ok(arena_init(&names, 1 << 16));
    ParameterList parameters;
    assert_ok(transformer_lm_parameters(&parameters, &names, &tiny.lm, NULL, NULL, NULL));
    ModelConfigText text;
    model_config_text(&text, &config);
    char path[2048];
    snprintf(path, sizeof path, "%s", temp_path("model.safetensors"));
    assert_ok(checkpoint_save(
        path, &(Checkpoint){.parameters = parameters, .config = text.pairs, .config_count = text.count}));
    assert_allocation_failures_say(load_model, path, "safetensors_open: no memory for the path *",
                                   "*/model.safetensors: no memory for a header of *[0-9] bytes",
                                   "*/model.safetensors: no memory for 31 arrays",
                                   "arena_init: no memory for *[0-9] bytes");
    arena_deinit(&names);
    tiny_lm_deinit(&tiny);
}
END_TEST

const TestCase trained_model_tests[] = {
    TEST(test_trained_model_errors, "training_together"),
    TEST(test_configuration_comes_back_to_the_bit, "training_together"),
    TEST(test_trained_model_allocation_failures, "training_together"),
    {0},
};

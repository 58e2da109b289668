#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_lm.h"
#include "tests/support/tiny_training.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"
#include "train/trainer_checkpoint.h"

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
        {"num_heads", "5", "num_heads 5 does not divide d_model 12", CS336_ESHAPE},
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

/* ---- weights for another run ---- */

/* Makes a checkpoint after some steps. Returns its path. */
static const char *make_base(const TrainerConfig *config)
{
    TrainerConfig base = *config;
    base.steps = base.schedule.decay_steps = 3;
    assert_ok(tiny_training_run("base", &base, RUN_OVERWRITE, NULL));
    return temp_path("base/checkpoint.safetensors");
}

/* Another batch, seed, context and learning rate: the weights are those of the checkpoint, all else is that of a run
   that begins. */
START_TEST(test_weights_of_another_run)
{
    const TrainerConfig config = tiny_training_config();
    TrainerConfig other = config;
    const char *path = make_base(&config);
    other.batch_size = 2;
    other.seed = 8;
    other.model.context_length = 11;
    other.model.dtype = DTYPE_BF16;
    TinyTraining tuned, fresh;
    TrainedModel base;
    assert_ok(trained_model_load(&base, path));
    assert_ok(tiny_training_init(&tuned, &other));
    assert_ok(tiny_training_init(&fresh, &other));
    assert_ok(trainer_load_weights(&tuned.trainer, path));
    ck_assert_uint_eq(tuned.trainer.step, 0);
    ck_assert_uint_eq(tuned.trainer.batches.seed, fresh.trainer.batches.seed);
    ck_assert_uint_eq(tuned.trainer.batches.counter, fresh.trainer.batches.counter);
    ck_assert_uint_eq(tuned.trainer.lm.config.context_length, 11);
    ck_assert_mem_eq(tuned.trainer.lm.layers[2].ffn.w2.weight.data, base.lm.layers[2].ffn.w2.weight.data,
                     tensor_count(base.lm.layers[2].ffn.w2.weight) * sizeof(float));
    ck_assert_float_ne(tuned.trainer.lm.layers[2].ffn.w2.weight.data[0],
                       fresh.trainer.lm.layers[2].ffn.w2.weight.data[0]);
    Arena names;
    ParameterList list;
    assert_ok(arena_init(&names, 1 << 16));
    assert_ok(transformer_lm_parameters(&list, &names, &base.lm, NULL, NULL, NULL));
    for (size_t i = 0; i < list.count; i++) {
        const Parameter *p = &tuned.trainer.parameters.items[i];
        assert_allclose_tensor(p->name, p->value, list.items[i].value, 0, 0);
        assert_allclose_tensor(p->name, p->first_moment, filled_like(0, p->value), 0, 0);
        assert_allclose_tensor(p->name, p->second_moment, filled_like(0, p->value), 0, 0);
    }
    arena_deinit(&names);
    trained_model_deinit(&base);
    tiny_training_deinit(&tuned);
    tiny_training_deinit(&fresh);
}
END_TEST

START_TEST(test_weights_of_another_model)
{
    const TrainerConfig config = tiny_training_config();
    char path[2048];
    snprintf(path, sizeof path, "%s", make_base(&config));
    TrainerConfig other[4] = {config, config, config, config};
    static const char *const messages[] = {": num_heads is 2, expected 3", ": rope_theta is 10000, expected 20000",
                                           ": d_ff is 20, expected 24", ": tie_embeddings is false, expected true"};
    other[0].model.num_heads = 3;
    other[1].model.rope_theta = 2e4F;
    other[2].model.d_ff = 24;
    other[3].model.tie_embeddings = true;
    for (size_t i = 0; i < 4; i++) {
        TinyTraining tiny;
        assert_ok(tiny_training_init(&tiny, &other[i]));
        const float before = tiny.trainer.lm.layers[0].ffn.w1.weight.data[0];
        assert_path_fails(trainer_load_weights(&tiny.trainer, path), CS336_EFORMAT, path, messages[i]);
        ck_assert_float_eq(tiny.trainer.lm.layers[0].ffn.w1.weight.data[0], before);
        tiny_training_deinit(&tiny);
    }
}
END_TEST

static Status load_weights(void *context)
{
    return trainer_load_weights(context, temp_path("base/checkpoint.safetensors"));
}

START_TEST(test_weights_without_memory)
{
    const TrainerConfig config = tiny_training_config();
    TinyTraining tiny;
    (void)make_base(&config);
    assert_ok(tiny_training_init(&tiny, &config));
    assert_allocation_failures_are_clean(load_weights, &tiny.trainer);
    tiny_training_deinit(&tiny);
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
    assert_allocation_failures_say(
        load_model, path, "safetensors_open: no memory for the path *",
        "*/model.safetensors: no memory for a header of *[0-9] bytes", "*/model.safetensors: no memory for 31 arrays",
        "*/model.safetensors: no memory to check 30 arrays", "arena_init: no memory for *[0-9] bytes");
    arena_deinit(&names);
    tiny_lm_deinit(&tiny);
}
END_TEST

START_TEST(test_created_model_is_saved_and_loaded)
{
    /* A checkpoint without optimizer state, as an import writes it: the same weights come back. */
    const TransformerLMConfig config = tiny_lm_config(0);
    TrainedModel model, loaded;
    assert_ok(trained_model_create(&model, &config, "other.bin"));
    for (size_t i = 0; i < model.parameters.count; i++)
        for (size_t j = 0; j < tensor_count(model.parameters.items[i].value); j++)
            model.parameters.items[i].value.data[j] = 0.001F * (float)(7 * i + j % 100);
    const char *path = temp_path("imported.safetensors");
    assert_ok(trained_model_save(path, &model));
    assert_ok(trained_model_load(&loaded, path));
    ck_assert_uint_eq(loaded.parameters.count, model.parameters.count);
    for (size_t i = 0; i < model.parameters.count; i++)
        ck_assert_mem_eq(loaded.parameters.items[i].value.data, model.parameters.items[i].value.data,
                         sizeof(float) * tensor_count(model.parameters.items[i].value));
    trained_model_deinit(&loaded);
    trained_model_deinit(&model);
}
END_TEST

const TestCase trained_model_tests[] = {
    TEST(test_trained_model_errors, "training_together"),
    TEST(test_configuration_comes_back_to_the_bit, "training_together"),
    TEST(test_weights_of_another_run, "training_together"),
    TEST(test_weights_of_another_model, "training_together"),
    TEST(test_weights_without_memory, "training_together"),
    TEST(test_trained_model_allocation_failures, "training_together"),
    TEST(test_created_model_is_saved_and_loaded, "training_together"),
    {0},
};

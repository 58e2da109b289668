/* Tests --dtype bf16: linear maps against PyTorch, the dtype of each part of a model, and training against float32. */
#include "core/parallel.h"
#include "nn/linear.h"
#include "story/story.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/bfloat16.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/kernels.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_lm.h"
#include "train/model_checkpoint.h"
#include "train/trainer_checkpoint.h"
#include "train/training_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- against PyTorch ---- */

START_TEST(test_bfloat16_definition_is_that_of_pytorch)
{
    Fixture fixture;
    fixture_open(&fixture, "bf16");
    const Tensor x = fixture_tensor(&fixture, "bits"), rounded = fixture_tensor(&fixture, "rounded");
    for (size_t i = 0; i < tensor_count(x); i++)
        ck_assert_msg(
            isnan(x.data[i]) ? isnan(bfloat16_of(x.data[i])) : bfloat16_of(x.data[i]) == (double)rounded.data[i],
            "%a is rounded to %a, PyTorch says %a", (double)x.data[i], bfloat16_of(x.data[i]), (double)rounded.data[i]);
    fixture_close(&fixture);
}
END_TEST

static void assert_fixture(Tensor actual, Fixture *fixture, const char *name)
{
    const Tensor expected = fixture_tensor(fixture, name);
    assert_allclose_tensor(name, actual, expected, 1e-5, 1e-5);
}

START_TEST(test_linear_in_bf16_agrees_with_pytorch)
{
    const Tensor x = sample("bf16.x", 0, 1, 3, 7, 37).value, grad_y = sample("bf16.grad_y", 0, 1, 3, 7, 19).value;
    const Linear linear = {.weight = sample("bf16.weight", 0, 1, 19, 37).value, .dtype = DTYPE_BF16};
    Fixture fixture;
    fixture_open(&fixture, "bf16");
    FOR_EACH_ISA (isa) {
        Linear grad = {.weight = filled(0, 19, 37)};
        test_label("%s", isa_name(isa));
        const Tensor y = filled(NAN, 3, 7, 19), grad_x = filled(NAN, 3, 7, 37);
        assert_ok(linear_forward(y, x, &linear));
        assert_ok(linear_backward(grad_x, &grad, grad_y, x, &linear));
        assert_fixture(y, &fixture, "linear.y");
        assert_fixture(grad_x, &fixture, "linear.grad_x");
        assert_fixture(grad.weight, &fixture, "linear.grad_weight");
    }
    fixture_close(&fixture);
}
END_TEST

/* ---- the parts of a model ---- */

START_TEST(test_linear_join_needs_one_dtype)
{
    const Tensor both = filled(0, 4, 3);
    const Linear a = {.weight = tensor_slice(both, 0, 0, 2), .dtype = DTYPE_BF16};
    Linear b = {.weight = tensor_slice(both, 0, 2, 2), .dtype = DTYPE_FLOAT32}, joined;
    ck_assert(!linear_join(&joined, (const Linear *[]){&a, &b}, 2));
    b.dtype = DTYPE_BF16;
    ck_assert(linear_join(&joined, (const Linear *[]){&a, &b}, 2));
    ck_assert_int_eq(joined.dtype, DTYPE_BF16);
}
END_TEST

START_TEST(test_every_linear_of_a_model_has_its_dtype)
{
    TransformerLMConfig config = tiny_lm_config(0);
    for (int dtype = DTYPE_FLOAT32; dtype <= DTYPE_BF16X3; dtype++) {
        config.dtype = (DType)dtype;
        TinyLM tiny;
        tiny_lm_init(&tiny, &config, 1);
        ck_assert_int_eq(tiny.lm.lm_head.dtype, dtype);
        for (size_t i = 0; i < config.num_layers; i++) {
            const TransformerBlock *layer = &tiny.lm.layers[i];
            const Linear maps[] = {layer->attn.q_proj, layer->attn.k_proj, layer->attn.v_proj, layer->attn.output_proj,
                                   layer->ffn.w1,      layer->ffn.w2,      layer->ffn.w3};
            for (size_t j = 0; j < sizeof maps / sizeof *maps; j++) {
                test_label("dtype %d, layer %zu, map %zu", dtype, i, j);
                ck_assert_int_eq(maps[j].dtype, dtype);
            }
        }
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* ---- training ---- */

enum { STORIES = 100, CORPUS_BYTES = 1 << 17 };

/* Writes a file of tokens, one for each byte of some stories, and returns its path. */
static const char *write_corpus(void)
{
    static uint16_t ids[CORPUS_BYTES];
    static char story[CORPUS_BYTES];
    StoryProgram program = {0};
    assert_ok(story_compile(&program, &story_grammar));
    size_t count = 0;
    for (uint64_t i = 0; i < STORIES; i++) {
        ck_assert_uint_le(count + program.longest, CORPUS_BYTES);
        const size_t length = story_write(story, NULL, &program, 3, i);
        for (size_t j = 0; j < length; j++)
            ids[count++] = (unsigned char)story[j];
    }
    const char *path = temp_path("corpus.bin");
    write_file(path, ids, count * sizeof *ids);
    story_program_deinit(&program);
    return path;
}

static TrainerConfig run_config(DType dtype, size_t steps)
{
    return (TrainerConfig){
        .model = {.vocab_size = 128,
                  .context_length = 48,
                  .d_model = 48,
                  .num_layers = 2,
                  .num_heads = 3,
                  .d_ff = 96,
                  .rope_theta = 1e4F,
                  .norm_eps = 1e-5F,
                  .dtype = dtype},
        .batch_size = 8,
        .steps = steps,
        .schedule = {.max_lr = 5e-3, .min_lr = 5e-4, .warmup_steps = steps / 20, .decay_steps = steps},
        .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
        .max_grad_norm = 1,
        .seed = 5,
        .log_every = steps,
        .val_batches = 4};
}

/* Trains in the directory and returns the last validation loss. */
static double train(const char *directory, DType dtype, size_t steps, int threads)
{
    const TrainerConfig config = run_config(dtype, steps);
    TokenFile corpus = {0};
    Trainer trainer = {0};
    RunLogEntry last;
    parallel_set_threads(threads);
    assert_ok(token_file_open(&corpus, write_corpus(), config.model.vocab_size));
    assert_ok(trainer_init(&trainer, &config, &corpus, &corpus));
    assert_ok(trainer_run(&trainer, temp_path(directory), RUN_OVERWRITE, NULL, &last));
    trainer_deinit(&trainer);
    token_file_close(&corpus);
    return last.val_loss;
}

START_TEST(test_training_in_bf16_reaches_the_loss_of_float32)
{
    const size_t steps = test_is_instrumented() ? 20 : 200;
    const double float32 = train("float32", DTYPE_FLOAT32, steps, 1);
    ck_assert_double_lt(float32, test_is_instrumented() ? 4 : 2.2); /* ln 128 = 4.85 before the first step */
    static const Isa with_and_without[] = {ISA_AVX512_BF16, ISA_AVX512, ISA_PORTABLE};
    for (size_t i = 0; i < sizeof with_and_without / sizeof *with_and_without; i++) {
        if (!isa_choose(with_and_without[i]))
            continue;
        const double bf16 = train("bf16", DTYPE_BF16, steps, 1);
        ck_assert_msg(fabs(bf16 - float32) < 0.02 && bf16 != float32, "%s: the loss is %.5f, in float32 %.5f",
                      isa_name(isa_in_use()), bf16, float32);
    }
}
END_TEST

START_TEST(test_training_in_bf16_is_the_same_for_any_number_of_threads)
{
    static const int threads[] = {1, 2, 3, 8};
    LoadedFile first, other;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        test_label("%d threads", threads[i]);
        (void)train(i ? "other" : "first", DTYPE_BF16, 2, threads[i]);
        assert_ok(file_load(&first, temp_path("first/checkpoint.safetensors")));
        assert_ok(file_load(&other, temp_path(i ? "other/checkpoint.safetensors" : "first/checkpoint.safetensors")));
        ck_assert_uint_eq(first.size, other.size);
        ck_assert_msg(memcmp(first.data, other.data, first.size) == 0, "checkpoints differ with %d threads",
                      threads[i]);
        file_unload(&first);
        file_unload(&other);
    }
}
END_TEST

START_TEST(test_run_resumes_in_its_own_dtype_only)
{
    (void)train("run", DTYPE_BF16, 2, 1);
    const TrainerConfig config = run_config(DTYPE_FLOAT32, 4);
    const char *path = temp_path("run/checkpoint.safetensors");
    TokenFile corpus = {0};
    Trainer trainer = {0};
    assert_ok(token_file_open(&corpus, write_corpus(), config.model.vocab_size));
    assert_ok(trainer_init(&trainer, &config, &corpus, &corpus));
    assert_path_fails(trainer_restore(&trainer, path), CS336_EFORMAT, path, ": dtype is bf16, expected float32");
    trainer_deinit(&trainer);
    token_file_close(&corpus);
}
END_TEST

START_TEST(test_model_trained_in_bf16_infers_in_float32)
{
    (void)train("run", DTYPE_BF16, 2, 1);
    TrainedModel model;
    assert_ok(trained_model_load(&model, temp_path("run/checkpoint.safetensors")));
    ck_assert_int_eq(model.lm.lm_head.dtype, DTYPE_FLOAT32);
    ck_assert_int_eq(model.lm.layers[1].ffn.w2.dtype, DTYPE_FLOAT32);
    trained_model_deinit(&model);
}
END_TEST

const TestCase bf16_tests[] = {
    TEST(test_bfloat16_definition_is_that_of_pytorch, "kernels"),
    TEST(test_linear_in_bf16_agrees_with_pytorch, "linear"),
    TEST(test_linear_join_needs_one_dtype, "linear"),
    TEST(test_every_linear_of_a_model_has_its_dtype, "transformer_lm"),
    TEST(test_training_in_bf16_reaches_the_loss_of_float32, "training_together"),
    TEST(test_training_in_bf16_is_the_same_for_any_number_of_threads, "training_together"),
    TEST(test_run_resumes_in_its_own_dtype_only, "training_together"),
    TEST(test_model_trained_in_bf16_infers_in_float32, "training_together"),
    {0},
};

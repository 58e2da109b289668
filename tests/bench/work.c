#define _XOPEN_SOURCE 700
#include "tests/bench/work.h"

#include "accounting/flops.h"
#include "core/memory.h"
#include "nn/functional.h"
#include "story/story.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- attention ---- */

double sdpa_operations(SdpaShape shape, bool backward)
{
    const double length = (double)shape.length;
    const double product = 2.0 * (double)(shape.batch * shape.heads) * length * (length + 1) / 2 * (double)shape.d;
    return product * (backward ? 7 : 2);
}

static Tensor numbers(SdpaShape s)
{
    return tensor(bench_numbers(s.batch * s.heads * s.length * s.d), s.batch, s.heads, s.length, s.d);
}

void sdpa_work_init(SdpaWork *work, SdpaShape s, bool backward)
{
    *work = (SdpaWork){.query = numbers(s), .key = numbers(s), .value = numbers(s), .output = numbers(s)};
    work->log_sum_exp = tensor(bench_numbers(s.batch * s.heads * s.length), s.batch, s.heads, s.length, 1);
    if (!backward)
        return;
    work->grad_output = numbers(s);
    work->grad_query = numbers(s);
    work->grad_key = numbers(s);
    work->grad_value = numbers(s);
    bench_require(arena_init(&work->memory, scaled_dot_product_attention_scratch(work->query)));
}

void sdpa_work_deinit(SdpaWork *work)
{
    Tensor *const all[] = {&work->query,       &work->key,        &work->value,    &work->output,    &work->log_sum_exp,
                           &work->grad_output, &work->grad_query, &work->grad_key, &work->grad_value};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        memory_release(all[i]->data);
    arena_deinit(&work->memory);
}

double sdpa_work_run(void *context)
{
    SdpaWork *x = context;
    const AttentionMask causal = {.kind = ATTEND_CAUSAL};
    const double start = bench_now();
    Status s = (x->bf16 ? scaled_dot_product_attention_bf16_forward : scaled_dot_product_attention_forward)(
        x->output, x->log_sum_exp, x->query, x->key, x->value, causal);
    if (!s && x->grad_output.data)
        s = (x->bf16 ? scaled_dot_product_attention_bf16_backward : scaled_dot_product_attention_backward)(
            x->grad_query, x->grad_key, x->grad_value, x->grad_output, x->output, x->log_sum_exp, x->query, x->key,
            x->value, causal, &x->memory);
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

/* ---- the training step ---- */

enum { TEXT_TOKENS = 100000 };

TransformerLMConfig bench_reference_model(DType dtype)
{
    return (TransformerLMConfig){.vocab_size = 10000,
                                 .context_length = 256,
                                 .d_model = 512,
                                 .num_layers = 4,
                                 .num_heads = 16,
                                 .d_ff = 1344,
                                 .rope_theta = 1e4f,
                                 .norm_eps = 1e-5f,
                                 .dtype = dtype};
}

TransformerLMConfig bench_gpt2_model(void)
{
    return (TransformerLMConfig){.vocab_size = 50257,
                                 .context_length = 1024,
                                 .d_model = 768,
                                 .num_layers = 12,
                                 .num_heads = 12,
                                 .d_ff = 2048, /* about 8/3 d_model: as many numbers as GPT-2's two matrices */
                                 .rope_theta = 1e4f,
                                 .norm_eps = 1e-5f};
}

double step_operations(size_t batch)
{
    const TransformerLMConfig model = bench_reference_model(DTYPE_FLOAT32);
    const AccountFlops forward = account_forward_flops(&model, batch, model.context_length);
    return 3 * (forward.total - (forward.attention_scores + forward.attention_values) / 2);
}

double step_work_run(void *context)
{
    StepWork *work = context;
    float loss;
    double grad_norm;
    const double start = bench_now();
    const Status s = trainer_step(&work->trainer, &loss, &grad_norm);
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

Status step_work_init(StepWork *work, size_t batch, DType dtype)
{
    const TransformerLMConfig model = bench_reference_model(dtype);
    return step_work_init_model(work, batch, &model);
}

Status step_work_init_model(StepWork *work, size_t batch, const TransformerLMConfig *model)
{
    const TrainerConfig config = {.model = *model,
                                  .batch_size = batch,
                                  .steps = 1000,
                                  .schedule = {.max_lr = 1e-3, .min_lr = 1e-4, .warmup_steps = 10, .decay_steps = 1000},
                                  .adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1},
                                  .max_grad_norm = 1,
                                  .log_every = 1};
    *work = (StepWork){.text = memory_allocate(TEXT_TOKENS * sizeof *work->text)};
    if (!work->text)
        return status_fail(CS336_ENOMEM, "no memory for %d tokens", TEXT_TOKENS);
    Rng rng = rng_stream(1, 0);
    for (size_t i = 0; i < TEXT_TOKENS; i++)
        work->text[i] = (int32_t)rng_below(&rng, config.model.vocab_size);
    work->tokens = token_file_view(work->text, TEXT_TOKENS, config.model.vocab_size);
    const Status s = trainer_init(&work->trainer, &config, &work->tokens, NULL);
    if (!s && isnan(step_work_run(work)))
        return status_fail(CS336_ENOMEM, "%s", bench_failure());
    return s;
}

void step_work_deinit(StepWork *work)
{
    trainer_deinit(&work->trainer);
    memory_release(work->text);
}

/* ---- the tokenizer ---- */

enum { PATH_BYTES = 400, READ_BYTES = 1 << 16 };

static const ByteString separator = {.bytes = (const uint8_t *)STORY_SEPARATOR, .length = sizeof STORY_SEPARATOR - 1};

static double bpe_train_text(const char *text, size_t vocab_size)
{
    const BPETrainConfig config = {.vocab_size = vocab_size, .special_tokens = &separator, .special_count = 1};
    BPEModel model;
    const double start = bench_now();
    const Status s = bpe_train_files(&model, NULL, &text, 1, &config);
    const double seconds = bench_now() - start;
    bpe_model_deinit(&model);
    return s ? bench_failed("%s", status_message()) : seconds;
}

static Status count_ids(void *context, const int32_t *ids, size_t count)
{
    (void)ids;
    *(size_t *)context += count;
    return CS336_OK;
}

static Status encode_stream(Encoder *encoder, FILE *text)
{
    static uint8_t bytes[READ_BYTES];
    Status s = CS336_OK;
    for (size_t read; !s && (read = fread(bytes, 1, sizeof bytes, text)) > 0;)
        s = encoder_feed(encoder, bytes, read);
    if (!s && ferror(text))
        s = status_fail(CS336_EIO, "the text cannot be read");
    return s ? s : encoder_finish(encoder);
}

/* Encodes the file as a stream with one thread, so the text is never in memory as a whole. */
static double bpe_encode_once(const char *directory)
{
    char vocab[PATH_BYTES], merges[PATH_BYTES], path[PATH_BYTES];
    snprintf(vocab, sizeof vocab, "%s/" BPE_VOCAB, directory);
    snprintf(merges, sizeof merges, "%s/" BPE_MERGES, directory);
    snprintf(path, sizeof path, "%s/" BPE_TEXT, directory);
    Tokenizer *tokenizer;
    Encoder *encoder = NULL;
    size_t count = 0;
    Status s = tokenizer_load(&tokenizer, vocab, merges, &separator, 1);
    FILE *text = fopen(path, "rb");
    const double start = bench_now();
    if (!s)
        s = encoder_create(&encoder, tokenizer, count_ids, &count);
    if (!s && !text)
        s = status_fail(CS336_EIO, "%s cannot be opened", path);
    if (!s)
        s = encode_stream(encoder, text);
    const double seconds = bench_now() - start;
    if (text)
        fclose(text);
    encoder_destroy(encoder);
    tokenizer_destroy(tokenizer);
    return s ? bench_failed("%s", status_message()) : seconds;
}

/* ---- in a child ---- */

BenchProcess bench_ours_in_a_child = {.name = "ours", .role = "ours"};

static double sdpa_once(SdpaShape shape, bool backward)
{
    SdpaWork work;
    sdpa_work_init(&work, shape, backward);
    const double seconds = sdpa_work_run(&work);
    sdpa_work_deinit(&work);
    return seconds;
}

static double step_once(size_t batch, TransformerLMConfig model)
{
    StepWork work;
    const Status s = step_work_init_model(&work, batch, &model);
    const double seconds = s ? bench_failed("%s", status_message()) : step_work_run(&work);
    step_work_deinit(&work);
    return seconds;
}

double ours_answer(const char *request)
{
    SdpaShape s;
    size_t batch;
    char word[16];
    int path = 0;
    if (strcmp(request, "peak") == 0)
        return (double)memory_process_peak();
    if (sscanf(request, "sdpa %15s %zu %zu %zu %zu", word, &s.batch, &s.heads, &s.length, &s.d) == 5)
        return sdpa_once(s, strcmp(word, "both") == 0);
    if (sscanf(request, "step %15s %zu", word, &batch) == 2)
        return step_once(batch, bench_reference_model(strcmp(word, "bfloat16") == 0 ? DTYPE_BF16 : DTYPE_FLOAT32));
    if (sscanf(request, "gpt2 %zu", &batch) == 1)
        return step_once(batch, bench_gpt2_model());
    if (sscanf(request, "encode %n", &path) == 0 && path > 0)
        return bpe_encode_once(request + path);
    if (sscanf(request, "first %n", &path) == 0 && path > 0)
        return encode_first_pass(request + path);
    if (sscanf(request, "train %zu %n", &batch, &path) == 1 && path > 0)
        return bpe_train_text(request + path, batch);
    return bench_failed("unknown request");
}

/*
 * Generates one text with a model of the size that is usual for llama2.c, beside llama2.c; and 16 texts together,
 * beside the same texts one after the other.
 */
#include "generate/batch.h"
#include "generate/decode.h"
#include "tests/bench/bench.h"
#include "tests/bench/llama2.h"

#include <math.h>

/* Each token reads 116 MB: the layers, and 32 000 rows for the logits. */
static const TransformerLMConfig sizes = {.vocab_size = 32000,
                                          .context_length = 256,
                                          .d_model = 512,
                                          .num_layers = 4,
                                          .num_heads = 8,
                                          .d_ff = 1376,
                                          .rope_theta = 1e4f,
                                          .norm_eps = 1e-5f};

typedef struct {
    TransformerLM lm;
    Arena memory;
    Decoder decoder;
    double first; /* seconds of the clock when the first token came; NAN before it */
} Generation;

static Status bind(Generation *x, Arena *arena)
{
    const Status s = transformer_lm_bind(&x->lm, arena, &sizes);
    return s ? s : transformer_lm_bind_rope(&x->lm, arena);
}

static void generation_init(Generation *x)
{
    Arena measure = {0};
    Rng rng = rng_seeded(1);
    *x = (Generation){.first = NAN};
    bench_require(bind(x, &measure));
    bench_require(arena_init(&x->memory, measure.peak));
    bench_require(bind(x, &x->memory));
    transformer_lm_initialise(&x->lm, &rng);
    bench_require(decoder_init(&x->decoder, &x->lm, true));
}

static void generation_deinit(Generation *x)
{
    decoder_deinit(&x->decoder);
    arena_deinit(&x->memory);
}

static Status receive(void *context, int32_t token)
{
    Generation *x = context;
    (void)token;
    if (isnan(x->first))
        x->first = bench_now();
    return CS336_OK;
}

/* Generates greedily to the end of the context. As llama2.c does, it times the tokens after the first one. */
static double run(void *context)
{
    Generation *x = context;
    const int32_t prompt = 1;
    const GenerateConfig config = {
        .max_tokens = sizes.context_length, .stop_token = -1, .sample = {.temperature = 0, .top_p = 1}};
    Rng rng = rng_seeded(1);
    decoder_reset(&x->decoder);
    x->first = NAN;
    const Status s = generate(NULL, &x->decoder, &prompt, 1, &config, &rng, (TokenReceiver){receive, x});
    return s ? bench_failed("%s", status_message()) : bench_now() - x->first;
}

/* ---- several texts together ---- */

enum { TEXTS = DECODER_TOGETHER, LENGTH = 64 /* tokens of each text */ };

static Status receive_drawn(void *context, const DrawnToken *token, bool *end)
{
    (void)context, (void)token, (void)end;
    return CS336_OK;
}

/* Generates so many texts of LENGTH tokens. Returns the seconds. */
static double run_texts(const TransformerLM *lm, size_t count)
{
    static const int32_t prompt[] = {1, 2, 3, 4};
    const GenerateConfig config = {
        .max_tokens = LENGTH, .stop_token = -1, .sample = {.temperature = 0.8, .top_p = 0.95}};
    GenerateText texts[TEXTS];
    for (size_t i = 0; i < count; i++)
        texts[i] = (GenerateText){
            .prompt = prompt, .prompt_length = 4, .rng = rng_stream(1, i), .receiver.token = receive_drawn};
    const double start = bench_now();
    const Status s = generate_all(texts, count, lm, &config);
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

static double run_together(void *context)
{
    return run_texts(context, TEXTS);
}

/* One text, times the number of texts. */
static double run_one_after_the_other(void *context)
{
    return TEXTS * run_texts(context, 1);
}

static void bench_together(const char *name, const TransformerLMConfig *config)
{
    TransformerLM *lm;
    if (!bench_selected(name))
        return;
    bench_require(transformer_lm_create(&lm, config, 1));
    bench_row(&(BenchRow){.name = name,
                          .unit = "tokens/s",
                          .scale = TEXTS * LENGTH,
                          .rate = true,
                          .rounds = 8,
                          .ours = {.run = run_together, .context = lm},
                          .peers = {{"one after the other", run_one_after_the_other, lm}}});
    transformer_lm_destroy(lm);
}

static void bench_one(void)
{
    const char *name = "generate float32 dim 512, 4 layers, 32000 tokens";
    if (!bench_selected(name))
        return;
    const double tokens = (double)sizes.context_length - 1;
    const size_t not_read = sizes.vocab_size * sizes.d_model; /* a token reads only one row of the embedding */
    Generation x;
    Llama2 llama2;
    generation_init(&x);
    llama2_init(&llama2, &sizes);
    bench_row(
        &(BenchRow){.name = name,
                    .unit = "tokens/s",
                    .scale = tokens,
                    .rate = true,
                    .rounds = 30, /* on a shared machine the memory's speed changes by the second */
                    .ours = {.run = run, .context = &x},
                    .peers = {{"llama2.c", llama2_generate, &llama2}},
                    .limit = BENCH_BANDWIDTH,
                    .passes = tokens,
                    .amount = tokens * sizeof(float) * (double)(transformer_lm_parameter_count(&sizes) - not_read)});
    llama2_deinit(&llama2);
    generation_deinit(&x);
}

void bench_generate(void)
{
    /* The experiments' reference model (docs/experiments), but for its context length; and a narrower one. */
    TransformerLMConfig reference = sizes, demo = sizes;
    reference.vocab_size = 2048;
    reference.d_model = 96;
    reference.num_heads = 4;
    reference.d_ff = 256;
    demo.vocab_size = 1024;
    demo.d_model = 64;
    demo.num_heads = 4;
    demo.d_ff = 192;
    bench_one();
    bench_together("generate float32 16 texts, dim 512, 32000 tokens", &sizes);
    bench_together("generate float32 16 texts, dim 96, 2048 tokens", &reference);
    bench_together("generate float32 16 texts, dim 64, 1024 tokens", &demo);
}

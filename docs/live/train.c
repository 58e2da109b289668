/* The training page: a small Transformer is trained, writes, and shows where its heads look. */
#include "tokenizer.h"

#include "accounting/flops.h"
#include "core/memory.h"
#include "generate/decode.h"
#include "inspect/attention_weights.h"
#include "inspect/next_tokens.h"
#include "inspect/token_label.h"
#include "nn/transformer_lm.h"
#include "story/story.h"
#include "train/trainer.h"

#include <string.h>

enum {
    MIN_WINDOWS = 8, /* a text has at least this many times the context's tokens: some to train on, some to validate */
    VAL_BATCHES = 8  /* in a validation; a batch of forward passes takes a third of the time of a step */
};

/* The run of the page. */
static struct {
    int32_t *ids;         /* the text */
    TokenFile train, val; /* views of ids */
    Trainer trainer;      /* zeroed: nothing was started */
} run;

/* model (6): vocabulary, context length, d_model, layers, heads, d_ff. All else is as in the course. */
static TransformerLMConfig model_of(const int32_t *model)
{
    return (TransformerLMConfig){.vocab_size = (size_t)model[0],
                                 .context_length = (size_t)model[1],
                                 .d_model = (size_t)model[2],
                                 .num_layers = (size_t)model[3],
                                 .num_heads = (size_t)model[4],
                                 .d_ff = (size_t)model[5],
                                 .rope_theta = 10000,
                                 .norm_eps = 1e-5F,
                                 .norm = NORM_PRE,
                                 .position = POSITION_ROPE,
                                 .ffn = FFN_SWIGLU};
}

/* ---- before the run ---- */

/* The fewest tokens of a text for a model. */
static size_t fewest_tokens(const TransformerLMConfig *model)
{
    return MIN_WINDOWS * model->context_length;
}

/* sizes (4): parameters, FLOPs of the products of a step, FLOPs of its AdamW, the fewest tokens of a text. */
LIVE live_train_size(double *sizes, const int32_t *model, int batch)
{
    const TransformerLMConfig config = model_of(model);
    const Status s = transformer_lm_check(&config);
    if (s)
        return s;
    const size_t parameters = transformer_lm_parameter_count(&config);
    sizes[0] = (double)parameters;
    sizes[1] = account_training_flops(&config, (size_t)batch, config.context_length);
    sizes[2] = account_adamw_flops((double)parameters);
    sizes[3] = (double)fewest_tokens(&config);
    return CS336_OK;
}

/* nats (1): the entropy of the stories, in nats per byte. No model can have a lower mean loss on them. */
LIVE live_train_floor(double *nats)
{
    StoryProgram program = {0};
    const Status s = story_compile(&program, &story_grammar);
    if (!s) {
        const StoryExpectation story = story_expectation(&program);
        *nats = story.nats / (story.bytes + (double)strlen(STORY_END));
    }
    story_program_deinit(&program);
    return s;
}

/* ---- the run ---- */

static void end_run(void)
{
    trainer_deinit(&run.trainer);
    memory_release(run.ids);
    run.ids = NULL;
}

/* Keeps a copy of the ids. The last tenth, or at least two windows, is for validation. */
static Status take_text(const int32_t *ids, size_t count, const TransformerLMConfig *model)
{
    const size_t context = model->context_length, needed = fewest_tokens(model);
    if (count < needed)
        return status_fail(CS336_ERANGE,
                           "the text has %zu tokens, expected at least %zu for a context of %zu; take a longer text, a "
                           "smaller model or a smaller vocabulary",
                           count, needed, context);
    run.ids = memory_allocate(count * sizeof *ids);
    if (!run.ids)
        return status_fail(CS336_ENOMEM, "live_train_start: no memory for %zu tokens", count);
    memcpy(run.ids, ids, count * sizeof *ids);
    const size_t val = count / 10 > 2 * context ? count / 10 : 2 * context;
    run.train = token_file_view(run.ids, count - val, model->vocab_size);
    run.val = token_file_view(run.ids + count - val, val, model->vocab_size);
    return CS336_OK;
}

/* Begins a run in place of the one before, with the settings that `cs336 train` has by default. */
LIVE live_train_start(const int32_t *ids, int count, const int32_t *model, int batch, int steps, double lr, int seed)
{
    const TrainerConfig config = {
        .model = model_of(model),
        .batch_size = (size_t)batch,
        .steps = (size_t)steps,
        .schedule = {.max_lr = lr, .min_lr = lr / 10, .warmup_steps = (size_t)steps / 20, .decay_steps = (size_t)steps},
        .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
        .max_grad_norm = 1,
        .seed = (uint64_t)seed,
        .log_every = 1,
        .val_batches = VAL_BATCHES};
    end_run();
    Status s = take_text(ids, (size_t)count, &config.model);
    if (!s)
        s = trainer_init(&run.trainer, &config, &run.train, &run.val);
    if (s)
        end_run();
    return s;
}

static Status check_started(const char *function)
{
    return run.ids ? CS336_OK : status_fail(CS336_ERANGE, "%s: no run, expected live_train_start() before", function);
}

/* Does `count` steps. losses (count): the loss of each batch. */
LIVE live_train_steps(float *losses, int count)
{
    Status s = check_started(__func__);
    for (int i = 0; !s && i < count; i++) {
        double grad_norm;
        s = trainer_step(&run.trainer, &losses[i], &grad_norm);
    }
    return s;
}

/* loss (1): the mean loss over the validation windows. */
LIVE live_train_validate(double *loss)
{
    const Status s = check_started(__func__);
    return s ? s : trainer_validate(&run.trainer, loss, NULL);
}

/* ---- what the model can do ---- */

static Status append_token(void *list, int32_t token)
{
    return token_list_append(list, &token, 1);
}

/*
 * Continues a prompt. out (max): the tokens; count (1): how many. `stop` is the token that ends a text, or -1. The
 * samples do not change the run: they have random numbers of their own.
 */
LIVE live_train_sample(int32_t *out, int32_t *count, int max, const int32_t *prompt, int prompt_count, int stop,
                       double temperature, double top_p, int seed)
{
    const GenerateConfig config = {
        .max_tokens = (size_t)max, .stop_token = stop, .sample = {.temperature = temperature, .top_p = top_p}};
    Rng rng = rng_seeded((uint64_t)seed);
    Decoder decoder = {0};
    TokenList list = {0};
    Status s = check_started(__func__);
    if (!s)
        s = decoder_init(&decoder, &run.trainer.lm, true);
    if (!s)
        s = generate(NULL, &decoder, prompt, (size_t)prompt_count, &config, &rng,
                     (TokenReceiver){.token = append_token, .context = &list});
    if (!s) {
        if (list.count)
            memcpy(out, list.ids, list.count * sizeof *out);
        *count = (int32_t)list.count;
    }
    decoder_deinit(&decoder);
    token_list_deinit(&list);
    return s;
}

/*
 * Computes the attention weights of all heads. weights (layers, heads, count, count); next, probabilities (wanted): the
 * likeliest tokens that follow, of at most 16 wanted.
 */
LIVE live_train_attention(float *weights, int32_t *next, double *probabilities, int wanted, const int32_t *ids,
                          int count)
{
    SampleCandidate likeliest[16];
    const TransformerLM *lm = &run.trainer.lm;
    const TransformerLMConfig *c = &lm->config;
    const size_t seq = (size_t)count, room = sizeof likeliest / sizeof *likeliest;
    size_t found = (size_t)wanted < room ? (size_t)wanted : room;
    Status s = check_started(__func__);
    if (!s && seq > c->context_length)
        s = status_fail(CS336_ESHAPE, "%s: %d tokens, expected at most %zu", __func__, count, c->context_length);
    if (s)
        return s;
    Arena scratch = {0};
    arena_tensor(&scratch, c->vocab_size);
    arena_expect(&scratch, attention_weights_scratch(lm, seq));
    arena_expect(&scratch, sample_scratch(c->vocab_size));
    s = arena_init(&scratch, scratch.peak);
    const Tensor logits = arena_tensor(&scratch, c->vocab_size);
    if (!s)
        s = attention_weights(tensor(weights, c->num_layers, c->num_heads, seq, seq), logits, lm, tokens(ids, seq),
                              &scratch);
    if (!s)
        s = next_tokens(likeliest, &found, logits, &scratch);
    for (size_t i = 0; !s && i < found; i++) {
        next[i] = likeliest[i].token;
        probabilities[i] = likeliest[i].probability;
    }
    arena_deinit(&scratch);
    return s;
}

/* Gives the labels of tokens, as the attention viewer shows them. ends (count): where the label of each ends in text.
 */
LIVE live_train_labels(int slot, const int32_t *ids, int count, uint8_t *text, int capacity, int32_t *ends)
{
    const Tokenizer *tokenizer;
    ByteList list = {0};
    Status s = live_tokenizer(&tokenizer, slot);
    for (int i = 0; !s && i < count; i++) {
        s = token_label(&list, tokenizer_token(tokenizer, ids[i]));
        ends[i] = (int32_t)list.length;
    }
    if (!s && list.length > (size_t)capacity)
        s = status_fail(CS336_ERANGE, "the figure has room for %d bytes, expected %zu", capacity, list.length);
    if (!s && list.length)
        memcpy(text, list.bytes, list.length);
    byte_list_deinit(&list);
    return s;
}

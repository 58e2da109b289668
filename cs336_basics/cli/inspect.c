/* cs336 inspect has two forms: --output writes the attention viewer (inspect_page.c), --shapes prints a table here. */
#include "cli/inspect.h"

#include "cli/commands.h"
#include "cli/model_options.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "inspect/trace.h"
#include "tokenizer/encode/encoder.h"

#include <math.h>
#include <stdio.h>

static int parse(InspectOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("checkpoint", &o->checkpoint, "FILE", OPTION_REQUIRED, "the model, from cs336 train"),
        OPTION_TEXT("prompt", &o->prompt, "TEXT", OPTION_UNSHOWN, "text that the model reads"),
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_THREADS(&o->threads),
        OPTION_HEADING("Attention viewer"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_UNSHOWN,
                    "page to write, one file that needs no network; - is standard output"),
        OPTION_HEADING("Shapes"),
        OPTION_FLAG("shapes", &o->shapes,
                    "prints each operation with shapes, parameters, FLOPs and the size of its output"),
        OPTION_SIZE_UNSHOWN("batch-size", &o->batch_size, "N", 1,
                            "sequences of random ids, without --prompt (default: 1)"),
        OPTION_SIZE_UNSHOWN("context-length", &o->context_length, "N", 1,
                            "ids of each sequence, at most the model's context length, which is the default"),
        OPTION_SEED(&o->seed, "seed of the random ids"),
    };
    const OptionTable table = OPTION_TABLE(
        "inspect",
        "Shows a trained model at work on a prompt: with --output, where each head looks, as a page for a browser; "
        "with --shapes, a batch's way through the model.",
        options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (o->shapes == (o->output != NULL))
        return options_bad_usage(&table, "expected either --output FILE or --shapes");
    if (o->output && !o->prompt)
        return options_bad_usage(&table, "--prompt TEXT is missing");
    if (o->output && (o->batch_size || o->context_length))
        return options_bad_usage(&table, "--batch-size and --context-length belong to --shapes");
    if (o->prompt && (o->batch_size || o->context_length))
        return options_bad_usage(&table, "--prompt gives the ids, so it excludes --batch-size and --context-length");
    return o->prompt ? tokenizer_options_check(&table, &o->tokenizer) : done;
}

/* ---- the prompt ---- */

Status inspect_encode(InspectPrompt *prompt, const InspectOptions *o, const TransformerLMConfig *config)
{
    *prompt = (InspectPrompt){.tokenizer = NULL};
    Status s = tokenizer_options_load_for(&prompt->tokenizer, &o->tokenizer);
    if (!s)
        s = tokenizer_options_encode(&prompt->tokenizer->model, &o->tokenizer, TOKENIZER_THAT_ENCODES);
    if (!s)
        tokenizer_options_notes(&prompt->tokenizer->model, tokenizer_options_path(&o->tokenizer));
    if (!s)
        s = tokenizer_options_fit(prompt->tokenizer, &o->tokenizer, config->vocab_size, o->checkpoint);
    if (!s)
        s = tokenizer_encode(prompt->tokenizer, &prompt->all, byte_string(o->prompt));
    if (!s && prompt->all.count == 0)
        s = status_fail(CS336_ERANGE, "--prompt is empty, expected a text of at least one token");
    if (s)
        return s;
    prompt->count = prompt->all.count < config->context_length ? prompt->all.count : config->context_length;
    prompt->ids = prompt->all.ids + (prompt->all.count - prompt->count);
    return CS336_OK;
}

void inspect_prompt_deinit(InspectPrompt *prompt)
{
    token_list_deinit(&prompt->all);
    tokenizer_destroy(prompt->tokenizer);
    *prompt = (InspectPrompt){.tokenizer = NULL};
}

void inspect_prompt_text(char *text, size_t size, const InspectPrompt *prompt)
{
    if (prompt->count == prompt->all.count)
        snprintf(text, size, "The prompt has %zu token%s.", prompt->count, plural(prompt->count));
    else
        snprintf(text, size, "The prompt has %zu tokens; the model sees the last %zu, its context length.",
                 prompt->all.count, prompt->count);
}

/* ---- shapes ---- */

/* Prints the line of an operation, and a heading before the first one of a layer. */
static void print_step(const TraceStep *step, const TraceStep *before)
{
    char shapes[96];
    if (step->layer != SIZE_MAX && (!before || before->layer != step->layer))
        printf("block %zu\n", step->layer);
    snprintf(shapes, sizeof shapes, "%s -> %s", tensor_shape_text(step->input),
             step->output.rank ? tensor_shape_text(step->output) : "()");
    printf("%s%-*s %-38s %11s %9s  %.6g%s\n", step->layer == SIZE_MAX ? "" : "  ", step->layer == SIZE_MAX ? 25 : 23,
           step->name, shapes, step->parameters ? count_text((double)step->parameters) : "-",
           step->flops > 0 ? count_text(step->flops) : "-", step->rms, step->output.rank ? "" : " nats");
}

static void print_steps(const TraceStep *steps, size_t count)
{
    size_t parameters = 0;
    double flops = 0;
    printf("\n%-25s %-38s %11s %9s  RMS of output\n", "operation", "input -> output", "parameters", "FLOPs");
    for (size_t i = 0; i < count; i++) {
        print_step(&steps[i], i ? &steps[i - 1] : NULL);
        parameters += steps[i].parameters;
        flops += steps[i].flops;
    }
    printf("%-64s %11s %9s\n", "total", count_text((double)parameters), count_text(flops));
    printf("\n%zu parameters and %.0f FLOPs, as cs336 account counts them: only matrix products have FLOPs,\nand "
           "attention counts all pairs of tokens.\n",
           parameters, flops);
}

/* Runs the model and prints the table. */
static Status print_trace(const TransformerLM *lm, TokenTensor ids, TokenTensor targets)
{
    const size_t count = trace_count(&lm->config, targets.data != NULL);
    Arena measure = {0}, memory = {0};
    arena_take(&measure, count * sizeof(TraceStep));
    arena_expect(&measure, trace_scratch(lm, ids.shape[0], ids.shape[1]));
    Status s = arena_init(&memory, measure.peak);
    TraceStep *steps = s ? NULL : arena_take(&memory, count * sizeof *steps);
    if (!s)
        s = trace_run(steps, lm, ids, targets, &memory);
    if (!s)
        print_steps(steps, count);
    arena_deinit(&memory);
    return s;
}

/* All tokens of the prompt but the last have a known next token, so they have a loss. */
static Status print_prompt_shapes(const InspectOptions *o, const TransformerLM *lm)
{
    char text[128];
    InspectPrompt prompt;
    Status s = inspect_encode(&prompt, o, &lm->config);
    if (!s) {
        inspect_prompt_text(text, sizeof text, &prompt);
        puts(text);
        const TokenTensor none = {0};
        s = print_trace(lm, tokens(prompt.ids, 1, prompt.count),
                        prompt.count > 1 ? tokens(prompt.ids + 1, 1, prompt.count - 1) : none);
    }
    inspect_prompt_deinit(&prompt);
    return s;
}

static Status print_random_shapes(const InspectOptions *o, const TransformerLM *lm)
{
    const size_t batch = o->batch_size ? o->batch_size : 1,
                 seq = o->context_length ? o->context_length : lm->config.context_length;
    if (seq > lm->config.context_length)
        return status_fail(CS336_ERANGE, "--context-length: %zu is too large, expected at most the %zu of %s", seq,
                           lm->config.context_length, o->checkpoint);
    /* The activations are larger than the ids, so they decide whether the batch fits. */
    const size_t needed = trace_scratch(lm, batch, seq), machine = memory_machine();
    if (machine && needed > machine)
        return status_fail(CS336_ENOMEM, "--batch-size: %zu needs %.4g GB of memory, this machine has %.4g GB", batch,
                           (double)needed / 1e9, (double)machine / 1e9);
    int32_t *ids = memory_allocate(memory_product(2 * batch, memory_product(seq, sizeof *ids)));
    if (!ids)
        return status_fail(CS336_ENOMEM, "no memory for %zu sequences of %zu ids", batch, seq);
    Rng rng = rng_seeded(o->seed);
    for (size_t i = 0; i < 2 * batch * seq; i++)
        ids[i] = (int32_t)rng_below(&rng, lm->config.vocab_size);
    printf("The batch has %zu sequence%s of %zu random ids, and random targets.\n", batch, plural(batch), seq);
    const Status s = print_trace(lm, tokens(ids, batch, seq), tokens(ids + batch * seq, batch, seq));
    if (!s)
        printf("\nThe targets are random, so no model can know them: an even guess has a loss of ln %zu = %.4f nats, "
               "and a\n"
               "trained model, which is surer, a higher one. --prompt TEXT gives the loss of a text.\n",
               lm->config.vocab_size, log((double)lm->config.vocab_size));
    memory_release(ids);
    return s;
}

static Status print_shapes(const InspectOptions *o, const TransformerLM *lm)
{
    model_config_print("", 0, &lm->config);
    return o->prompt ? print_prompt_shapes(o, lm) : print_random_shapes(o, lm);
}

int command_inspect(int argc, char **argv)
{
    static InspectOptions o; /* static: large and zeroed */
    o.seed = 1;
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    parallel_set_threads((int)o.threads);
    TrainedModel model = {0};
    Status s = command_needs_file(o.checkpoint, "cs336 train");
    if (!s && o.output)
        s = inspect_page_check(&o);
    if (!s)
        s = trained_model_load(&model, o.checkpoint);
    if (!s)
        s = o.shapes ? print_shapes(&o, &model.lm) : inspect_page(&o, &model);
    trained_model_deinit(&model);
    parallel_release();
    return s ? command_failed("inspect") : EXIT_OK;
}

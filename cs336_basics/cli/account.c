#include "accounting/flops.h"
#include "accounting/memory.h"
#include "accounting/parameters.h"
#include "accounting/preset.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "core/memory.h"
#include "core/plural.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *preset;
    ModelOptions model;
    size_t batch_size, grad_accum, steps, ranks;
    bool shard_optimizer;
    double peak_tflops, mfu, memory_gb;
    double tokens_per_second; /* measured; 0 if not given */
} AccountOptions;

static int parse(AccountOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_HEADING("Preset"),
        OPTION_TEXT("preset", &o->preset, "NAME", OPTION_UNSHOWN,
                    "gpt2-small, gpt2-medium, gpt2-large or gpt2-xl; model options below change it"),
        MODEL_OPTION_LINES(o->model),
        OPTION_HEADING("Run"),
        OPTION_SIZE("batch-size", &o->batch_size, "N", 1, "sequences per step"),
        OPTION_SIZE("grad-accum", &o->grad_accum, "N", 1,
                    "pieces in which a step computes its batch, one after the other; divides --batch-size"),
        OPTION_SIZE("ranks", &o->ranks, "N", 1,
                    "processes that mpirun starts; they share the batch, and the memory is that of one of them"),
        OPTION_FLAG("shard-optimizer", &o->shard_optimizer, "each rank keeps an N-th of AdamW's moments (ZeRO-1)"),
        OPTION_SIZE("steps", &o->steps, "N", 1, "steps of training"),
        OPTION_NUMBER("peak-tflops", &o->peak_tflops, "X", 1e-6, 1e9, "peak of the machine in 10^12 FLOP/s"),
        OPTION_NUMBER("mfu", &o->mfu, "X", 1e-6, 1, "fraction of the peak that training reaches"),
        OPTION_NUMBER("tokens-per-second", &o->tokens_per_second, "X", 0, 1e12,
                      "measured speed of training, to print its MFU"),
        OPTION_NUMBER("memory-gb", &o->memory_gb, "X", 1e-6, 1e9,
                      "memory of the machine, or for each rank, in 10^9 bytes"),
    };
    const OptionTable table = OPTION_TABLE(
        "account", "Prints a model's parameters, FLOPs and memory by part, and how long training takes.", options);
    const int done = options_parse(&table, argc, argv);
    if (done == OPTIONS_PARSED && o->batch_size % o->ranks != 0)
        return options_bad_usage(&table, "--ranks: %zu does not divide --batch-size %zu", o->ranks, o->batch_size);
    if (done == OPTIONS_PARSED && o->batch_size / o->ranks % o->grad_accum != 0)
        return options_bad_usage(&table, "--grad-accum: %zu does not divide --batch-size %zu%s", o->grad_accum,
                                 o->batch_size / o->ranks, o->ranks > 1 ? ", each rank's part of the batch" : "");
    if (done != OPTIONS_PARSED || !o->preset)
        return done;
    /* The preset replaces the model. Then parse again, so that the other options change the preset. */
    for (size_t i = 0; account_preset_names[i]; i++) {
        if (strcmp(account_preset_names[i], o->preset) != 0)
            continue;
        const TransformerLMConfig preset = account_preset(i);
        model_options_set(&o->model, &preset);
        return options_parse(&table, argc, argv);
    }
    return options_bad_usage(&table, "--preset: \"%s\" is not one of gpt2-small, gpt2-medium, gpt2-large, gpt2-xl",
                             o->preset);
}

/* Prints a count and its percentage of the total. */
static void print_share(const char *name, double count, double total)
{
    printf("  %-28s %10s %6.1f %%\n", name, count_text(count), 100 * count / total);
}

static void print_parameters(const TransformerLMConfig *config)
{
    const AccountParameters p = account_parameters(config);
    const double total = p.total, EXACT = 9007199254740992; /* 2^53: a double holds all whole numbers up to it */
    puts("\nParameters");
    print_share("token embeddings", p.token_embeddings, total);
    print_share("attention", p.attention, total);
    print_share("feed-forward", p.feed_forward, total);
    print_share("norms", p.norms, total);
    print_share(config->tie_embeddings ? "lm_head (the embeddings)" : "lm_head", p.lm_head, total);
    printf("  %-28s %10s   %.*g numbers, %s as float32\n", "total", count_text(total), total < EXACT ? 17 : 6, total,
           bytes_text(4 * total).text);
}

static void print_flops(const TransformerLMConfig *config)
{
    const size_t seq = config->context_length;
    const AccountFlops f = account_forward_flops(config, 1, seq);
    printf("\nFLOPs of the matrix products, forward, one sequence of %zu token%s\n", seq, plural(seq));
    print_share("query, key, value", f.qkv_projections, f.total);
    print_share("scores Q K^T", f.attention_scores, f.total);
    print_share("weighted values P V", f.attention_values, f.total);
    print_share("output projection", f.output_projection, f.total);
    print_share("feed-forward", f.feed_forward, f.total);
    print_share("lm_head", f.lm_head, f.total);
    printf("  %-28s %10s   %.6g\n", "total forward", count_text(f.total), f.total);
    printf("  %-28s %10s   twice the forward pass\n", "total backward", count_text(2 * f.total));
    printf("  %-28s %10s\n", "training, per token", count_text(3 * f.total / (double)seq));
}

static Status print_memory(const TransformerLMConfig *config, const AccountOptions *o)
{
    /* Only the activations of one piece of the batch exist at a time. */
    const size_t seq = config->context_length, pieces = o->grad_accum, part = o->batch_size / o->ranks;
    const size_t piece = part / pieces;
    AccountMemory e = account_memory_expression(config, piece, seq), m;
    Status s = account_memory_measured(&m, config, piece, seq, pieces == 1);
    if (s)
        return s;
    /* What a rank needs more than one process, or less, is as much more or less room for its batch. */
    const double e_before = e.total, m_before = m.total, room = 1e9 * o->memory_gb;
    const AccountRanks ranks = {.count = o->ranks,
                                .on_host = o->ranks,
                                .tokens = memory_product(piece, seq),
                                .shard_optimizer = o->shard_optimizer};
    account_memory_of_rank(&e, config, &ranks);
    account_memory_of_rank(&m, config, &ranks);
    e.total -= e.exchange; /* of this program */
    const size_t e_largest = account_largest_batch(config, seq, room + e_before - e.total);
    size_t largest = 0;
    s = account_largest_batch_measured(&largest, config, seq, room + m_before - m.total, pieces == 1);
    if (s)
        return s;
    /* The two columns of memory.h side by side. */
    printf("\nBytes of training with AdamW, batch %zu", o->batch_size);
    if (o->ranks > 1)
        printf(", for each of %zu ranks its %zu", o->ranks, part);
    if (pieces > 1)
        printf(" in %zu pieces of %zu", pieces, piece);
    puts("");
    printf("  %-37s %19s %15s\n", "", "course's expression", "this program");
    printf("  %-37s %19s %15s\n", "parameters", count_text(e.parameters), count_text(m.parameters));
    printf("  %-37s %19s %15s\n", "gradients", count_text(e.gradients), count_text(m.gradients));
    printf("  %-37s %19s %15s\n", "optimizer state", count_text(e.optimizer_state), count_text(m.optimizer_state));
    printf("  %-37s %19s %15s\n", "activations", count_text(e.activations), count_text(m.activations));
    if (m.shared > 0)
        printf("  %-37s %19s %14s\n", "minus what gradients share with them", "", count_text(m.shared));
    if (m.exchange > 0)
        printf("  %-37s %19s %15s\n", "gradient exchange, MPI, the program", "", count_text(m.exchange));
    printf("  %-37s %19s %15s\n", "total", count_text(e.total), count_text(m.total));
    if (!account_is_measurable(config, piece, seq))
        puts("  (too large to be measured: the second column repeats the first)");
    printf("  largest batch in %-6g GB               %19zu %15zu\n", o->memory_gb, o->ranks * pieces * e_largest,
           o->ranks * pieces * largest);
    return CS336_OK;
}

static void print_run(const TransformerLMConfig *config, const AccountOptions *o)
{
    const double tokens = (double)o->batch_size * (double)config->context_length;
    const double step = account_training_flops(config, o->batch_size, config->context_length);
    const double adamw = account_adamw_flops(account_parameters(config).total), peak = 1e12 * o->peak_tflops;
    const double hours = account_hours((double)o->steps * step, peak, o->mfu);
    printf("\nA run of %zu step%s of %zu sequence%s: %s tokens\n", o->steps, plural(o->steps), o->batch_size,
           plural(o->batch_size), count_text((double)o->steps * tokens));
    printf("  %-28s %10s FLOPs, and %s of AdamW\n", "one step", count_text(step), count_text(adamw));
    printf("  %-28s %10s FLOPs\n", "all steps", count_text((double)o->steps * step));
    printf("  at %g %% of %g TFLOP/s: %s tokens/s, %.4g hours (%.3g days)\n", 100 * o->mfu, o->peak_tflops,
           count_text(tokens * o->mfu * peak / step), hours, hours / 24);
    if (o->tokens_per_second > 0)
        printf("  at %s tokens/s: MFU %.4g %% of %g TFLOP/s\n", count_text(o->tokens_per_second),
               100 * account_mfu(step / tokens, o->tokens_per_second, peak), o->peak_tflops);
}

int command_account(int argc, char **argv)
{
    AccountOptions o = {.model = MODEL_OPTIONS_DEFAULT,
                        .batch_size = 1024,
                        .grad_accum = 1,
                        .ranks = 1,
                        .steps = 400000,
                        .peak_tflops = 495,
                        .mfu = 0.5,
                        .memory_gb = 80};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    const TransformerLMConfig config = model_options_config(&o.model);
    if (transformer_lm_check(&config))
        return command_failed("account");
    puts(o.preset ? o.preset : "Model");
    model_config_print("", 2, &config);
    print_parameters(&config);
    print_flops(&config);
    if (print_memory(&config, &o))
        return command_failed("account");
    print_run(&config, &o);
    return EXIT_OK;
}

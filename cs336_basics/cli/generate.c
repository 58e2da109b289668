#include "cli/generate.h"

#include "cli/commands.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/printable.h"
#include "tokenizer/input_texts.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <string.h>

/* Checks that the options agree. */
static int check_options(const OptionTable *table, const GenerateOptions *o)
{
    const int prompts = (o->prompt != NULL) + (o->prompt_file != NULL) + (o->prompts != NULL) + (o->prompt_ids != NULL);
    if (prompts > 1)
        return options_bad_usage(table, "give only one of --prompt, --prompt-file, --prompts and --prompt-ids");
    if (o->ids && o->logprobs)
        return options_bad_usage(table, "give only one of --ids and --logprobs");
    if (o->interactive && (prompts || o->samples > 1 || o->logprobs || o->ids))
        return options_bad_usage(table, "--interactive reads its prompts from standard input and writes one text for "
                                        "each; leave out --prompt, --prompt-file, --prompts, --prompt-ids, --samples, "
                                        "--logprobs and --ids");
    return tokenizer_options_check(table, &o->tokenizer);
}

static int parse(GenerateOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("checkpoint", &o->checkpoint, "FILE", OPTION_REQUIRED, "the model, from cs336 train"),
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("prompt", &o->prompt, "TEXT", OPTION_UNSHOWN, "text to continue (default: start a new document)"),
        OPTION_TEXT("prompt-file", &o->prompt_file, "FILE", OPTION_UNSHOWN,
                    "the same from a file, without a line feed at its end; - is standard input"),
        OPTION_TEXT("prompts", &o->prompts, "FILE", OPTION_UNSHOWN,
                    "several prompts, one on each line, which are continued together; an empty line starts a new "
                    "document; - is standard input"),
        OPTION_TEXT("prompt-ids", &o->prompt_ids, "IDS", OPTION_UNSHOWN,
                    "the prompt as token ids with blanks between them: '464 3797'"),
        OPTION_FLAG("interactive", &o->interactive,
                    "read a line, write its continuation, and so on; Ctrl-C ends a text, Ctrl-D the program"),
        OPTION_SIZE("max-tokens", &o->max_tokens, "N", 1, "largest number of tokens to generate"),
        OPTION_NUMBER("temperature", &o->sample.temperature, "X", 0, 1e6,
                      "divides the logits; 0 always takes the most probable token"),
        OPTION_SIZE("top-k", &o->sample.top_k, "N", 0,
                    "draw only from the N most probable tokens; 0: from all. --top-p then selects from these"),
        OPTION_NUMBER("top-p", &o->sample.top_p, "X", 0, 1,
                      "draw only from the most probable tokens, which together have this probability"),
        OPTION_SEED(&o->seed, "seed of the random draws"),
        OPTION_SIZE("samples", &o->samples, "N", 1, "number of texts for each prompt, which are generated together"),
        OPTION_TEXTS(
            "stop", &o->stops, "TEXT", OPTION_UNSHOWN,
            "text that ends a generated text and is not part of it, of any length; \"\" for none. Without this "
            "option, the token " TOKENIZER_DOCUMENT_END),
        OPTION_FLAG("logprobs", &o->logprobs,
                    "in place of the text, print each drawn token with the natural logarithm of its probability under "
                    "the model (at temperature 1, before --top-k and --top-p), and their sum"),
        OPTION_FLAG("ids", &o->ids, "in place of the text, print the ids of the drawn tokens, in one line"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table =
        OPTION_TABLE("generate",
                     "Continues a prompt with a trained model, token by token. A file or a pipe gets every byte of the "
                     "text. A terminal gets \\xNN for control characters, which it would obey.",
                     options);
    const int done = options_parse(&table, argc, argv);
    return done == OPTIONS_PARSED ? check_options(&table, o) : done;
}

/* Loads the tokenizer. --stop changes nothing here: "--stop a" must not change how the prompt is encoded. */
static Status load_tokenizer(Tokenizer **tokenizer, const GenerateOptions *o, size_t vocab_size)
{
    Status s = tokenizer_options_load_for(tokenizer, &o->tokenizer);
    if (!s)
        s = tokenizer_options_fit(*tokenizer, &o->tokenizer, vocab_size, o->checkpoint);
    return s;
}

/* Finds the ids of the model that have a token, and counts them. */
static Status find_drawable(bool **drawable, size_t *tokens, const Tokenizer *tokenizer, size_t vocab_size)
{
    *drawable = memory_allocate(vocab_size * sizeof **drawable);
    if (!*drawable)
        return status_fail(CS336_ENOMEM, "no memory for %zu ids", vocab_size);
    *tokens = tokenizer_find_tokens(*drawable, vocab_size, tokenizer);
    return CS336_OK;
}

/* Says what the user might not expect, when all has been checked: a note before an error would only hide it. */
static void print_notes(const GenerateOptions *o, const Tokenizer *tokenizer, size_t tokens, size_t vocab_size)
{
    const char *prompts = o->prompts ? o->prompts : o->prompt_file;
    tokenizer_options_notes(&tokenizer->model, tokenizer_options_path(&o->tokenizer));
    if (prompts && text_is_named_json_lines(prompts))
        fprintf(stderr, "cs336 generate: note: %s is read as plain text, with the JSON around its documents; %s\n",
                printable(prompts).text,
                o->prompts ? "--prompts expects a prompt alone on each line"
                           : "--prompt-file expects one prompt alone");
    if (tokens < vocab_size)
        fprintf(stderr, "cs336 generate: %s has %zu tokens, the model has %zu ids; ids without a token are not drawn\n",
                printable(tokenizer_options_path(&o->tokenizer)).text, tokens, vocab_size);
}

/*
 * Without a prompt a new document begins. In training, the token between documents stands before each of them; a
 * vocabulary with another name for it has --stop.
 */
static int32_t find_document_start(const GenerateOptions *o, const Tokenizer *tokenizer)
{
    int32_t start = tokenizer_document_end(tokenizer);
    for (size_t i = 0; start < 0 && i < o->stops.count; i++)
        if (*o->stops.items[i])
            start = tokenizer_find(tokenizer, byte_string(o->stops.items[i]));
    return start;
}

/* Prepares --stop. A special token ends a text also as a text: its bytes are generated all at once. */
static Status prepare_stops(StopTexts *stops, const GenerateOptions *o)
{
    ByteString texts[OPTION_MAX_TEXTS];
    size_t count = 0;
    for (size_t i = 0; i < o->stops.count; i++)
        if (*o->stops.items[i])
            texts[count++] = byte_string(o->stops.items[i]);
    return stop_texts_init(stops, texts, count);
}

Status generate_texts(GenerateText *texts, size_t count, const GenerateJob *job)
{
    const Status s = generate_all(texts, count, job->lm, &job->config);
    if (s != CS336_ENOMEM)
        return s;
    return status_fail(s,
                       "%s; a smaller --max-tokens needs less, and so does a model of cs336 import --context-length N",
                       status_message());
}

static Status write_samples(const GenerateJob *job, const GeneratePrompts *prompts)
{
    const GenerateOptions *o = job->options;
    const size_t count = memory_product(prompts->count, o->samples);
    GenerateWriter writer = {0};
    GenerateText *texts = memory_allocate_zeroed(count, sizeof *texts);
    Status s = CS336_OK;
    if (!texts)
        s = status_fail(CS336_ENOMEM, "no memory for %zu texts", count);
    if (!s)
        s = generate_writer_init(&writer, job, count);
    for (size_t i = 0; !s && i < count; i++) {
        /* The samples of a prompt have streams of random numbers of their own, and depend on no other text. */
        const GeneratePrompt *prompt = &prompts->items[i / o->samples];
        texts[i] = (GenerateText){.prompt = prompts->ids.ids + prompt->first,
                                  .prompt_length = prompt->count,
                                  .rng = rng_stream(o->seed, i % o->samples),
                                  .receiver = generate_writer_receiver(
                                      &writer, i, prompt->text, prompts->ids.ids[prompt->first + prompt->count - 1])};
    }
    if (!s)
        s = generate_texts(texts, count, job);
    generate_writer_deinit(&writer);
    memory_release(texts);
    return s;
}

static Status run(const GenerateOptions *o, const TransformerLM *lm, const Tokenizer *tokenizer,
                  GeneratePrompts *prompts)
{
    const int32_t end = tokenizer_document_end(tokenizer);
    GenerateJob job = {
        .options = o,
        .lm = lm,
        .tokenizer = tokenizer,
        .config = {.max_tokens = o->max_tokens, .stop_token = o->stops.count ? -1 : end, .sample = o->sample},
        .document_start = find_document_start(o, tokenizer)};
    bool *drawable;
    size_t tokens;
    Status s = find_drawable(&drawable, &tokens, tokenizer, lm->config.vocab_size);
    job.config.drawable = drawable;
    if (!s)
        s = prepare_stops(&job.stops, o);
    if (!s)
        s = o->interactive ? generate_check_interactive(&job) : generate_prompts_encode(prompts, &job);
    if (!s)
        print_notes(o, tokenizer, tokens, lm->config.vocab_size);
    if (!s)
        s = o->interactive ? generate_interactively(&job) : write_samples(&job, prompts);
    stop_texts_deinit(&job.stops);
    memory_release(drawable);
    return s;
}

int command_generate(int argc, char **argv)
{
    GenerateOptions o = {.max_tokens = 256, .seed = 1, .samples = 1, .sample = {.temperature = 0.8, .top_p = 0.95}};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    parallel_set_threads((int)o.threads);
    /* The model comes before the tokenizer: its vocabulary size decides how that is loaded. */
    TrainedModel model = {0};
    Tokenizer *tokenizer = NULL;
    GeneratePrompts prompts = {0};
    Status s = command_needs_file(o.checkpoint, "cs336 train");
    if (!s && !o.interactive)
        s = generate_prompts_read(&prompts, &o);
    if (!s)
        s = trained_model_load(&model, o.checkpoint);
    if (!s)
        s = load_tokenizer(&tokenizer, &o, model.lm.config.vocab_size);
    if (!s)
        s = run(&o, &model.lm, tokenizer, &prompts);
    generate_prompts_deinit(&prompts);
    tokenizer_destroy(tokenizer);
    trained_model_deinit(&model);
    parallel_release();
    return s ? command_failed("generate") : EXIT_OK;
}

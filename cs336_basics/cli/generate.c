#include "cli/commands.h"
#include "cli/options.h"
#include "cli/screen.h"
#include "cli/tokenizer_options.h"
#include "core/parallel.h"
#include "core/printable.h"
#include "generate/decode.h"
#include "tokenizer/encode/encoder.h"
#include "train/model_checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *checkpoint, *prompt, *stop;
    TokenizerOptions tokenizer;
    size_t max_tokens, seed, samples, threads;
    SampleConfig sample;
} GenerateOptions;

static const char DEFAULT_STOP[] = TOKENIZER_DOCUMENT_END;

static int parse(GenerateOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("checkpoint", &o->checkpoint, "FILE", OPTION_REQUIRED, "the model, from cs336 train"),
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("prompt", &o->prompt, "TEXT", OPTION_UNSHOWN, "text to continue (default: start a new document)"),
        OPTION_SIZE("max-tokens", &o->max_tokens, "N", 1, "largest number of tokens to generate"),
        OPTION_NUMBER("temperature", &o->sample.temperature, "X", 0, 1e6,
                      "divides the logits; 0 always takes the most probable token"),
        OPTION_SIZE("top-k", &o->sample.top_k, "N", 0,
                    "draw only from the N most probable tokens; 0: from all. --top-p then selects from these"),
        OPTION_NUMBER("top-p", &o->sample.top_p, "X", 0, 1,
                      "draw only from the most probable tokens, which together have this probability"),
        OPTION_SEED(&o->seed, "seed of the random draws"),
        OPTION_SIZE("samples", &o->samples, "N", 1, "number of texts"),
        OPTION_TEXT("stop", &o->stop, "TEXT", OPTION_SHOWN, "token that ends a text when it is drawn; \"\" for none"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table =
        OPTION_TABLE("generate",
                     "Continues a prompt with a trained model, token by token. A file or a pipe gets every byte of the "
                     "text. A terminal gets \\xNN for control characters, which it would obey.",
                     options);
    return options_parse(&table, argc, argv);
}

/*
 * Fails because the model lacks ids. Special tokens that the vocabulary lacks get ids too, so the message counts them
 * apart from the tokens of the file.
 */
static Status too_many_tokens(const GenerateOptions *o, size_t tokens, size_t vocab_size)
{
    Tokenizer *file;
    TokenizerOptions without_special = o->tokenizer;
    without_special.special.count = 0;
    const Status s = tokenizer_options_load(&file, &without_special);
    if (s)
        return s;
    const size_t in_file = tokenizer_vocab_size(file);
    tokenizer_destroy(file);
    if (tokens == in_file)
        return status_fail(CS336_EFORMAT, "%s: %zu tokens, expected at most %zu as in %s", o->tokenizer.vocab, tokens,
                           vocab_size, o->checkpoint);
    return status_fail(CS336_EFORMAT, "%s: %zu tokens and %zu of --special-token, expected at most %zu as in %s",
                       o->tokenizer.vocab, in_file, tokens - in_file, vocab_size, o->checkpoint);
}

/* Loads the tokenizer. --stop changes nothing here: "--stop a" must not change how the prompt is encoded. */
static Status load_tokenizer(Tokenizer **tokenizer, const GenerateOptions *o, size_t vocab_size)
{
    const Status s = tokenizer_options_load_for(tokenizer, &o->tokenizer);
    if (s)
        return s;
    /* A missing stop token is an error if --stop names it, but not if it is only the default (compared by address). */
    const size_t tokens = tokenizer_vocab_size(*tokenizer);
    if (o->stop != DEFAULT_STOP && *o->stop && tokenizer_find(*tokenizer, byte_string(o->stop)) < 0)
        return status_fail(CS336_ERANGE, "--stop: \"%s\" is not a token of %s", o->stop, o->tokenizer.vocab);
    if (tokens > vocab_size)
        return too_many_tokens(o, tokens, vocab_size);
    if (tokens < vocab_size)
        fprintf(stderr, "cs336 generate: %s has %zu tokens, the model has %zu ids; ids without a token are not drawn\n",
                printable(o->tokenizer.vocab).text, tokens, vocab_size);
    return CS336_OK;
}

/* Where the generated text goes. */
typedef struct {
    const Tokenizer *tokenizer;
    Screen screen;
} Output;

/* Writes a piece of text to standard output. `last` ends the text: an incomplete character is written too. */
static Status write_piece(Output *output, ByteString piece, bool last)
{
    ByteString shown;
    const Status s = screen_text(&shown, &output->screen, piece, last);
    if (s)
        return s;
    if ((shown.length && fwrite(shown.bytes, 1, shown.length, stdout) != shown.length) || fflush(stdout) != 0)
        return status_fail(CS336_EIO, "cannot write to standard output: %s", strerror(errno));
    return CS336_OK;
}

/* The TokenReceiver of generate(). A token may end inside a character; the bytes of the next token complete it. */
static Status write_token(void *context, int32_t token)
{
    Output *output = context;
    return write_piece(output, tokenizer_token(output->tokenizer, token), false);
}

/*
 * Without a prompt a new document begins. In training, <|endoftext|> stands before each document; a vocabulary with
 * another name for it has --stop.
 */
static Status encode_prompt(TokenList *ids, const Tokenizer *tokenizer, const char *prompt, int32_t stop)
{
    if (prompt && *prompt)
        return tokenizer_encode(tokenizer, ids, byte_string(prompt));
    const int32_t end_of_text = tokenizer_find(tokenizer, byte_string(TOKENIZER_DOCUMENT_END));
    const int32_t start = end_of_text >= 0 ? end_of_text : stop;
    if (start < 0)
        return status_fail(CS336_ERANGE,
                           "%s, and the vocabulary has no %s to start a document with; give a text by --prompt, or the "
                           "token between documents by --stop",
                           prompt ? "--prompt is empty" : "--prompt is missing", TOKENIZER_DOCUMENT_END);
    return token_list_append(ids, &start, 1);
}

static Status write_samples(const GenerateOptions *o, const TrainedModel *model, Tokenizer *tokenizer)
{
    const int32_t stop = *o->stop ? tokenizer_find(tokenizer, byte_string(o->stop)) : -1;
    const GenerateConfig config = {.max_tokens = o->max_tokens,
                                   .stop_token = stop,
                                   .token_count = tokenizer_vocab_size(tokenizer),
                                   .sample = o->sample};
    Output output = {.tokenizer = tokenizer, .screen.terminal = screen_is_terminal("-")};
    TokenList prompt = {0};
    Decoder decoder = {0};
    Status s = encode_prompt(&prompt, tokenizer, o->prompt, stop);
    if (!s)
        s = decoder_init(&decoder, &model->lm, true);
    for (size_t i = 0; !s && i < o->samples; i++) {
        /* Every sample has its own stream of random numbers, so it does not depend on the samples before it. */
        if (o->samples > 1)
            printf("%s--- %zu of %zu ---\n", i ? "\n" : "", i + 1, o->samples);
        if (o->prompt)
            s = write_piece(&output, byte_string(o->prompt), true);
        Rng rng = rng_stream(o->seed, i);
        decoder_reset(&decoder);
        if (!s)
            s = generate(NULL, &decoder, prompt.ids, prompt.count, &config, &rng,
                         (TokenReceiver){.token = write_token, .context = &output});
        if (!s)
            s = write_piece(&output, (ByteString){.length = 0}, true);
        putchar('\n');
    }
    screen_deinit(&output.screen);
    decoder_deinit(&decoder);
    token_list_deinit(&prompt);
    return s;
}

int command_generate(int argc, char **argv)
{
    GenerateOptions o = {.stop = DEFAULT_STOP,
                         .max_tokens = 256,
                         .seed = 1,
                         .samples = 1,
                         .sample = {.temperature = 0.8, .top_p = 0.95}};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    parallel_set_threads((int)o.threads);
    /* The model comes first: its vocabulary size decides how the tokenizer is loaded. */
    TrainedModel model = {0};
    Tokenizer *tokenizer = NULL;
    Status s = command_needs_file(o.checkpoint, "cs336 train");
    if (!s)
        s = trained_model_load(&model, o.checkpoint);
    if (!s)
        s = load_tokenizer(&tokenizer, &o, model.lm.config.vocab_size);
    if (!s)
        tokenizer_options_notes(&tokenizer->model, o.tokenizer.vocab);
    if (!s)
        s = write_samples(&o, &model, tokenizer);
    tokenizer_destroy(tokenizer);
    trained_model_deinit(&model);
    parallel_release();
    return s ? command_failed("generate") : EXIT_OK;
}

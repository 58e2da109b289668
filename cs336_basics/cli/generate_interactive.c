#define _POSIX_C_SOURCE 200809L
#include "cli/generate.h"
#include "tokenizer/encode/encoder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set by Ctrl-C, which ends the present text. */
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/*
 * Makes Ctrl-C set the flag. Without SA_RESTART it also ends the reading of a line. A signal that the parent process
 * set to be ignored stays ignored.
 */
static void catch_interrupts(void)
{
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

/* What the model has read and written since the document began. */
typedef struct {
    const GenerateJob *job;
    TokenList ids;
    bool within;   /* the document has a text already, and its last byte is not blank */
    Screen screen; /* of the present text */
    StopFilter filter;
} Conversation;

static void note_last(Conversation *c, ByteString bytes)
{
    if (bytes.length)
        c->within = !strchr(" \t\n\r", bytes.bytes[bytes.length - 1]);
}

static void begin_document(Conversation *c)
{
    c->ids.count = 0;
    c->within = false;
}

/* True if a line begins with a letter, a digit or a character beyond ASCII: a blank then parts it from what came
 * before. */
static bool begins_a_word(ByteString line)
{
    const uint8_t first = line.bytes[0];
    return (first >= '0' && first <= '9') || ((first | 0x20) >= 'a' && (first | 0x20) <= 'z') || first >= 0x80;
}

/* Appends a line to the document. An empty line adds nothing: the model goes on, or begins a document. */
static Status append_line(Conversation *c, ByteString line)
{
    const int32_t start = c->job->document_start;
    if (line.length == 0 && c->ids.count == 0 && start >= 0)
        return token_list_append(&c->ids, &start, 1);
    if (line.length == 0)
        return CS336_OK;
    ByteList text = {0};
    Status s = c->within && begins_a_word(line) ? byte_list_append_text(&text, " ") : CS336_OK;
    if (!s)
        s = byte_list_append(&text, line.bytes, line.length);
    if (!s)
        s = tokenizer_encode(c->job->tokenizer, &c->ids, byte_list_view(&text));
    note_last(c, line);
    byte_list_deinit(&text);
    return s;
}

/* The TextReceiver. The stop token ends the document; a text of --stop belongs to what the model has written. */
static Status receive(void *context, const DrawnToken *token, bool *end)
{
    Conversation *c = context;
    const int32_t previous = c->ids.count ? c->ids.ids[c->ids.count - 1] : -1;
    const ByteString bytes = tokenizer_token_after(c->job->tokenizer, previous, token->id);
    ByteString released;
    if (token->stops) {
        begin_document(c);
        return CS336_OK;
    }
    Status s = token_list_append(&c->ids, &token->id, 1);
    if (!s)
        s = stop_filter_push(&released, &c->filter, bytes);
    note_last(c, bytes);
    *end = c->filter.found || interrupted;
    return s ? s : generate_write(&c->screen, released, false);
}

/* Writes the continuation of the document. `turn` chooses the stream of random numbers. */
static Status write_continuation(Conversation *c, size_t turn)
{
    /* generate_all() reads the prompt again, which takes as long as a few tokens; receive() appends to c->ids. */
    TokenList prompt = {0};
    interrupted = 0;
    Status s = token_list_append(&prompt, c->ids.ids, c->ids.count);
    if (!s)
        s = stop_filter_init(&c->filter, &c->job->stops);
    GenerateText text = {.prompt = prompt.ids,
                         .prompt_length = prompt.count,
                         .rng = rng_stream(c->job->options->seed, turn),
                         .receiver = {.token = receive, .context = c}};
    if (!s)
        s = generate_texts(&text, 1, c->job);
    if (!s)
        s = generate_write(&c->screen, stop_filter_rest(&c->filter), true);
    if (!s)
        s = generate_write(&c->screen, byte_string("\n"), true);
    stop_filter_deinit(&c->filter);
    token_list_deinit(&prompt);
    return s;
}

/* Reads a line without its line feed. True if there is one; false at the end of the input, or if Ctrl-C was pressed. */
static bool read_line(char **line, size_t *capacity, size_t *length)
{
    const ssize_t bytes = getline(line, capacity, stdin);
    if (bytes < 0)
        return false;
    *length = (size_t)bytes - ((*line)[bytes - 1] == '\n');
    return true;
}

/* Answers lines until the input ends. On a terminal, "> " asks for each. */
static Status answer(Conversation *c, bool asks)
{
    char *line = NULL;
    size_t capacity = 0, length, turn = 0;
    Status s = CS336_OK;
    while (!s) {
        interrupted = 0;
        if (asks)
            s = generate_write(&c->screen, byte_string("> "), true);
        if (s)
            break;
        if (read_line(&line, &capacity, &length)) {
            s = append_line(c, (ByteString){(const uint8_t *)line, length});
            if (!s && c->ids.count)
                s = write_continuation(c, turn++);
        } else if (interrupted && !feof(stdin)) {
            /* Ctrl-C while a line is typed: the terminal has discarded the line. */
            clearerr(stdin);
            s = generate_write(&c->screen, byte_string("\n"), true);
        } else {
            if (ferror(stdin))
                s = status_fail(CS336_EIO, "cannot read standard input: %s", strerror(errno));
            break;
        }
    }
    free(line);
    return s;
}

Status generate_check_interactive(const GenerateJob *job)
{
    return tokenizer_options_encode(&job->tokenizer->model, &job->options->tokenizer,
                                    "give the prompt as ids, without --interactive: --prompt-ids '1 403 407'");
}

Status generate_interactively(const GenerateJob *job)
{
    const bool terminal = screen_is_terminal("-"), asks = terminal && isatty(STDIN_FILENO);
    Conversation c = {.job = job, .screen = {.terminal = terminal, .whole = true}};
    catch_interrupts();
    Status s = answer(&c, asks);
    /* Ctrl-D leaves the cursor behind the last "> ". */
    if (!s && asks)
        s = generate_write(&c.screen, byte_string("\n"), true);
    token_list_deinit(&c.ids);
    screen_deinit(&c.screen);
    return s;
}

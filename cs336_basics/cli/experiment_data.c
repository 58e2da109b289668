#define _POSIX_C_SOURCE 200809L
#include "cli/experiment_data.h"

#include "cli/arguments.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- files ---- */

ExperimentPath experiment_path(const char *directory, const char *name)
{
    ExperimentPath path;
    if (snprintf(path.text, sizeof path.text, "%s/%s", directory, name) >= (int)sizeof path.text)
        *path.text = '\0';
    return path;
}

/*
 * Hashes the bytes of a file with FNV-1a, a hash that is simple and mixes well. It shall notice changed files, not
 * forged ones.
 */
static Status hash_file(uint64_t *hash, const char *path)
{
    enum { CHUNK = 1 << 16 };
    uint8_t bytes[CHUNK];
    FileReader reader = {0};
    Status s = file_open(&reader, path);
    *hash = 0xcbf29ce484222325;
    for (size_t offset = 0; !s && offset < reader.size; offset += CHUNK) {
        const size_t count = reader.size - offset < CHUNK ? reader.size - offset : CHUNK;
        s = file_read_at(&reader, bytes, count, offset);
        for (size_t i = 0; !s && i < count; i++)
            *hash = (*hash ^ bytes[i]) * 0x100000001b3;
    }
    file_close(&reader);
    return s;
}

/* Sets the path of a file of the experiment, which lies in `directory` unless its path begins with a slash. */
static Status locate(ExperimentPath *path, const char *directory, const char *file, const char *maker)
{
    if (!file)
        return CS336_OK;
    const int length = *file == '/' ? snprintf(path->text, sizeof path->text, "%s", file)
                                    : snprintf(path->text, sizeof path->text, "%s/%s", directory, file);
    if (length >= (int)sizeof path->text)
        return status_fail(CS336_EIO, "%s/%s: path too long, expected less than %d bytes", directory, file,
                           DIRECTORY_PATH_BYTES);
    return command_needs_file(path->text, maker);
}

/*
 * Sets the paths of the files that are made of the texts. The tokenizer is one file; a directory that has
 * vocab.json and merges.txt in its place keeps these two.
 */
static void name_made_files(ExperimentData *data, const Experiment *e, const char *out)
{
    const ExperimentPath made = experiment_path(out, EXPERIMENT_DATA);
    const ExperimentPath one = experiment_path(made.text, "tokenizer.json"),
                         vocab = experiment_path(made.text, "vocab.json"),
                         merges = experiment_path(made.text, "merges.txt");
    if (access(one.text, F_OK) != 0 && access(vocab.text, F_OK) == 0 && access(merges.text, F_OK) == 0) {
        data->vocab = vocab;
        data->merges = merges;
    } else {
        data->tokenizer = one;
    }
    data->train = experiment_path(made.text, "train.bin");
    if (e->val)
        data->val = experiment_path(made.text, "val.bin");
}

Status experiment_data_find(ExperimentData *data, const Experiment *experiment, const char *out, const char *directory)
{
    const Experiment *e = experiment;
    *data = (ExperimentData){.fingerprint = ""};
    if (e->sgd)
        return CS336_OK;
    /* Where a text lies, or where the ids and their tokenizer lie. */
    static const char text_maker[] = "section 0.4 of docs/book/start.md; --data DIR names its directory";
    static const char maker[] = "cs336 encode; --data DIR names its directory";
    Status s = locate(e->is_text ? &data->text : &data->train, directory, e->train, e->is_text ? text_maker : maker);
    if (!s)
        s = locate(e->is_text ? &data->val_text : &data->val, directory, e->val, e->is_text ? text_maker : maker);
    if (!s)
        s = locate(&data->tokenizer, directory, e->tokenizer, "cs336 train-bpe");
    if (!s)
        s = locate(&data->vocab, directory, e->vocab, "cs336 train-bpe");
    if (!s)
        s = locate(&data->merges, directory, e->merges, "cs336 train-bpe");
    /* What tells whether the data has changed. */
    uint64_t train = 0, val = 0;
    if (!s)
        s = hash_file(&train, e->is_text ? data->text.text : data->train.text);
    if (!s && e->val)
        s = hash_file(&val, e->is_text ? data->val_text.text : data->val.text);
    snprintf(data->fingerprint, sizeof data->fingerprint, "%016" PRIx64 "-%016" PRIx64, train, val);
    if (e->is_text)
        name_made_files(data, e, out);
    return s;
}

/* ---- commands in child processes ---- */

typedef int (*Command)(int argc, char **argv);

/* The context of call_command(). */
typedef struct {
    Command command;
    Arguments arguments;
} Call;

static int call_command(void *context)
{
    Call *call = context;
    return call->command(call->arguments.count, call->arguments.items);
}

/* Runs a command in a child process and waits for its end. On failure the message is the command's. */
static Status run_command(Call *call, ChildStreams streams)
{
    Child child;
    ChildEnd end = {0};
    Status s = call->arguments.status;
    if (!s)
        s = child_start(&child, streams, call_command, call);
    if (s)
        return s;
    bool asked = false;
    while (!child_wait(&end, &child, 100)) {
        if (work_check_stop() && !asked) {
            child_ask_to_stop(&child);
            asked = true;
        }
    }
    if (!end.signal && end.code == EXIT_OK)
        return CS336_OK;
    s = work_check_stop();
    if (s)
        return s;
    if (end.signal)
        return status_fail(CS336_EIO, "cs336 %s was ended by signal %d", call->arguments.items[0], end.signal);
    return status_fail(CS336_EIO, "cs336 %s: %s", call->arguments.items[0], end.message);
}

/* ---- vocabulary and ids ---- */

/* Describes the data for data.json: what the files are made of. NULL if there is no memory. */
static json_t *description(const ExperimentData *data, const Experiment *e)
{
    return json_pack("{s:s, s:I}", "texts", data->fingerprint, "vocab_size", (json_int_t)e->vocab_size);
}

/* True if the files exist and data.json says that they were made of these texts with this size. */
static bool is_made(const ExperimentData *data, const char *record, const json_t *expected)
{
    json_t *found = NULL;
    const bool same = access(record, F_OK) == 0 && !json_read(&found, record) && json_equal(found, expected);
    json_decref(found);
    const char *files[] = {data->tokenizer.text, data->vocab.text, data->merges.text, data->train.text, data->val.text};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (*files[i] && access(files[i], F_OK) != 0)
            return false;
    return same;
}

/* Adds the options that name the tokenizer, to write it or to read it: they are the same for all commands. */
static void add_tokenizer(Arguments *arguments, const ExperimentData *data)
{
    if (*data->tokenizer.text) {
        arguments_add(arguments, "--tokenizer=%s", data->tokenizer.text);
    } else {
        arguments_add(arguments, "--vocab=%s", data->vocab.text);
        arguments_add(arguments, "--merges=%s", data->merges.text);
    }
}

static Status learn_vocabulary(const ExperimentData *data, const Experiment *e, ChildStreams streams, size_t threads)
{
    Call call = {.command = command_train_bpe};
    arguments_add(&call.arguments, "train-bpe");
    arguments_add(&call.arguments, "--input=%s", data->text.text);
    arguments_add(&call.arguments, "--vocab-size=%zu", e->vocab_size);
    arguments_add(&call.arguments, "--special-token=%s", TOKENIZER_DOCUMENT_END);
    add_tokenizer(&call.arguments, data);
    arguments_add(&call.arguments, "--threads=%zu", threads);
    const Status s = run_command(&call, streams);
    arguments_deinit(&call.arguments);
    return s;
}

static Status encode(const ExperimentData *data, const char *text, const char *ids, ChildStreams streams,
                     size_t threads)
{
    Call call = {.command = command_encode};
    arguments_add(&call.arguments, "encode");
    add_tokenizer(&call.arguments, data);
    arguments_add(&call.arguments, "--special-token=%s", TOKENIZER_DOCUMENT_END);
    arguments_add(&call.arguments, "--input=%s", text);
    arguments_add(&call.arguments, "--output=%s", ids);
    arguments_add(&call.arguments, "--threads=%zu", threads);
    const Status s = run_command(&call, streams);
    arguments_deinit(&call.arguments);
    return s;
}

Status experiment_data_make(const ExperimentData *data, const Experiment *experiment, const char *out, size_t threads)
{
    const Experiment *e = experiment;
    if (!e->is_text)
        return CS336_OK;
    const ExperimentPath directory = experiment_path(out, EXPERIMENT_DATA);
    const ExperimentPath record = experiment_path(directory.text, "data.json");
    const ExperimentPath output = experiment_path(directory.text, "output.txt");
    json_t *expected = description(data, e);
    Status s = expected ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for its description", record.text);
    if (!s)
        s = directory_make(directory.text);
    if (!s && !is_made(data, record.text, expected)) {
        /* The record goes first and comes last: a kill in between leaves files without one, which are made again. */
        const ChildStreams streams = {.output = output.text, .errors = output.text, .append = true};
        printf("data: a vocabulary of %zu tokens, and the ids of the text\n", e->vocab_size);
        s = file_remove(record.text);
        if (!s)
            s = file_remove(output.text);
        if (!s)
            s = learn_vocabulary(data, e, streams, threads);
        if (!s)
            s = encode(data, data->text.text, data->train.text, streams, threads);
        if (!s && e->val)
            s = encode(data, data->val_text.text, data->val.text, streams, threads);
        if (!s)
            s = json_write_file(record.text, expected, JSON_INDENT(2));
    }
    json_decref(expected);
    return s;
}

/* ---- samples ---- */

Status experiment_data_sample(const ExperimentData *data, const Experiment *experiment, const char *run, size_t threads)
{
    const ExperimentPath sample = experiment_path(run, "sample.txt"), part = experiment_path(run, "sample.txt.part");
    const ExperimentPath output = experiment_path(run, "output.txt");
    Call call = {.command = command_generate};
    arguments_add(&call.arguments, "generate");
    arguments_add(&call.arguments, "--checkpoint=%s/checkpoint.safetensors", run);
    add_tokenizer(&call.arguments, data);
    arguments_add(&call.arguments, "--prompt=%s", experiment->prompt);
    arguments_add(&call.arguments, "--seed=%zu", experiment->sample_seed);
    arguments_add(&call.arguments, "--max-tokens=%zu", experiment->sample_tokens);
    arguments_add(&call.arguments, "--threads=%zu", threads);
    /* Messages are added to the run's output; the text gets its name once it is complete. */
    Status s = file_remove(part.text);
    if (!s)
        s = run_command(&call, (ChildStreams){.output = part.text, .errors = output.text, .append = true});
    if (!s && rename(part.text, sample.text) != 0)
        s = status_fail(CS336_EIO, "%s: cannot write: %s", sample.text, strerror(errno));
    arguments_deinit(&call.arguments);
    return s;
}

#include "tokenizer/files/tokenizer_json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "tokenizer/files/bpe_files.h"

typedef struct {
    TokenizerOptions tokenizer;
    const char *output;
} TokenizerJsonOptions;

static int parse(TokenizerJsonOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "tokenizer.json to write; - is standard output"),
    };
    const OptionTable table =
        OPTION_TABLE("tokenizer-json",
                     "Writes a tokenizer as tokenizer.json, the file that Hugging Face's tokenizers and "
                     "transformers load. It gives the same ids there.",
                     options);
    return options_parse(&table, argc, argv);
}

static Status check_files(const TokenizerJsonOptions *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 TOKENIZER_FILES(o->tokenizer)};
    Status s = command_needs_file(o->tokenizer.vocab, "cs336 train-bpe");
    if (!s)
        s = command_needs_file(o->tokenizer.merges, "cs336 train-bpe");
    return s ? s : command_files_differ(files, sizeof files / sizeof *files, NULL);
}

int command_tokenizer_json(int argc, char **argv)
{
    TokenizerJsonOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    ByteString special[OPTION_MAX_TEXTS];
    const size_t special_count = texts_as_byte_strings(special, &o.tokenizer.special);
    BPEModel model = {0};
    FileWriter writer = {0};
    work_stop_flag();
    /* Read the two files, write the one. It gets its name once it is complete. */
    Status s = check_files(&o);
    if (!s)
        s = bpe_model_read(&model, o.tokenizer.vocab, o.tokenizer.merges, special, special_count);
    if (!s)
        s = file_create(&writer, o.output);
    if (!s)
        s = tokenizer_json_write(&writer, &model, special, special_count);
    if (!s)
        s = work_check_stop();
    if (!s)
        s = file_commit(&writer);
    if (!s)
        tokenizer_options_notes(&model, o.tokenizer.vocab);
    file_abandon(&writer);
    bpe_model_deinit(&model);
    return s ? command_failed("tokenizer-json") : EXIT_OK;
}

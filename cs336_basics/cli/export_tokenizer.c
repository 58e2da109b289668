#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/printable.h"
#include "tokenizer/files/tokenizer_file.h"

typedef struct {
    TokenizerOptions tokenizer;
    const char *output;
} ExportOptions;

static int parse(ExportOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED,
                    "file to write: a rank file if its name ends in .tiktoken, else a tokenizer.json; - is standard "
                    "output"),
    };
    const OptionTable table = OPTION_TABLE(
        "export-tokenizer",
        "Writes a tokenizer for other programs, which then give the same ids: a tokenizer.json for Hugging "
        "Face's tokenizers and transformers, or a rank file for tiktoken. A rank file has neither the "
        "pattern nor the special tokens, which tiktoken takes as arguments.",
        options);
    const int done = options_parse(&table, argc, argv);
    return done == OPTIONS_PARSED ? tokenizer_options_check(&table, &o->tokenizer) : done;
}

static Status check_files(const ExportOptions *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 TOKENIZER_FILES(o->tokenizer)};
    return command_files_differ(files, sizeof files / sizeof *files, NULL);
}

/* Gives ids to the named special tokens that the vocabulary lacks, and writes the file. */
static Status write_model(FileWriter *writer, const ExportOptions *o, BPEModel *model)
{
    ByteString special[OPTION_MAX_TEXTS];
    const size_t count = texts_as_byte_strings(special, &o->tokenizer.special);
    const Status s = bpe_model_name_specials(model, special, count);
    return s ? s : tokenizer_file_write(writer, model);
}

/* Prints what tiktoken needs besides the rank file. */
static void note_arguments(const ExportOptions *o, const BPEModel *model)
{
    fprintf(stderr, "note: %s: tiktoken.Encoding() also needs the pattern, %s, and the special tokens:",
            printable(o->output).text, pattern_names[model->pattern]);
    size_t shown = 0;
    for (size_t i = 0; i < model->special_count; i++)
        if (model->specials[i].kind <= SPECIAL_UNNAMED)
            fprintf(stderr, "%s \"%s\" %d", shown++ ? "," : "",
                    printable_bytes((const char *)bpe_model_special_text(model, i).bytes,
                                    bpe_model_special_text(model, i).length)
                        .text,
                    (int)model->specials[i].id);
    fputs(shown ? "\n" : " none\n", stderr);
}

int command_export_tokenizer(int argc, char **argv)
{
    ExportOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    BPEModel model = {0};
    FileWriter writer = {0};
    work_stop_flag();
    /* Read the tokenizer, write one file. It gets its name once it is complete. */
    Status s = check_files(&o);
    if (!s)
        s = tokenizer_options_read(&model, &o.tokenizer);
    if (!s)
        s = tokenizer_options_encode(&model, &o.tokenizer, "no other form can hold it");
    if (!s)
        s = file_create(&writer, o.output);
    if (!s)
        s = write_model(&writer, &o, &model);
    if (!s)
        s = work_check_stop();
    if (!s)
        s = file_commit(&writer);
    if (!s)
        tokenizer_options_notes(&model, tokenizer_options_path(&o.tokenizer));
    if (!s && tokenizer_file_is_ranks(o.output))
        note_arguments(&o, &model);
    file_abandon(&writer);
    bpe_model_deinit(&model);
    return s ? command_failed("export-tokenizer") : EXIT_OK;
}

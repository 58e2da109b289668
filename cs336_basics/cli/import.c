/* cs336 import makes a checkpoint of weights that another program has written. */
#include "interchange/import.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "core/plural.h"
#include "core/printable.h"

#include <stdio.h>

typedef struct {
    TextList paths;
    const char *output;
    size_t context_length, num_heads; /* 0: not given */
    double rope_theta, norm_eps;      /* 0: not given */
    int norm, position;               /* -1: not given */
} ImportCommand;

static int parse(ImportCommand *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "checkpoint to write; - is standard output"),
        OPTION_SIZE_UNSHOWN_UP_TO(
            "context-length", &o->context_length, "N", 1, TRANSFORMER_LM_MAX_CONTEXT,
            "tokens that the model sees at once, at most what PATH says (default: what PATH says, "
            "of a Llama at most 4096; else 256)"),
        OPTION_HEADING("Model, if PATH does not say it; what it says, these must repeat"),
        OPTION_SIZE_UNSHOWN_UP_TO("num-heads", &o->num_heads, "N", 1, TRANSFORMER_LM_MAX_SIZE,
                                  "attention heads (no default)"),
        OPTION_NUMBER_UNSHOWN("rope-theta", &o->rope_theta, "X", TRANSFORMER_LM_MIN_ROPE_THETA,
                              TRANSFORMER_LM_MAX_ROPE_THETA, "base of the rotary position embedding (default: 10000)"),
        OPTION_NUMBER_UNSHOWN("norm-eps", &o->norm_eps, "X", TRANSFORMER_LM_MIN_NORM_EPS, TRANSFORMER_LM_MAX_NORM_EPS,
                              "epsilon of RMSNorm (default: 1e-05)"),
        OPTION_CHOICE_UNSHOWN("norm", &o->norm, norm_names, "pre|post|none",
                              "RMSNorm before each sub-layer, after each, or none (default: pre)"),
        OPTION_CHOICE_UNSHOWN("position", &o->position, position_names, "rope|none",
                              "position information: rotary embedding or none (default: rope)"),
    };
    OptionTable table = OPTION_TABLE(
        "import",
        "Makes a checkpoint of weights that another program has written, for generate, evaluate, inspect and train "
        "--init-from. PATH is a safetensors file with the names of the course's PyTorch modules "
        "(safetensors.torch.save_file(model.state_dict(), PATH)), the index of such files, a directory with "
        "config.json and model.safetensors of Hugging Face's Llama, or a .bin file of llama2.c. float32, bfloat16, "
        "float16 and float64 are read.",
        options);
    table.operand = "PATH";
    table.operands = &o->paths;
    const int done = options_parse(&table, argc, argv);
    if (done == OPTIONS_PARSED && o->paths.count > 1)
        return options_bad_usage(&table, "expected one PATH, got %zu", o->paths.count);
    return done;
}

/* Says what the user might not expect. */
static void print_notes(const ImportNotes *notes, const TransformerLMConfig *config, const char *path)
{
    if (notes->file_context_length)
        fprintf(stderr,
                "cs336 import: context length %zu of the %zu that the file allows, because memory grows with it; "
                "--context-length N sets another\n",
                config->context_length, notes->file_context_length);
    if (notes->assumed[0])
        fprintf(stderr,
                "cs336 import: %s does not say these settings, so they are the course's: %s; options set others\n",
                printable(path).text, notes->assumed);
    if (notes->grouped_key_value_heads)
        fprintf(stderr, "cs336 import: %zu head%s of keys and values %s repeated for %zu heads of queries\n",
                notes->grouped_key_value_heads, plural(notes->grouped_key_value_heads),
                notes->grouped_key_value_heads == 1 ? "is" : "are", config->num_heads);
}

static Status check_files(const ImportCommand *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 {.path = o->paths.items[0], .what = "the input"}};
    const Status s = command_files_differ(files, sizeof files / sizeof *files, NULL);
    return s ? s : command_needs_writable(o->output);
}

static Status run(const ImportCommand *o)
{
    const ImportOptions options = {.context_length = o->context_length,
                                   .num_heads = o->num_heads,
                                   .rope_theta = (float)o->rope_theta,
                                   .norm_eps = (float)o->norm_eps,
                                   .norm = o->norm,
                                   .position = o->position};
    const char *path = o->paths.items[0];
    TrainedModel model = {0};
    ImportNotes notes;
    Status s = check_files(o);
    if (!s)
        s = import_model(&model, &notes, path, &options);
    if (!s)
        print_notes(&notes, &model.lm.config, path);
    if (!s)
        s = work_check_stop();
    if (!s)
        s = trained_model_save(o->output, &model);
    if (!s && !file_is_standard_output(o->output)) {
        printf("%s: %s, %zu arrays, %s parameters\n", printable(path).text, import_form_names[notes.form], notes.arrays,
               count_text((double)transformer_lm_parameter_count(&model.lm.config)));
        model_config_print("", 2, &model.lm.config);
        printf("wrote %s\n", printable(o->output).text);
    }
    trained_model_deinit(&model);
    return s;
}

int command_import(int argc, char **argv)
{
    static ImportCommand o; /* static: large and zeroed */
    o.norm = o.position = -1;
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    work_stop_flag();
    return run(&o) ? command_failed("import") : EXIT_OK;
}

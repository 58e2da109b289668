/* cs336 export writes the weights of a checkpoint in the form of another program. */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/work.h"
#include "core/directory.h"
#include "core/printable.h"
#include "interchange/llama.h"
#include "interchange/llama2c.h"
#include "interchange/state_dict.h"
#include "train/model_checkpoint.h"

#include <stdio.h>

typedef struct {
    const char *checkpoint, *weights_only, *llama, *llama2c; /* the last three: the forms, of which one is given */
    size_t end_id;                                           /* SIZE_MAX: not given */
} ExportOptions;

static int parse(ExportOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("checkpoint", &o->checkpoint, "FILE", OPTION_REQUIRED, "the model, from cs336 train"),
        OPTION_HEADING("Form, one of these"),
        OPTION_TEXT("weights-only", &o->weights_only, "FILE", OPTION_UNSHOWN,
                    "safetensors file for PyTorch's load_state_dict: float32, without optimizer state"),
        OPTION_TEXT("llama", &o->llama, "DIR", OPTION_UNSHOWN,
                    "directory with config.json and model.safetensors for transformers' LlamaForCausalLM"),
        OPTION_TEXT("llama2c", &o->llama2c, "FILE", OPTION_UNSHOWN, "model.bin for llama2.c's program run"),
        OPTION_HEADING("With --llama"),
        OPTION_SIZE_UNSHOWN_UP_TO(
            "end-id", &o->end_id, "N", 0, TRANSFORMER_LM_MAX_SIZE,
            "id of the token between documents, such as <|endoftext|>, at which generation begins "
            "and ends (default: config.json has none)"),
    };
    const OptionTable table = OPTION_TABLE("export", "Writes the weights of a checkpoint for other programs.", options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if ((o->weights_only != NULL) + (o->llama != NULL) + (o->llama2c != NULL) != 1)
        return options_bad_usage(&table, "expected one of --weights-only FILE, --llama DIR and --llama2c FILE");
    if (!o->llama && o->end_id != SIZE_MAX)
        return options_bad_usage(&table, "--end-id belongs to --llama");
    return done;
}

/* Checks that no output is the checkpoint. */
static Status check_files(const ExportOptions *o)
{
    char weights[DIRECTORY_PATH_BYTES];
    snprintf(weights, sizeof weights, "%s/model.safetensors", o->llama ? o->llama : "");
    const char *output = o->weights_only ? o->weights_only : o->llama2c;
    const CommandFile files[] = {{.path = output ? output : weights, .what = "the output", .written = true},
                                 {.path = o->checkpoint, .what = "the checkpoint"}};
    Status s = command_needs_file(o->checkpoint, "cs336 train");
    if (!s)
        s = command_files_differ(files, sizeof files / sizeof *files, NULL);
    return s || !output ? s : command_needs_writable(output);
}

/* Writes the model in the form that was chosen. */
static Status write_form(const ExportOptions *o, const TrainedModel *model)
{
    if (o->llama)
        return llama_export(o->llama, model, o->end_id == SIZE_MAX ? LLAMA_NO_TOKEN : (int32_t)o->end_id);
    return o->llama2c ? llama2c_write(o->llama2c, &model->lm) : state_dict_export(o->weights_only, model);
}

static Status run(const ExportOptions *o)
{
    const char *output = o->llama ? o->llama : o->llama2c ? o->llama2c : o->weights_only;
    TrainedModel model = {0};
    Status s = check_files(o);
    if (!s)
        s = trained_model_load(&model, o->checkpoint);
    if (!s)
        s = work_check_stop();
    if (!s)
        s = write_form(o, &model);
    if (!s)
        fprintf(work_summary_stream(output), "wrote %s: %zu parameters in %zu arrays of float32\n",
                printable(output).text, transformer_lm_parameter_count(&model.lm.config), model.parameters.count);
    trained_model_deinit(&model);
    return s;
}

int command_export(int argc, char **argv)
{
    ExportOptions o = {.end_id = SIZE_MAX};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    work_stop_flag();
    return run(&o) ? command_failed("export") : EXIT_OK;
}

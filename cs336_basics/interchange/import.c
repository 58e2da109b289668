#include "interchange/import.h"

#include "interchange/import_forms.h"
#include "interchange/llama.h"
#include "interchange/llama2c.h"
#include "interchange/state_dict.h"
#include "interchange/weights.h"

const char *const import_form_names[] = {"PyTorch state dict", "Hugging Face Llama", "llama2.c", NULL};

/* Says what was found in place of the names of a known form. */
static Status unknown_names(const WeightFiles *files)
{
    const SafetensorsFile *first = &files->items[0].file;
    if (first->count == 0)
        return status_fail(CS336_EFORMAT, "%s: no arrays, expected the weights of a model", files->path);
    return status_fail(CS336_EFORMAT,
                       "%s: no array \"" STATE_DICT_QUERIES
                       "\" as in the course's state dict, and no \"" LLAMA_EMBEDDINGS
                       "\" as in Hugging Face's Llama; the first array is \"%s\"",
                       files->path, first->entries[0].name);
}

/* Opens weights in safetensors files. Finds their form, and the prefix of the arrays' names. */
static Status open_files(WeightFiles *files, ImportForm *form, char prefix[WEIGHT_NAME_BYTES], const char *path)
{
    Status s = weight_files_open(files, path);
    if (s)
        return s;
    if (weight_files_prefix(prefix, files, STATE_DICT_QUERIES))
        *form = IMPORT_STATE_DICT;
    else if (weight_files_prefix(prefix, files, LLAMA_EMBEDDINGS))
        *form = IMPORT_LLAMA;
    else
        s = unknown_names(files);
    if (s)
        weight_files_close(files);
    return s;
}

Status import_detect(ImportForm *form, const char *path)
{
    WeightFiles files;
    char prefix[WEIGHT_NAME_BYTES];
    if (llama2c_detect(path)) {
        *form = IMPORT_LLAMA2C;
        return CS336_OK;
    }
    const Status s = open_files(&files, form, prefix, path);
    weight_files_close(&files);
    return s;
}

/* Makes the model of a plan and reads its weights. */
static Status load(TrainedModel *model, WeightFiles *files, const char *prefix, const WeightPlan *plan)
{
    Status s = weight_files_check_size(files, plan);
    if (!s)
        s = trained_model_create(model, &plan->config, files->path);
    if (s)
        return s;
    s = weights_load(model->parameters, files, prefix, plan);
    if (s)
        trained_model_deinit(model);
    return s;
}

Status import_model(TrainedModel *model, ImportNotes *notes, const char *path, const ImportOptions *options)
{
    WeightFiles files;
    WeightPlan plan = {0};
    char prefix[WEIGHT_NAME_BYTES];
    *model = (TrainedModel){0};
    *notes = (ImportNotes){.form = IMPORT_LLAMA2C};
    if (llama2c_detect(path))
        return llama2c_import(model, notes, path, options);
    Status s = open_files(&files, &notes->form, prefix, path);
    if (s)
        return s;
    s = (notes->form == IMPORT_STATE_DICT ? state_dict_plan : llama_plan)(&plan, notes, &files, prefix, options);
    if (!s)
        s = load(model, &files, prefix, &plan);
    notes->arrays = model->parameters.count;
    if (plan.key_value_heads < plan.config.num_heads)
        notes->grouped_key_value_heads = plan.key_value_heads;
    weight_files_close(&files);
    return s;
}

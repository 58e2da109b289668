#include "interchange/import.h"

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

Status import_detect(ImportForm *form, const char *path)
{
    WeightFiles files;
    char prefix[WEIGHT_NAME_BYTES];
    if (llama2c_detect(path)) {
        *form = IMPORT_LLAMA2C;
        return CS336_OK;
    }
    Status s = weight_files_open(&files, path);
    if (s)
        return s;
    if (weight_files_prefix(prefix, &files, STATE_DICT_QUERIES))
        *form = IMPORT_STATE_DICT;
    else if (weight_files_prefix(prefix, &files, LLAMA_EMBEDDINGS))
        *form = IMPORT_LLAMA;
    else
        s = unknown_names(&files);
    weight_files_close(&files);
    return s;
}

/* A file of llama2.c says all sizes, and its program run.c is written for one value of all else. */
static Status llama2c_import(TrainedModel *model, ImportNotes *notes, const char *path, const ImportOptions *o)
{
    size_t key_value_heads = 0;
    if (o->context_length || o->num_heads || o->rope_theta > 0 || o->norm_eps > 0 || o->norm >= 0 || o->position >= 0)
        return status_fail(
            CS336_ERANGE, "%s: a model of llama2.c, whose sizes and settings are fixed: leave out the options for them",
            path);
    const Status s = llama2c_read(model, &key_value_heads, path);
    if (s)
        return s;
    notes->arrays = model->parameters.count;
    if (key_value_heads < model->lm.config.num_heads)
        notes->grouped_key_value_heads = key_value_heads;
    return CS336_OK;
}

Status import_model(TrainedModel *model, ImportNotes *notes, const char *path, const ImportOptions *options)
{
    *model = (TrainedModel){0};
    *notes = (ImportNotes){0};
    ImportForm form;
    Status s = import_detect(&form, path);
    if (s)
        return s;
    switch (form) {
    case IMPORT_STATE_DICT:
        s = state_dict_import(model, notes, path, options);
        break;
    case IMPORT_LLAMA:
        s = llama_import(model, notes, path, options);
        break;
    case IMPORT_LLAMA2C:
        s = llama2c_import(model, notes, path, options);
        break;
    }
    notes->form = form;
    return s;
}
